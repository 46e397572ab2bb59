"""When a sequence is rejected: the one rule, for arrays and tensors of every framework.

`hand_frames` counts the frames with a hand seen, `characters` those of the predicted text; a confidence is NaN where no network
has that head, and rejects nothing then.
"""

from enum import Enum
from functools import reduce
from operator import or_

MIN_FRAMES = 15                   # shorter sequences are rejected
MIN_CONFIDENCE = 0.15             # and those that the confidence head rates lower, unless an export says otherwise
UNKNOWN = float("nan")            # the confidence where no network has that head


class Verdict(Enum):
    """What became of a sequence, in the words that a user reads."""

    READ = "read"
    NO_HANDS = "no hands seen"
    TOO_SHORT = f"too short: at least {MIN_FRAMES} frames are needed"
    UNSURE = "not sure enough to read it"
    NO_TEXT = "no character recognised"
    NO_DEPTH = "no depth: the hands' z is 0, constant or missing, but handshapes differ in it; record it too"   # only a reader's


def _faults(length, hand_frames, confidence, characters, min_confidence) -> dict:
    """Each reason for a rejection, and whether it holds."""
    return {Verdict.NO_HANDS: hand_frames < 1, Verdict.TOO_SHORT: length < MIN_FRAMES,
            Verdict.UNSURE: confidence < min_confidence, Verdict.NO_TEXT: characters < 1}


def rejected(length, hand_frames, confidence=UNKNOWN, characters=1, min_confidence=MIN_CONFIDENCE):
    """Whether sequences are rejected: bool, of the shape to which numbers, arrays, table columns or tensors broadcast."""
    return reduce(or_, _faults(length, hand_frames, confidence, characters, min_confidence).values())


def verdict(length: int, hand_frames: int, confidence: float = UNKNOWN, characters: int = 1,
            min_confidence: float = MIN_CONFIDENCE) -> Verdict:
    """What becomes of one sequence: the first fault that holds, else READ."""
    faults = _faults(length, hand_frames, confidence, characters, min_confidence)
    return next((fault for fault, holds in faults.items() if holds), Verdict.READ)
