"""Characters and tokens: 59 characters of the competition, then PAD, SOS, EOS and MASK."""

import numpy as np

from aslutils.system.errors import UserError

CHARACTERS = " !#$%&'()*+,-./0123456789:;=?@[_abcdefghijklmnopqrstuvwxyz~"
PAD, SOS, EOS, MASK = 59, 60, 61, 62
VOCABULARY = 63                   # V: 59 characters and the four above
MAX_CHARACTERS = 32               # a longer phrase is cut
STEPS = MAX_CHARACTERS + 1        # S: one more for EOS

DUMMY_PHRASE = "2 a-e -aroe"      # the winning solution's prediction for a sequence that it rejects

INDEX = {character: token for token, character in enumerate(CHARACTERS)}
NOTHING = "·"                     # in what single frames show: no character, between two or at the ends


def unknown_characters(phrase: str) -> str:
    """The characters of `phrase` that the competition does not know, each once."""
    return "".join(dict.fromkeys(character for character in phrase if character not in INDEX))


def encode(phrase: str) -> np.ndarray:
    """Tokens of `phrase`: cut to 32 characters, EOS, then PAD; int64 (33,). Raises ValueError on an unknown character."""
    unknown = unknown_characters(phrase)
    if unknown:
        raise UserError(f"the phrase {phrase!r} holds {unknown!r}, which is not among the 59 characters of the task")
    tokens = np.full(STEPS, PAD, np.int64)
    characters = [INDEX[character] for character in phrase[:MAX_CHARACTERS]]
    tokens[:len(characters)] = characters
    tokens[len(characters)] = EOS
    return tokens


def encode_shown(shown: str) -> np.ndarray:
    """What single frames show, a symbol a frame, as tokens: int64 (T,), 59 for `NOTHING`. Raises ValueError on other symbols."""
    unknown = unknown_characters(shown.replace(NOTHING, ""))
    if unknown:
        raise UserError(f"{unknown!r} is none of the task's 59 characters, nor {NOTHING!r} for a frame that shows none")
    return np.array([INDEX.get(symbol, len(CHARACTERS)) for symbol in shown], np.int64)


def decode(tokens) -> str:
    """The text of a token row: up to the first EOS, tokens without a character dropped."""
    text = []
    for token in np.asarray(tokens).tolist():
        if token == EOS:
            break
        if token < len(CHARACTERS):
            text.append(CHARACTERS[token])
    return "".join(text)


def phrase_kind(phrase: str) -> str:
    """'phone', 'url' or 'address': the competition's three kinds, told apart by their characters."""
    if not any(character.isalpha() for character in phrase):
        return "phone"
    if "." in phrase or "/" in phrase or phrase.startswith(("www", "http")):
        return "url"
    return "address"
