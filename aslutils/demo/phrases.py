"""Phrases of the competition's three kinds: addresses and names, URLs, phone numbers; all of them made up."""

from functools import cache
from pathlib import Path

import numpy as np

KINDS = {"address": 0.42, "url": 0.28, "phone": 0.30}            # share of each kind; the corpus has 0.48, 0.28, 0.24
_STREETS = "street st avenue ave road rd lane ln drive dr court ct way circle place hill plaza square trail".split()
_REAL, _INVENTED = 0.25, 0.35                                      # shares of real words and of words that sound so
_SITES = "shop news blog info home sport music travel books photo garden kitchen wiki maps games video jobs health".split()
_ENDINGS = "com org net edu gov info de fr uk jp com/news org/wiki co.uk".split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Of random letters: English letter frequencies to a power below 0, so that letters which are rare in words are learnt too.
_FREQUENCY = np.array([8.2, 1.5, 2.8, 4.3, 12.7, 2.2, 2, 6.1, 7, .15, .8, 4, 2.4, 6.7, 7.5, 1.9, .1, 6, 6.3, 9, 2.8, 1, 2.4, .15,
                       2, .07]) ** -0.2


@cache
def words() -> tuple[str, ...]:
    """The words of `words.txt`, lower-case letters only."""
    return tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").partition("\n\n")[2].split())


@cache
def _next_letters() -> dict[str, str]:
    """What follows two letters in the words (or follows their first, or begins them): letters as often as they do, " " an end."""
    found: dict[str, list[str]] = {}
    for word in words():
        for at, letter in enumerate(word + " "):
            found.setdefault(word[max(at - 2, 0):at], []).append(letter)
    return {before: "".join(letters) for before, letters in found.items()}


def _invented(rng: np.random.Generator) -> str:
    """A word that sounds real and seldom is: each letter follows the two before it as in one of the words."""
    word = ""
    while len(word) < 12:
        letters = _next_letters()[word[-2:]]
        letter = letters[rng.integers(len(letters))]
        if letter == " ":
            break
        word += letter
    return word


def _name(rng: np.random.Generator) -> str:
    """A word: a real one, one that sounds like a real one, or random letters, because fingerspelling is used for names."""
    kind = rng.random()
    if kind < _REAL:
        return words()[rng.integers(len(words()))]
    if kind < _REAL + _INVENTED:
        return _invented(rng)
    letters = rng.choice(list(_LETTERS), size=rng.integers(3, 11), p=_FREQUENCY / _FREQUENCY.sum())
    if rng.random() < 0.25:                                      # double letters are as common as in real names
        at = rng.integers(len(letters))
        letters = np.insert(letters, at, letters[at])
    return "".join(letters)


def _digits(rng: np.random.Generator, count: int) -> str:
    return "".join(map(str, rng.integers(0, 10, count)))


def _address(rng: np.random.Generator) -> str:
    if rng.random() < 0.35:
        return f"{_name(rng)} {_name(rng)}"
    number = _digits(rng, int(rng.integers(1, 6)))
    road = f"{rng.choice(['', '', 'north ', 'west '])}{_name(rng)} {rng.choice(_STREETS)}"
    return f"{number} {road}" if rng.random() < 0.8 else f"{number}-{_digits(rng, 2)} {road}"


def _url(rng: np.random.Generator) -> str:
    site = _name(rng) + str(rng.choice(["", "", "-", "_"])) + (str(rng.choice(_SITES)) if rng.random() < 0.5 else _name(rng))
    head = str(rng.choice(["", "", "www.", "https://"], p=[0.35, 0.3, 0.3, 0.05]))
    tail = str(rng.choice(["", "/" + _name(rng), "/~" + _name(rng), "/?" + _name(rng) + "=" + _digits(rng, 2),
                           "/" + _name(rng) + "%20" + _name(rng), "/" + _name(rng) + "&" + _name(rng)],
                          p=[0.45, 0.35, 0.05, 0.05, 0.05, 0.05]))
    return f"{head}{site}.{rng.choice(_ENDINGS)}{tail}"


def _phone(rng: np.random.Generator) -> str:
    a, b, c = _digits(rng, 3), _digits(rng, 3), _digits(rng, 4)
    return str(rng.choice([f"{a}-{b}-{c}", f"+{_digits(rng, 2)}-{a}-{b}-{c}", f"+{_digits(rng, 3)}-{a}-{b}-{c}", f"{a}.{b}.{c}",
                           f"+1 {a} {b} {c}", f"{a}{b}{c}"]))


_MAKERS = {"address": _address, "url": _url, "phone": _phone}


def random_phrase(rng: np.random.Generator, characters: tuple[int, int]) -> str:
    """One phrase of a random kind, of low..high characters.

    A phrase too long for `characters` is cut to a random part of any allowed length, one too short is drawn again (and in
    the end padded with digits). A single character is a digit as often as a letter, as house numbers are.
    """
    low, high = characters
    maker = _MAKERS[str(rng.choice(list(KINDS), p=list(KINDS.values())))]
    for _ in range(20):
        phrase = maker(rng)
        if len(phrase) > high:
            length = int(rng.integers(low, high + 1))
            if length == 1:
                return _digits(rng, 1) if rng.random() < 0.5 else str(rng.choice(list(_LETTERS)))
            start = int(rng.integers(len(phrase) - length + 1))
            phrase = phrase[start:start + length].strip()
        if low <= len(phrase) <= high:
            return phrase
    return (phrase + _digits(rng, low))[:high]
