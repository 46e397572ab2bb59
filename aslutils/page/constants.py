"""What the page's JavaScript takes from Python: everything that both need, so that nothing is typed twice."""

import json

from aslutils.demo.handshapes import posed, shapes, signs
from aslutils.demo.phrases import words
from aslutils.reading.division import FEWEST, LEAST_PART, PAUSE, PHRASE_GAP, RATE
from aslutils.reading.recognizer import FLAT, Recognizer
from aslutils.reading.stream import READ_EVERY
from aslutils.reading.tflite import FIXED
from aslutils.task.colours import BONE_COLOURS, OVER_PHOTO
from aslutils.task.landmarks import BONES, HAND_BONES, LANDMARKS
from aslutils.task.rejection import CLEARLY, MIN_FRAMES, Verdict
from aslutils.task.text import CHARACTERS, EOS, STEPS, VOCABULARY

PRACTISED = 3, 6                   # fewest and most letters of a word to practise
MARGIN = 0.08                      # around a drawn handshape, a share of its picture
LARGEST = 2.2                      # palms that fit into it, so that a fist is drawn smaller than a flat hand
DARK = 40                          # mean brightness, of 255, below which hands are seldom found
SMALL = {"palm": 0.06, "shoulders": 0.12}    # sizes, in picture widths, below which a person is too far away
SLOW = 12                          # frames a second below which letters are missed
STEADY = 1000                      # milliseconds that another advice lasts before it is told
SPOKEN = {                         # what the page tells the person before the camera
    "dark": "It is too dark: turn on a light, or face the window.",
    "far": "Come closer: your hand is small in the picture.",
    "unseen": "No hand seen. Hold your hand beside your shoulder, palm forward.",
    "slow": "This device is slow, so letters may be missed: spell slowly.",
    "reading": "Reading. Lower your hand to end a phrase.",
    "unsure": "Not sure enough to show it",
    "spelled": "Spelled! Take another word.",
    "blind": "The camera gives no picture.",
}


def constants(recognizer: Recognizer, assets: list[tuple[str, int]]) -> str:
    """The JavaScript module `constants.js` for a model of a fixed shape. assets: paths and sizes of large files to load."""
    values = {
        "MODEL": FIXED,
        "ASSETS": assets,
        "COLUMNS": [_parsed(column) for column in recognizer.columns],
        "FRAMES": recognizer.model.frames,
        "USUAL_END": recognizer.usual_end,
        "USUAL_CHARACTERS": recognizer.usual_characters,
        "WINDOW": recognizer.longest,
        "EVERY": READ_EVERY,
        "GAP": PHRASE_GAP,
        "FEWEST": FEWEST,
        "PAUSE": PAUSE,
        "FLAT": FLAT,
        "LEAST_PART": LEAST_PART,
        "CLEARLY": CLEARLY,
        "RATE": RATE,
        "MIN_FRAMES": MIN_FRAMES,
        "MIN_CONFIDENCE": recognizer.limits.confidence,
        "MIN_CERTAINTY": recognizer.limits.certainty,
        "VERDICTS": {verdict.name: verdict.value for verdict in Verdict},
        "CHARACTERS": CHARACTERS,
        "EOS": EOS,
        "STEPS": STEPS,
        "VOCABULARY": VOCABULARY,
        "BONES": {part: [[LANDMARKS[a][1], LANDMARKS[b][1]] for a, b in bones] for part, bones in BONES.items()},
        "COLOURS": OVER_PHOTO,
        "HAND_BONES": HAND_BONES,
        "FINGER_COLOURS": BONE_COLOURS,
        "SIGNS": {character: drawing(character) for character in sorted(signs())},
        "HOW": {character: _how(character) for character in sorted(signs())},
        "WORDS": sorted(word for word in words() if PRACTISED[0] <= len(word) <= PRACTISED[1]),
        "DARK": DARK,
        "SMALL": SMALL,
        "SLOW": SLOW,
        "STEADY": STEADY,
        "SPOKEN": SPOKEN,
    }
    lines = [f"export const {name} = {json.dumps(value, ensure_ascii=False, allow_nan=False)};" for name, value in values.items()]
    return "\n".join(["// Written by `python -m aslutils page`, from the constants of the Python package.", *lines, ""])


def drawing(character: str) -> list[list[list[float]]]:
    """A character's key frames as its signer sees them in a mirror: each 21 points, x and y in 0..1 of a square picture."""
    points = posed(character)[..., :2] * (-1, 1)
    low, high = points.min((0, 1)), points.max((0, 1))
    size = max(*(high - low), LARGEST) / (1 - 2 * MARGIN)
    return ((points - (low + high) / 2) / size + 0.5).round(3).tolist()


def _how(character: str) -> str:
    """A character's handshape in words."""
    first, *others = signs()[character]
    return shapes()[first.shape][0].words + ("; it moves" if others and "draws" not in shapes()[first.shape][0].words else "")


def _parsed(column: str) -> tuple[str, str, int]:
    """x_left_hand_3 as its axis, part and index."""
    axis, _, rest = column.partition("_")
    part, _, index = rest.rpartition("_")
    return axis, part, int(index)
