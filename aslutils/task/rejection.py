"""When a sequence is rejected: the one rule, for arrays and tensors of every framework.

`hand_frames` counts the frames with a hand seen; a confidence is NaN where no network has that head, and rejects nothing then.
"""

from enum import Enum
from functools import reduce
from operator import or_

MIN_FRAMES = 15                   # shorter sequences are rejected
MIN_CONFIDENCE = 0.15             # and those that the confidence head rates lower
UNKNOWN = float("nan")            # the confidence where no network has that head


class Verdict(Enum):
    """What became of a sequence, in the words that a user reads."""

    READ = "read"
    NO_HANDS = "no hands seen"
    TOO_SHORT = f"too short: at least {MIN_FRAMES} frames are needed"
    UNSURE = "not sure enough to read it"
    NO_TEXT = "no character recognised"          # only a reader says so: the score of an empty text is its distance


def _faults(length, hand_frames, confidence) -> dict:
    """Each reason for a rejection, and whether it holds."""
    return {Verdict.NO_HANDS: hand_frames < 1, Verdict.TOO_SHORT: length < MIN_FRAMES,
            Verdict.UNSURE: confidence < MIN_CONFIDENCE}


def rejected(length, hand_frames, confidence=UNKNOWN):
    """Whether sequences are rejected: bool, of the shape to which numbers, arrays, table columns or tensors broadcast."""
    return reduce(or_, _faults(length, hand_frames, confidence).values())


def verdict(length: int, hand_frames: int, confidence: float = UNKNOWN) -> Verdict:
    """What becomes of one sequence: the first fault that holds, else READ."""
    return next((fault for fault, holds in _faults(length, hand_frames, confidence).items() if holds), Verdict.READ)
