"""Where a recording is divided: into phrases, where no hand is seen, and long ones into parts; and what of its ends is cut.

Gaps are measured in thirtieths of a second, everything else in frames.
"""

import numpy as np

from aslutils.system.errors import UserError
from aslutils.task.rejection import MIN_FRAMES, UNKNOWN

RATE = 30                                          # frames a second to read, about the rate of the competition's sequences
PHRASE_GAP = RATE                                  # frames without a hand that end a phrase, at that rate: a second
FEWEST = 5                                         # the fewest frames that end a phrase, however slow a camera is
PAUSE = 5 * RATE                                   # thirtieths of a second between two frames that end a phrase, hand or not
LEAST_PART = 30                                    # the fewest frames of a part of a long text
_ROUNDING = 1e-6                                   # of a sum of times


def check_gap(gap: int) -> None:
    """Raise UserError if a gap is negative."""
    if gap < 0:
        raise UserError(f"gap is {gap} frames; it must be at least 0")


def passed(elapsed, frames: int | None = None) -> np.ndarray:
    """`elapsed`, thirtieths of a second since the frame before, as floats: one number, or one for each of `frames`.

    Raises UserError if they are not numbers of at least 0, or not as many.
    """
    try:
        times = np.asarray(elapsed, float)
    except (TypeError, ValueError):
        times = np.array(UNKNOWN)
    if times.shape not in ((), (frames,)) or not (times >= 0).all():
        each = "" if frames is None else f", one number or one for each of {frames} frames"
        raise UserError(f"elapsed is {elapsed!r}; expected thirtieths of a second since the frame before, at least 0{each}")
    return times


def at_most(elapsed, gap: int):
    """`elapsed`, capped: so at least `FEWEST` frames make a gap, or as many as it has if they are fewer."""
    return np.minimum(elapsed, max(gap / FEWEST, 1))


def is_gap(away, gap: int):
    """Whether a hand that is `away` for that long, the sum of `at_most`, ends a phrase."""
    return away > gap - _ROUNDING


def between_gaps(seen: np.ndarray, gap: int, elapsed: np.ndarray) -> list[tuple[int, int]]:
    """The parts of a recording, first and end frame, that gaps, at least `gap` frames without a hand, or pauses separate.

    seen: bool (T,), where a hand is seen; elapsed: (T,), as `passed` gives it. A gap is divided in its middle, and of each part
    at most `gap` frames without a hand are left at either end; without a hand, the recording is one part.
    """
    hands, clock, pauses = np.flatnonzero(seen), np.cumsum(at_most(elapsed, gap)), np.cumsum(elapsed >= PAUSE)
    if not hands.size:
        return [(0, len(seen))]
    left, right = hands[:-1], hands[1:]
    wide = is_gap(clock[right - 1] - clock[left], gap) | (pauses[right] > pauses[left])
    left, right = left[wide], right[wide]
    middles = (left + right + 1) // 2
    first = np.maximum([0, *middles], np.array([hands[0], *right]) - gap)
    end = np.minimum([*middles, len(seen)], np.array([*left, hands[-1]]) + 1 + gap)
    return list(zip(first.tolist(), end.tolist()))


def divided(seen: np.ndarray, first: int, end: int, most: int) -> list[tuple[int, int]]:
    """A part of a recording, in as few parts as have at most `most` frames from their first to their last hand, evenly."""
    hands = first + np.flatnonzero(seen[first:end])
    length = int(hands[-1] + 1 - hands[0]) if hands.size else 0
    borders = [int(hands[0]) + border for border, _ in equal(length, -(-length // most) or 1)[1:]]
    return list(zip([first, *borders], [*borders, end]))


def part_count(characters: int, usual: int, frames: int) -> int:
    """Into how many equal parts a text longer than was usual in training is divided: each has 4/5 of the `usual` characters."""
    return min(-(-5 * characters // (4 * usual)), frames // LEAST_PART)


def equal(length: int, count: int) -> list[tuple[int, int]]:
    """`count` equal parts of `length` frames, first and end frame."""
    borders = [length * number // count for number in range(count + 1)]
    return list(zip(borders, borders[1:]))


def overlong(seen: np.ndarray, longest: int | None) -> tuple[int, int]:
    """How many frames to cut at a sequence's beginning and end so that each has at most `longest` without a hand.

    seen: bool (T,), where a hand is seen. Nothing is cut without a limit or a hand, and what is left is long enough to be read.
    """
    if longest is None or not seen.any():
        return 0, 0
    begin, end = (max(int(order.argmax()) - longest, 0) for order in (seen, seen[::-1]))
    excess = max(min(MIN_FRAMES, len(seen)) - (len(seen) - begin - end), 0)
    back = min(excess, end)
    return begin - (excess - back), end - back
