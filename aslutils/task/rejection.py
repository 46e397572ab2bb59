"""When a sequence is rejected: the one rule, for arrays and tensors of every framework.

`hand_frames` counts the frames with a hand seen, `characters` those of the predicted text; a confidence is NaN where no network
has a head for it, and rejects nothing then. `certainty` is the confidence times the mean probability of the text's characters:
both are low where nobody spells. Rejecting by it keeps more of what is spelled than rejecting by either alone (docs/results.md).
"""

from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import or_

from aslutils.system.errors import UserError

MIN_FRAMES = 15                   # shorter sequences are rejected
CLEARLY = 1.05                    # how many times as certain a text must be that is read otherwise (see `surer`)
UNKNOWN = float("nan")            # the confidence where no network has a head for it; the certainty of a model that tells none


@dataclass(frozen=True)
class Limits:
    """What a reading must reach, or it is rejected. The defaults are the published ones, which have none for the certainty."""

    confidence: float = 0.15
    certainty: float = 0.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if type(value) not in (int, float) or not 0 <= value < 1:
                raise UserError(f"min_{name} is {value!r}; it must be a number of at least 0 and below 1")


PUBLISHED = Limits()


class Verdict(Enum):
    """What became of a sequence, in the words that a user reads."""

    READ = "read"
    NO_HANDS = "no hands seen"
    TOO_SHORT = f"too short: at least {MIN_FRAMES} frames are needed"
    UNSURE = "not sure enough to read it"
    NO_TEXT = "no character recognised"
    NO_DEPTH = "no depth: the hands' z is 0, constant or missing, but handshapes differ in it; record it too"   # only a reader's


def certainty(confidence: float, probabilities) -> float:
    """How certain a text is, 0..1: the confidence (1 where it is unknown) times its characters' mean probability; 0 if empty."""
    if not len(probabilities):
        return 0.0
    return (1.0 if confidence != confidence else confidence) * float(sum(probabilities)) / len(probabilities)


def too_short_to_halve(length):
    """Whether every second frame of a sequence would be too few."""
    return length < 2 * MIN_FRAMES


def surer(otherwise, usually):
    """Whether a text that was read otherwise than usual, by every second frame or in parts, counts, by both certainties.

    It has less to go by, so it must be clearly more certain. Slow hands gain at any factor from 1 to 1.1, and at `CLEARLY` others
    hardly lose (docs/results.md).
    """
    return otherwise > CLEARLY * usually


def _faults(length, hand_frames, confidence, characters, certainty, limits: Limits) -> dict:
    """Each reason for a rejection, and whether it holds."""
    return {Verdict.NO_HANDS: hand_frames < 1, Verdict.TOO_SHORT: length < MIN_FRAMES,
            Verdict.UNSURE: (confidence < limits.confidence) | (characters > 0) & (certainty < limits.certainty),
            Verdict.NO_TEXT: characters < 1}


def rejected(length, hand_frames, confidence=UNKNOWN, characters=1, certainty=UNKNOWN, limits: Limits = PUBLISHED):
    """Whether sequences are rejected: bool, of the shape to which numbers, arrays, table columns or tensors broadcast."""
    return reduce(or_, _faults(length, hand_frames, confidence, characters, certainty, limits).values())


def verdict(length: int, hand_frames: int, confidence: float = UNKNOWN, characters: int = 1, certainty: float = UNKNOWN,
            limits: Limits = PUBLISHED) -> Verdict:
    """What becomes of one sequence: the first fault that holds, else READ."""
    faults = _faults(length, hand_frames, confidence, characters, certainty, limits)
    return next((fault for fault, holds in faults.items() if holds), Verdict.READ)


def verdict_on_answer(length: int, hand_frames: int, confidence: float, certainty: float, characters: int,
                      limits: Limits = PUBLISHED) -> Verdict:
    """What becomes of a sequence that a model has answered; `characters` are 0 if it rejected it, whatever the `limits` here."""
    found = verdict(length, hand_frames, confidence, max(characters, int(certainty > 0)), certainty, limits)
    return Verdict.UNSURE if found is Verdict.READ and not characters else found
