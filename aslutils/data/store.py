"""The landmark store: every sequence of a corpus in one memory-mapped array of frames, and one table that finds them.

A store is a folder: `frames.bin` (rows of 390 columns: x, then y, then z of the 130 landmarks, NaN where not seen),
`table.parquet` (one row a sequence), `store.json` (what this is; written last, so a store without it is unfinished) and
`skipped.csv` (what was left out, and why). `aslutils.data.prepare` writes it, `Store(path)` opens it.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.system.files import atomic, read_json, write_json
from aslutils.task.landmarks import LANDMARKS, ORDER_DIGEST
from aslutils.task.preprocess import as_frames, standardise

VERSION = 1
WIDTH = 3 * len(LANDMARKS)                        # 390 columns a frame
DTYPES = ("float16", "float32")
FRAMES, TABLE, HEADER, SKIPPED = "frames.bin", "table.parquet", "store.json", "skipped.csv"
STATISTICS = [f"{statistic}_{axis}" for statistic in ("mean", "deviation") for axis in "xyz"]
TABLE_COLUMNS = ["file_id", "sequence_id", "participant_id", "phrase", "is_sup", "start", "frames", "hand_frames", *STATISTICS]
REMEDY = "make it anew with `python -m aslutils.data.prepare DATA {path} --rebuild`"


class StoreError(ValueError):
    """A folder that is no store, or one that this version of the kit cannot use."""


def seal(path: Path, table: pd.DataFrame, dtype: str, source: dict) -> None:
    """Finish the store whose `frames.bin` is written: its table, then the header that declares it whole."""
    with atomic(path / TABLE) as temporary:
        table[TABLE_COLUMNS].to_parquet(temporary, index=False)
    write_json(path / HEADER, {
        "store": "ASL fingerspelling landmarks", "version": VERSION, "landmarks": ORDER_DIGEST, "dtype": dtype,
        "sequences": len(table), "frames": int((table["start"] + table["frames"]).max()),
        "table_bytes": os.path.getsize(path / TABLE), "source": source,
    })


def read_header(path) -> dict:
    """The header of a whole store that this version reads.

    Raises StoreError, saying what is wrong and how to mend it, when the folder is no finished store, its header comes
    from another version or landmark order, or a file of it is cut short.
    """
    path = Path(path)
    remedy = REMEDY.format(path=path)
    if not (path / HEADER).is_file():
        raise StoreError(f"{path} is no finished landmark store (it has no {HEADER}); "
                         f"run `python -m aslutils.data.prepare DATA {path}`, which goes on where a preparation stopped")
    try:
        header = read_json(path / HEADER)
        version, landmarks, dtype = header["version"], header["landmarks"], header["dtype"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path / HEADER} is not a store's header ({error!r}); {remedy}") from error
    if version != VERSION:
        raise StoreError(f"the store {path} has version {version}, this kit reads version {VERSION}; {remedy}")
    if landmarks != ORDER_DIGEST or dtype not in DTYPES:
        raise StoreError(f"the store {path} holds other landmarks ({landmarks}, {dtype}) than this kit's "
                         f"({ORDER_DIGEST}, {' or '.join(DTYPES)}); {remedy}")
    for name, size in ((FRAMES, header["frames"] * WIDTH * np.dtype(dtype).itemsize), (TABLE, header["table_bytes"])):
        found = os.path.getsize(path / name) if (path / name).exists() else 0
        if found != size:
            raise StoreError(f"{path / name} has {found:,} bytes where its header says {size:,}: cut short or replaced; {remedy}")
    return header


class Store:
    """A landmark store, opened for reading; its frames stay on disk and are shared by all processes that read them.

    header: dict, what `store.json` says; table: one row a sequence in corpus order (training rows, then supplemental),
    with file_id, sequence_id, participant_id, phrase, is_sup, start and frames (its rows of `array`), hand_frames (with a
    hand seen) and the statistics that standardise it; array: the frames, (all frames, 390), memory-mapped; starts,
    lengths: int64 (sequences,); statistics: float32 (sequences, 2, 3), means and deviations of x, y, z.
    Raises StoreError as `read_header` does.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.header = read_header(path)
        self.table = pd.read_parquet(self.path / TABLE)
        self.starts = self.table["start"].to_numpy(np.int64)
        self.lengths = self.table["frames"].to_numpy(np.int64)
        self.statistics = self.table[STATISTICS].to_numpy(np.float32).reshape(-1, 2, 3)
        self.array = np.memmap(self.path / FRAMES, self.header["dtype"], "r", shape=(self.header["frames"], WIDTH))

    def __len__(self):
        return len(self.table)

    def __reduce__(self):
        return Store, (self.path,)                # another process opens the files itself: no frame is copied to it

    def gather(self, places: np.ndarray) -> np.ndarray:
        """The frames at `places` in `array`, in that order: float32 (len(places), 390)."""
        frames = self.array.take(places, axis=0)
        if frames.dtype == np.float16:            # torch converts 25 times as fast as numpy; preparing does without torch
            import torch
            frames = torch.from_numpy(frames).float().numpy()
        return frames

    def raw(self, row: int) -> np.ndarray:
        """Sequence `row` as it was recorded: float32 (T, 130, 3), NaN where not seen."""
        start = self.starts[row]
        return as_frames(self.array[start:start + self.lengths[row]].astype(np.float32))

    def standardised(self, row: int) -> np.ndarray:
        """Sequence `row` as the network takes it: float32 (T, 130, 3), standardised, 0 where not seen."""
        return standardise(self.raw(row), self.statistics[row])
