"""Augmentations of one standardised sequence in training, one small class each.

Drawing random numbers is separate from acting: `draw(rng)` returns what to do, `apply(frames, *drawn)` does it; p is the
probability of acting. Frames are float (T, 130, 3), 0 where not seen; `draw` never looks at them, so that a sequence's final
length is known before any frame is read. All follow the published winning solution (Christof Henkel, 2023); where that has a
mistake, the docstring describes it.
"""

from abc import ABC, abstractmethod

import numpy as np

from aslutils.system.errors import UserError
from aslutils.task.landmarks import ARM_PAIRS, FACE, FINGERS, HANDS, MIRROR, POSE
from aslutils.task.preprocess import nearest_indices


def _interval(owner, key: str, interval, lowest: float, highest: float) -> tuple[float, float]:
    """`interval` as (low, high). Raises ValueError unless it is an interval within lowest..highest."""
    try:
        low, high = interval
        fits = lowest <= low <= high <= highest
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise UserError(f"{type(owner).__name__}: {key} is {interval!r}, expected low <= high, both within {lowest}..{highest}")
    return low, high


def _probability(owner, key: str, value) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"{type(owner).__name__}: {key} is {value!r}, expected a probability within 0..1")
    return value


def _count(owner, key: str, value) -> int:
    if not isinstance(value, int) or value < 1:
        raise UserError(f"{type(owner).__name__}: {key} is {value!r}, expected a whole number of at least 1")
    return value


class Augmentation(ABC):
    """The base class: a probability p of acting, and drawing that is separate from acting."""

    def __init__(self, p: float):
        self.p = _probability(self, "p", p)

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> tuple:
        """The random part: the arguments that acting takes after the frames."""


class TimeAugmentation(Augmentation):
    """An augmentation that only maps frames to new positions; several are composed before any frame is touched."""

    @abstractmethod
    def indices(self, length: int, *drawn) -> np.ndarray:
        """Which of `length` input frames each output frame takes, int64, never decreasing; -1 for a frame of zeros."""

    @abstractmethod
    def length(self, length: int, *drawn) -> int:
        """How many frames `length` frames become."""

    def apply(self, frames: np.ndarray, *drawn) -> np.ndarray:
        """`frames` (T, 130, 3), left unchanged, at their new positions: (T', 130, 3)."""
        indices = self.indices(len(frames), *drawn)
        taken = frames[indices]
        taken[indices < 0] = 0
        return taken


class InPlaceAugmentation(Augmentation):
    """An augmentation that changes the values of frames and leaves each at its position."""

    @abstractmethod
    def apply_(self, frames: np.ndarray, *drawn, **named) -> None:
        """Act on `frames` (T, 130, 3) in place."""

    def apply(self, frames: np.ndarray, *drawn, **named) -> np.ndarray:
        """A copy of `frames` (T, 130, 3) with the augmentation applied."""
        frames = frames.copy(order="K")
        self.apply_(frames, *drawn, **named)
        return frames


class Resample(TimeAugmentation):
    """Stretch or squeeze time: the length becomes max(1, int(T * rate)), rate ~ U(low, high), nearest frames."""

    def __init__(self, low: float, high: float, p: float = 1.0):
        super().__init__(p)
        self.low, self.high = _interval(self, "low, high", (low, high), 0.01, 100)

    def draw(self, rng):
        return (rng.uniform(self.low, self.high),)

    def length(self, length, rate):
        return max(1, int(length * rate))

    def indices(self, length, rate):
        return nearest_indices(length, self.length(length, rate))


class DynamicResample(TimeAugmentation):
    """Vary the speed: n chunks of ceil(T / n) frames, each resampled at its own rate ~ U(low, high).

    chunks: (low, high), n is drawn from low up to high - 1. T frames may fill fewer chunks than n; the other rates are unused.
    """

    def __init__(self, low: float, high: float, chunks=(20, 30), p: float = 1.0):
        super().__init__(p)
        self.low, self.high = _interval(self, "low, high", (low, high), 0.01, 100)
        first, beyond = _interval(self, "chunks", chunks, 1, 1000)
        self.chunks = (int(first), max(int(beyond), int(first) + 1))

    def draw(self, rng):
        return (rng.uniform(self.low, self.high, rng.integers(*self.chunks)),)

    @staticmethod
    def chunk_sizes(length: int, rates) -> tuple[np.ndarray, np.ndarray]:
        """The size of every chunk before and after; int64 each."""
        chunk = -(-length // len(rates))
        before = np.full(-(-length // chunk), chunk)
        before[-1] = length - chunk * (len(before) - 1)
        return before, np.maximum(1, (before * np.asarray(rates)[:len(before)]).astype(np.int64))

    def length(self, length, rates):
        return int(self.chunk_sizes(length, rates)[1].sum())

    def indices(self, length, rates):
        before, after = self.chunk_sizes(length, rates)
        place = np.arange(after.sum()) - np.repeat(after.cumsum() - after, after)          # of a frame in its new chunk
        ratio = np.repeat(before.astype(np.float32) / after.astype(np.float32), after)
        within = np.minimum((place.astype(np.float32) * ratio).astype(np.int64), np.repeat(before - 1, after))
        return within + np.repeat(before.cumsum() - before, after)


class TimeShift(TimeAugmentation):
    """Move the start: n > 0 puts n frames of zeros in front; n < 0 drops the first -n frames where more than 2 remain.

    n is drawn from low up to high - 1.
    """

    def __init__(self, low: int, high: int, p: float = 1.0):
        super().__init__(p)
        low, high = _interval(self, "low, high", (low, high), -1000, 1000)
        self.low, self.high = int(low), max(int(high), int(low) + 1)

    def draw(self, rng):
        return (int(rng.integers(self.low, self.high)),)

    def length(self, length, shift):
        return length + shift if shift > 0 or length + shift > 2 else length

    def indices(self, length, shift):
        return np.maximum(np.arange(length - self.length(length, shift), length), -1)


class Mirror(InPlaceAugmentation):
    """Turn a right-handed signer into a left-handed one: x -> -x, and every landmark swaps places with its partner."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def draw(self, rng):
        return ()

    def apply_(self, frames):
        frames[:] = frames[:, MIRROR]
        np.negative(frames[..., 0], out=frames[..., 0])


class SpatialAffine(InPlaceAugmentation):
    """Scale, shear, rotate and shift x and y; z stays.

    In this order: both times a factor from `scale`; x + sy * y or y + sx * x with one factor from `shear` (one of sx, sy is 0,
    each in half of the cases); rotation by an angle from `degree` about the point (sy, sx), which the published solution used as
    the centre; one offset from `shift` added to both. keep_missing: landmarks at x = y = 0, which were not seen, stay there;
    false moves them too, as the published solution did, which hides from the network that they are missing.
    """

    def __init__(self, scale=(1, 1), shear=(0, 0), shift=(0, 0), degree=(0, 0), keep_missing: bool = True, p: float = 1.0):
        super().__init__(p)
        self.scale = _interval(self, "scale", scale, 0.01, 100)
        self.shear = _interval(self, "shear", shear, -10, 10)
        self.shift = _interval(self, "shift", shift, -10, 10)
        self.degree = _interval(self, "degree", degree, -180, 180)
        self.keep_missing = keep_missing

    def draw(self, rng):
        scale, shear, shift, degree = (low + (high - low) * u for (low, high), u in zip(
            (self.scale, self.shear, self.shift, self.degree), rng.random(4).tolist()))
        return scale, ((0.0, shear) if rng.random() < 0.5 else (shear, 0.0)), shift, degree

    @staticmethod
    def matrix(scale=1.0, shear=(0.0, 0.0), shift=0.0, degree=0.0) -> np.ndarray:
        """(2, 3): x' = m[0] · (x, y, 1), y' = m[1] · (x, y, 1)."""
        shear_x, shear_y = shear
        sheared = np.array([[1, shear_y, 0], [shear_x, 1, 0], [0, 0, 1]]) * [[scale], [scale], [1]]
        cos, sin = np.cos(np.radians(degree)), np.sin(np.radians(degree))
        there, back = np.eye(3), np.eye(3)
        there[:2, 2], back[:2, 2] = (-shear_y, -shear_x), (shear_y + shift, shear_x + shift)
        return (back @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ there @ sheared)[:2]

    def apply_(self, frames, scale=1.0, shear=(0.0, 0.0), shift=0.0, degree=0.0):
        x, y = frames[..., 0], frames[..., 1]
        missing = (x == 0) & (y == 0) if self.keep_missing else None
        moved = [a * x + (b * y + c) for a, b, c in self.matrix(scale, shear, shift, degree).tolist()]
        frames[..., 0], frames[..., 1] = moved
        if missing is not None:
            frames[missing] = 0


def _window(length: int, size: float, offset: float) -> slice:
    """A window of int(size * length) of `length` frames that starts at int(offset * max(1, frames that are left))."""
    taken = int(size * length)
    start = int(offset * max(1, length - taken))
    return slice(start, start + taken)


class FingersDrop(InPlaceAugmentation):
    """Hide fingers for some time: in each of `windows` windows of frames, some fingers' four landmarks are 0 (wrists stay).

    fraction: a window's share of the frames; draws: (low, high), both included, how often one of the ten fingers is drawn,
    with replacement. The published solution intended 2..5 draws but made 12, which hides about 7 of 10 fingers.
    """

    def __init__(self, windows: int = 2, fraction=(0.25, 0.5), draws=(12, 12), p: float = 1.0):
        super().__init__(p)
        self.windows, self.fraction = _count(self, "windows", windows), _interval(self, "fraction", fraction, 0, 1)
        self.draws = _interval(self, "draws", draws, 0, 1000)

    def draw(self, rng):
        low, high = self.fraction
        return ([(rng.uniform(low, high), rng.random(),
                  rng.integers(len(FINGERS), size=rng.integers(self.draws[0], self.draws[1] + 1))) for _ in range(self.windows)],)

    def apply_(self, frames, windows):
        for size, offset, fingers in windows:
            window = frames[_window(len(frames), size, offset)]
            for finger in set(np.asarray(fingers).ravel().tolist()):
                window[:, FINGERS[finger, 0]:FINGERS[finger, -1] + 1] = 0


class PartDrop(InPlaceAugmentation):
    """Hide at most one part for the whole sequence: the arms, the face or both hands.

    pose, face, hands: the probability of each; otherwise nothing happens. The arms are hidden completely, or all but the
    first 1, 2 or 3 pairs from shoulders to fingers (12 14, 16 18, 20 22, ...), each in a quarter of the cases.
    """

    PARTS = {"pose": POSE, "face": FACE, "hands": HANDS}

    def __init__(self, pose: float = 0.0, face: float = 0.0, hands: float = 0.0):
        shares = [_probability(self, part, share) for part, share in zip(self.PARTS, (pose, face, hands))]
        super().__init__(round(sum(shares), 9))
        self.edges = np.cumsum(shares)

    def draw(self, rng):
        part = list(self.PARTS)[int(np.searchsorted(self.edges, rng.random() * self.edges[-1], "right"))]
        return part, int(rng.integers(4)) if part == "pose" else 0

    def apply_(self, frames, part, kept_pairs=0):
        dropped = ARM_PAIRS[kept_pairs:].ravel() if part == "pose" else self.PARTS[part]
        for run in np.split(dropped, np.flatnonzero(np.diff(dropped) != 1) + 1):      # slices are faster than an index array
            frames[:, run[0]:run[-1] + 1] = 0


class TemporalMask(InPlaceAugmentation):
    """Zero `count` stretches of frames, each a share of the sequence drawn from `fraction` (SpecAugment, Park et al. 2019)."""

    def __init__(self, count: int = 1, fraction=(0.2, 0.4), p: float = 1.0):
        super().__init__(p)
        self.count, self.fraction = _count(self, "count", count), _interval(self, "fraction", fraction, 0, 1)

    def draw(self, rng):
        return rng.uniform(*self.fraction, self.count).tolist(), rng.random(self.count).tolist()

    def apply_(self, frames, sizes, offsets):
        for size, offset in zip(sizes, offsets):
            frames[_window(len(frames), size, offset)] = 0


class SpatialMask(InPlaceAugmentation):
    """Zero the landmarks inside a rectangle: one share from `fraction` of the x and of the y range, at a random place.

    The ranges are those of the whole array, zeros included. The published solution computed this but returned its
    input, so there it had no effect.
    """

    def __init__(self, fraction=(0.05, 0.1), p: float = 1.0):
        super().__init__(p)
        self.fraction = _interval(self, "fraction", fraction, 0, 1)

    def draw(self, rng):
        return rng.uniform(*self.fraction), rng.random(), rng.random()

    def apply_(self, frames, size, x, y):
        inside = True
        for coordinate, corner in ((frames[..., 0], x), (frames[..., 1], y)):
            low, extent = coordinate.min(), np.ptp(coordinate)
            low = low + corner * extent
            inside = inside & (coordinate > low) & (coordinate < low + size * extent)
        frames[inside] = 0
