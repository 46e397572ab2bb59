"""The landmark store: every sequence of a corpus in one memory-mapped array, and a table that locates them.

A store is a folder: `columns.bin` (rows of 390 columns: x, then y, then z of the 130 landmarks, NaN where not seen),
`table.parquet` (one row a sequence), `store.json` (the header; written last, so a store without it is unfinished) and
`skipped.csv` (what was left out, and why). `aslutils.data.prepare` writes it, `Store(path)` opens it.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data.sources import IDENTITY, SHOWN
from aslutils.system import versions
from aslutils.system.errors import UserError
from aslutils.system.files import atomic, write_json
from aslutils.system.inputs import read_json
from aslutils.task.landmarks import HANDS, LANDMARKS, ORDER_DIGEST
from aslutils.task.preprocess import as_landmarks, standardise

WIDTH = 3 * len(LANDMARKS)                        # 390 columns a frame
DTYPES = ("float16", "float32")
COLUMNS_FILE, TABLE, HEADER, SKIPPED = "columns.bin", "table.parquet", "store.json", "skipped.csv"
STATISTICS = [f"{statistic}_{axis}" for statistic in ("mean", "deviation") for axis in "xyz"]
TABLE_COLUMNS = ["file_id", "sequence_id", "participant_id", "phrase", "is_sup", "start", "length", "hand_frames", *STATISTICS]
REMEDY = "rebuild it with `python -m aslutils prepare DATA {path} --rebuild`"


class StoreError(UserError):
    """A folder that is not a store, or a store that this version of the kit cannot use."""


def seal(path: Path, table: pd.DataFrame, dtype: str, source: dict) -> None:
    """Finish the store whose `columns.bin` is written: its table, then the header that marks it as complete."""
    with atomic(path / TABLE) as temporary:
        table[[*TABLE_COLUMNS, *table.columns.intersection([SHOWN])]].to_parquet(temporary, index=False)
    write_json(path / HEADER, {
        "store": "ASL fingerspelling landmarks", "version": versions.STORE, "landmarks": ORDER_DIGEST, "dtype": dtype,
        "sequences": len(table), "frame_count": int((table["start"] + table["length"]).max()),
        "table_bytes": os.path.getsize(path / TABLE), "source": source,
    })


def read_header(path) -> dict:
    """The header of a complete store that this version reads.

    Raises StoreError, saying what is wrong and how to fix it, when the folder is not a finished store, its header is
    from another version or landmark order, or one of its files is cut short.
    """
    path = Path(path)
    remedy = REMEDY.format(path=path)
    if not (path / HEADER).is_file():
        raise StoreError(f"{path} is not a finished landmark store (it has no {HEADER}); "
                         f"run `python -m aslutils prepare DATA {path}`, which resumes an interrupted preparation")
    try:
        header = read_json(path / HEADER)
        version, landmarks, dtype = header["version"], header["landmarks"], header["dtype"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path / HEADER} is not a store's header ({error!r}); {remedy}") from error
    if version != versions.STORE:
        raise StoreError(f"the store {path} has version {version}, this kit reads version {versions.STORE}; {remedy}")
    if landmarks != ORDER_DIGEST or dtype not in DTYPES:
        raise StoreError(f"the store {path} holds other landmarks ({landmarks}, {dtype}) than this kit's "
                         f"({ORDER_DIGEST}, {' or '.join(DTYPES)}); {remedy}")
    for name, size in ((COLUMNS_FILE, header["frame_count"] * WIDTH * np.dtype(dtype).itemsize), (TABLE, header["table_bytes"])):
        found = os.path.getsize(path / name) if (path / name).exists() else 0
        if found != size:
            raise StoreError(f"{path / name} has {found:,} bytes where its header says {size:,}: cut short or replaced; {remedy}")
    return header


def is_finished(store: Path, plan: dict) -> bool:
    """Whether `store` is complete and made from this input. Raises StoreError when it is damaged or holds something else."""
    if not (store / HEADER).exists():
        return False
    header = read_header(store)
    if header["source"]["fingerprint"] != plan["fingerprint"]:
        raise StoreError(f"the store {store} was made from other data (or the data has changed since); "
                         f"choose another folder, or {REMEDY.format(path=store)}")
    if header["dtype"] != plan["dtype"]:
        remedy = REMEDY.format(path=f"{store} --dtype {plan['dtype']}")
        raise StoreError(f"the store {store} holds {header['dtype']}, not {plan['dtype']}; {remedy}")
    return True


def clear(store: Path) -> None:
    for name in (HEADER, COLUMNS_FILE, SKIPPED, "table.parquet"):          # the header first: unfinished from here on
        (store / name).unlink(missing_ok=True)


class Store:
    """A landmark store, opened for reading; its columns stay on disk and are shared by all processes that read them.

    header: dict, what `store.json` says; table: one row a sequence in corpus order (training rows, then supplemental),
    with file_id, sequence_id, participant_id, phrase, is_sup, start and length (its rows of `array`), hand_frames (frames
    with a hand seen) and the statistics that standardise it; array: columns, (all frames, 390), memory-mapped; starts,
    lengths: int64 (sequences,); statistics: float32 (sequences, 2, 3), means and deviations of x, y, z; shown: what each frame of
    each sequence shows, as in the data's tables ("" where that is not known), None if none of them says it.
    Raises StoreError as `read_header` does.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.header = read_header(path)
        self.table = pd.read_parquet(self.path / TABLE)
        self.starts = self.table["start"].to_numpy(np.int64)
        self.lengths = self.table["length"].to_numpy(np.int64)
        self.statistics = self.table[STATISTICS].to_numpy(np.float32).reshape(-1, 2, 3)
        self.shown = self.table[SHOWN].tolist() if SHOWN in self.table else None
        self.array = np.memmap(self.path / COLUMNS_FILE, self.header["dtype"], "r", shape=(self.header["frame_count"], WIDTH))

    def __len__(self):
        return len(self.table)

    def __reduce__(self):
        return Store, (self.path,)                # another process opens the files itself: no frame is copied to it

    def columns(self, row: int) -> np.ndarray:
        """Sequence `row` as the exported model takes it: float32 (T, 390), NaN where not seen."""
        start = self.starts[row]
        return self.array[start:start + self.lengths[row]].astype(np.float32)

    def landmarks(self, row: int) -> np.ndarray:
        """Sequence `row` as recorded: float32 (T, 130, 3), NaN where not seen."""
        return as_landmarks(self.columns(row))

    def frames(self, row: int) -> np.ndarray:
        """Sequence `row` as the network takes it: float32 (T, 130, 3), standardised, 0 where not seen."""
        return standardise(self.landmarks(row), self.statistics[row])

    def usual_end(self, rows) -> int:
        """How many frames without a hand sequences of `rows` usually begin or end with at most: three of four have no longer end.

        Of at most 2,000 of them with a hand; 0 without any.
        """
        chosen = np.random.default_rng(1).permutation(np.asarray(rows, int))[:2000]
        ends = []
        for row in np.sort(chosen):
            seen = np.isfinite(self.array[self.starts[row]:self.starts[row] + self.lengths[row], HANDS]).any(axis=1)    # their x
            if seen.any():
                ends.append(max(seen.argmax(), seen[::-1].argmax()))
        return int(np.ceil(np.quantile(ends, 0.75))) if ends else 0

    def usual_characters(self, rows) -> int:
        """How many characters the phrases of `rows` usually have at most: nine of ten have no more; 0 without any."""
        lengths = self.table["phrase"].iloc[np.asarray(rows, int)].str.len()
        return int(lengths.quantile(0.9, interpolation="higher")) if len(lengths) else 0

    def rows(self, table: pd.DataFrame) -> np.ndarray:
        """The store's row of each row of `table`, by file_id and sequence_id: int (N,).

        Raises UserError naming the first sequence that the store does not hold.
        """
        known = pd.MultiIndex.from_frame(self.table[IDENTITY])
        rows = known.get_indexer(pd.MultiIndex.from_frame(table[IDENTITY]))
        if (rows < 0).any():
            file_id, sequence_id = table[IDENTITY].iloc[int((rows < 0).argmax())]
            raise UserError(f"the store {self.path} does not hold the sequence {file_id}/{sequence_id} of the table; were they "
                            "made from the same data?")
        return rows

    def described(self, table: pd.DataFrame) -> pd.DataFrame:
        """`table` with each sequence's store row, its length and hand_frames."""
        rows = self.rows(table)
        found = self.table.iloc[rows][["length", "hand_frames"]].set_index(table.index)
        return table.assign(row=rows, length=found["length"], hand_frames=found["hand_frames"])
