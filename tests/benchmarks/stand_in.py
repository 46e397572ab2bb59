"""A stand-in for the corpus at its real lengths, as a landmark store, for the benchmarks of the data path."""

from pathlib import Path

import numpy as np
import pandas as pd
from corpus import CHARACTERS, FRAMES, draws

from aslutils import store as stores
from aslutils import text
from aslutils.landmarks import LEFT_HAND, RIGHT_HAND
from aslutils.preprocess import as_frames, statistics

CORPUS = 67_208 + 52_958          # sequences of the competition, training and supplemental


def lengths(count: int, rng: np.random.Generator) -> np.ndarray:
    """Frames of `count` sequences, in random order, distributed as in the corpus."""
    return rng.permutation(draws(FRAMES, count))


def phrases(count: int, rng: np.random.Generator) -> list[str]:
    """Random phrases of the corpus' lengths."""
    letters = np.array(list(text.CHARACTERS))
    return ["".join(rng.choice(letters, length)) for length in rng.permutation(draws(CHARACTERS, count))]


def recording(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of plausible size, float32 (frames, 390): no left hand, a right hand in about half of the frames."""
    values = 0.5 + 0.1 * rng.standard_normal((frames, 3, 130), dtype=np.float32)
    values[:, :, LEFT_HAND] = np.nan
    seen = np.repeat(rng.random(frames // 8 + 1) < 0.5, 8)[:frames]
    values[np.ix_(~seen, range(3), RIGHT_HAND)] = np.nan
    return values.reshape(frames, 390)


def write_store(folder: Path, distinct: int, rows: int, dtype: str = "float16", seed: int = 0) -> stores.Store:
    """A store of `rows` sequences by 94 participants, 44 % supplemental, which share the frames of `distinct` recordings."""
    rng = np.random.default_rng(seed)
    count = lengths(distinct, rng)
    folder.mkdir(parents=True)
    known = []
    with open(folder / stores.FRAMES, "wb") as file:
        for frames in count:
            values = recording(frames, rng)
            known.append(statistics(as_frames(values)).ravel())
            file.write(values.astype(dtype))
    which = np.arange(rows) % distinct
    table = pd.DataFrame({"file_id": np.arange(rows) // 1000, "sequence_id": np.arange(rows), "phrase": phrases(rows, rng),
                          "participant_id": rng.integers(94, size=rows), "is_sup": np.arange(rows) >= 0.56 * rows,
                          "start": (count.cumsum() - count)[which], "frames": count[which], "hand_frames": count[which] // 2})
    table[stores.STATISTICS] = np.array(known)[which]
    stores.seal(folder, table, dtype, {"kind": "stand-in", "files": 0, "skipped": 0, "fingerprint": ""})
    return stores.Store(folder)
