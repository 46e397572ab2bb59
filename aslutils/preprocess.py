"""From recorded landmarks to what the network sees: one sequence standardised, NaN to 0, cut to 384 frames."""

import numpy as np

from aslutils.landmarks import LANDMARKS

MAX_FRAMES = 384                  # a longer sequence is resampled to this many frames


def nearest_indices(frames: int, length: int) -> np.ndarray:
    """Which of `frames` input frames each of `length` output frames takes, nearest index in single precision.

    Output i takes floor(float32(i) * (float32(frames) / float32(length))), at most frames - 1, as the published
    solution's resize does; exact arithmetic differs at some lengths. int64 (length,).
    """
    ratio = np.float32(frames) / np.float32(length)
    indices = np.floor(np.arange(length, dtype=np.float32) * ratio).astype(np.int64)
    return np.minimum(indices, max(frames - 1, 0))


def resample(frames: np.ndarray, length: int) -> np.ndarray:
    """`frames` (T, ...) taken at `length` nearest indices."""
    return frames[nearest_indices(len(frames), length)]


def as_frames(columns: np.ndarray) -> np.ndarray:
    """Columns (T, 390), all x, all y, all z, as frames (T, 130, 3): a view."""
    if columns.ndim != 2 or columns.shape[1] != 3 * len(LANDMARKS):
        raise ValueError(f"expected an array of shape (frames, {3 * len(LANDMARKS)}), got {columns.shape}; "
                         "take the columns that aslutils.landmarks.COLUMNS names, in that order")
    return columns.reshape(-1, 3, len(LANDMARKS)).transpose(0, 2, 1)
