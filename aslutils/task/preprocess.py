"""From landmarks to frames, what the network sees: standardised, NaN replaced by 0, resampled to at most 384 frames."""

import numpy as np

from aslutils.system.errors import UserError
from aslutils.task.landmarks import LANDMARKS

MAX_FRAMES = 384                  # a longer sequence is resampled to this many frames
CONSTANT = 1e-5                   # a coordinate that varies less than this share of its mean counts as constant


def nearest_indices(length: int, wanted: int) -> np.ndarray:
    """Which of `length` input frames each of `wanted` output frames takes, nearest index in single precision.

    Output i takes floor(float32(i) * (float32(length) / float32(wanted))), at most length - 1, as the published
    solution's resize does; exact arithmetic differs at some lengths. int64 (wanted,).
    """
    ratio = np.float32(length) / np.float32(wanted)
    indices = np.floor(np.arange(wanted, dtype=np.float32) * ratio).astype(np.int64)
    return np.minimum(indices, max(length - 1, 0))


def resample(frames: np.ndarray, length: int) -> np.ndarray:
    """`frames` (T, ...) taken at `length` nearest indices."""
    return frames[nearest_indices(len(frames), length)]


def fit_length(frames: np.ndarray, length: int = MAX_FRAMES) -> np.ndarray:
    """`frames` (T, ...) as they are up to `length` frames, resampled to `length` when there are more."""
    return frames if len(frames) <= length else resample(frames, length)


def as_landmarks(columns: np.ndarray) -> np.ndarray:
    """Columns (T, 390), all x, all y, all z, as landmarks (T, 130, 3): a view."""
    if columns.ndim != 2 or columns.shape[1] != 3 * len(LANDMARKS):
        raise UserError(f"expected an array of shape (frames, {3 * len(LANDMARKS)}), got {columns.shape}; "
                         "take the columns that aslutils.task.landmarks.COLUMNS names, in that order")
    return columns.reshape(len(columns), 3, len(LANDMARKS)).transpose(0, 2, 1)


def statistics(frames: np.ndarray) -> np.ndarray:
    """What standardises a sequence: each coordinate's mean and population standard deviation over all seen landmarks.

    frames: float (T, 130, 3), NaN where not seen. Returns float32 (2, 3): means, then deviations. A coordinate that is
    never seen, or constant but for rounding, has the deviation 0.
    """
    missing = np.isnan(frames)
    count = np.maximum(frames.shape[0] * frames.shape[1] - missing.view(np.uint8).sum(0, dtype=np.uint32).sum(0), 1)
    values = frames.astype(np.float32)                                       # a copy, worked on in place for speed
    np.copyto(values, 0, where=missing)
    mean = (values.sum(0).sum(0, dtype=np.float64) / count).astype(np.float32)
    values -= mean
    np.copyto(values, 0, where=missing)
    return as_statistics(mean, np.square(values, out=values).sum(0).sum(0, dtype=np.float64) / count)


def as_statistics(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Means and deviations, float32 (2, ...), from means and variances (...); the deviation of what is constant is exactly 0."""
    deviation = np.sqrt(np.maximum(variance, 0))
    return np.stack([mean, np.where(deviation > CONSTANT * np.abs(mean), deviation, 0)]).astype(np.float32)


def standardise(frames: np.ndarray, known: np.ndarray | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """A sequence with mean 0 and deviation 1 in each coordinate, over all its seen landmarks; then 0 where not seen.

    frames: float (T, 130, 3) with NaN, any T >= 0; known: its `statistics`, if available; out: float32, where to write the
    result, possibly `frames` itself. Returns float32 (T, 130, 3) without NaN. A constant coordinate becomes 0, as a single
    point has no deviation (the published solution gets there via 0 / 0).
    """
    mean, deviation = statistics(frames) if known is None else known
    inverse = np.divide(1, deviation, out=np.zeros(3, np.float32), where=deviation > 0)
    standardised = np.subtract(frames, mean, out=out, dtype=np.float32)
    standardised *= inverse
    np.copyto(standardised, 0, where=np.isnan(standardised))
    return standardised
