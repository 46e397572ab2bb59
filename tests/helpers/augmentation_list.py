"""The augmentations of the winning parameter files, and frames that say where they came from."""

from pathlib import Path

import numpy as np
import yaml

PARAMS = Path(__file__).parents[2] / "params" / "winning"
ROUND1, ROUND2 = (yaml.safe_load((PARAMS / f"{notebook}.yaml").read_text(encoding="utf-8"))["augmentations"]
                  for notebook in ("01_round1_folds", "03_fullfit"))
EVERY = [{**entry, "p": 0.5} if entry["name"] == "SpatialMask" else entry for entry in ROUND2]     # where it never acts
REST = [entry for entry in EVERY if entry["name"] not in ("Mirror", "CutMix")]


def certain(entry):
    """`entry` as one that always acts; PartDrop has no p."""
    return {**entry, "p": 1.0} if "p" in entry else entry


def numbered(length):
    """Frames whose every value is their own number, from 1, so that an output says where it came from."""
    return np.broadcast_to(np.arange(1, length + 1, dtype=np.float32)[:, None, None], (length, 130, 3)).copy()


def where(frames):
    return frames[:, 0, 0].astype(int).tolist()
