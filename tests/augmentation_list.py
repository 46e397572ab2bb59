"""A list of augmentations as a parameter file holds it, and frames that say where they came from."""

import numpy as np

ALL = [
    {"name": "Resample", "low": 0.3, "high": 2.0, "p": 0.8}, {"name": "DynamicResample", "low": 0.9, "high": 1.1, "p": 0.25},
    {"name": "TimeShift", "low": -10, "high": 10, "p": 0.5},
    {"name": "SpatialAffine", "scale": [0.7, 1.3], "shear": [-0.2, 0.2], "shift": [-0.15, 0.15], "degree": [-30, 30], "p": 0.75},
    {"name": "FingersDrop", "p": 0.5625}, {"name": "PartDrop", "pose": 0.265, "face": 0.189, "hands": 0.091},
    {"name": "OneOf", "p": 0.5, "of": [{"name": "TemporalMask", "count": 1}, {"name": "TemporalMask", "count": 4}]},
    {"name": "SpatialMask", "p": 0.5},
]


def numbered(length):
    """Frames whose every value is their own number, from 1, so that an output says where it came from."""
    return np.broadcast_to(np.arange(1, length + 1, dtype=np.float32)[:, None, None], (length, 130, 3)).copy()


def where(frames):
    return frames[:, 0, 0].astype(int).tolist()
