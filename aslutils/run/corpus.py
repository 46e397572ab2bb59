"""A run's data: found or made, prepared once, divided into folds once; and which recordings of it a table means."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils import kaggle
from aslutils.data import folds
from aslutils.data.prepare import prepare
from aslutils.data.store import Store, StoreError
from aslutils.demo import writer as demo
from aslutils.system.files import read_json, write_json, write_table

FOLDS, CORPUS = "folds.csv", "corpus.json"


@dataclass(frozen=True)
class RunConfig:
    """Which run."""

    run: str = "demo"                # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>


@dataclass(frozen=True)
class DataConfig(RunConfig):
    """What a run reads."""

    data: str = ""                   # folder of competition or published .npy files; "": what Kaggle attached, else the demo
    store_dtype: str = "float16"     # of the landmark store: float16 (error below MediaPipe's jitter) or float32
    fold_count: int = 4              # participant-disjoint folds
    fold_seed: int = 1               # decides folds and held-out participants
    folds_file: str = ""             # a published train_folded.csv to take the folds from
    holdout: float = 0.0             # share of the participants kept out of both rounds, for honest scores
    demo_sequences: int = 6000       # size of the demo data, written when there is no other
    demo_supplemental: int = 400     # its supplemental recordings
    demo_participants: int = 60      # its people
    demo_seed: int = 1               # and its seed

    def __post_init__(self):
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout is {self.holdout}; it is a share of the participants, at least 0 and below 1")


@dataclass(frozen=True)
class Corpus:
    """A run's data, opened."""

    folder: Path                     # the run's
    data: Path                       # the files that the store was made from
    kind: str                        # "competition", "npy" or "demo"
    store: Store
    folds: pd.DataFrame              # training rows: file_id, sequence_id, participant_id, phrase, seq_len, fold, holdout


def open_run(run: str) -> Path:
    """The folder of a run, with what earlier Kaggle sessions left of it."""
    for line in kaggle.adopt(run):
        print(line)
    return kaggle.run_folder(run)


def open_corpus(config: DataConfig, fresh: bool = False) -> Corpus:
    """Find or make the data, prepare the store once, divide the participants once; says what it found.

    Without `data` a run goes on with the data that it was made from. fresh: divide anew, and make the demo's own data and store
    anew, where they were made with other parameters; else that is an error.
    """
    folder = open_run(config.run)
    source = kaggle.find_data(config.data or _remembered(folder))
    print(f"Data: {source.how}")
    data = _demo_data(config, folder / "data", fresh) if source.folder is None else source.folder
    own = data == folder / "data"
    try:
        store = prepare(data, folder / "store", dtype=config.store_dtype)
    except StoreError:
        if not fresh or not own:
            raise
        store = prepare(data, folder / "store", dtype=config.store_dtype, rebuild=True)
    write_json(folder / CORPUS, {"data": str(Path(data).resolve()), "kind": source.kind})
    return Corpus(folder, Path(data), source.kind, store, _folds(config, store, folder, fresh))


def _remembered(folder: Path) -> str:
    """The user's data that the run was made from, "" where there was none or it is not there any more."""
    if not (folder / CORPUS).is_file():
        return ""
    known = read_json(folder / CORPUS)
    return known["data"] if known["kind"] != "demo" and Path(known["data"]).is_dir() else ""


def _demo_data(config: DataConfig, folder: Path, fresh: bool) -> Path:
    def write():
        return demo.write_demo(folder, sequences=config.demo_sequences, supplemental=config.demo_supplemental,
                               participants=config.demo_participants, seed=config.demo_seed, workers=min(4, os.cpu_count() or 1))
    try:
        return write()
    except FileExistsError:
        if not fresh or not (folder / "demo.json").is_file():
            raise
        shutil.rmtree(folder)                     # the run's own, of other parameters
        return write()


def _folds(config: DataConfig, store: Store, folder: Path, fresh: bool) -> pd.DataFrame:
    if config.folds_file:
        if config.holdout:
            raise ValueError(f"folds_file and holdout ({config.holdout}) exclude each other: the table says who is held out")
        table = folds.read_folds(config.folds_file)
        store_rows(store, table)                  # all of its recordings must be there
    else:
        people = store.table.loc[~store.table["is_sup"], "participant_id"].nunique()
        held = max(1, round(config.holdout * people)) if config.holdout else 0
        table = folds.assign_folds(store.table, config.fold_count, holdout=held, seed=config.fold_seed)
    path = folder / FOLDS
    if path.is_file() and not fresh and not folds.read_folds(path).equals(table):
        raise ValueError(f"{path} was divided with another fold_count, fold_seed, folds_file or holdout, and trainings of this "
                         "run may rest on it; use those again, another run name, or fresh=True in notebook 01 (--fresh)")
    write_table(path, table)
    return table


def held_out(table: pd.DataFrame) -> str:
    """A name for the set of held-out participants in a table of folds; "" when nobody is."""
    people = sorted(set(table.loc[table["holdout"].astype(bool), "participant_id"]))
    return hashlib.sha256(repr([int(person) for person in people]).encode()).hexdigest()[:16] if people else ""


def with_recordings(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """`table` with frames and hand_frames of each recording, and its store row."""
    rows = store_rows(store, table)
    found = store.table.iloc[rows][["frames", "hand_frames"]].set_index(table.index)
    return table.assign(row=rows, frames=found["frames"], hand_frames=found["hand_frames"])


def store_rows(store: Store, table: pd.DataFrame) -> np.ndarray:
    """The store's row of each row of `table`, by file_id and sequence_id: int (N,).

    Raises ValueError naming the first recording that the store does not hold.
    """
    keys = pd.MultiIndex.from_frame(store.table[["file_id", "sequence_id"]])
    rows = keys.get_indexer(pd.MultiIndex.from_frame(table[["file_id", "sequence_id"]]))
    if (rows < 0).any():
        first = table.iloc[int((rows < 0).argmax())]
        raise ValueError(f"the store {store.path} does not hold the recording {first['file_id']}/{first['sequence_id']} "
                         "of the table; were they made from the same data?")
    return rows


def clear_recording(store: Store, skip: int = 0) -> int:
    """The store row of a recording that is good to look at: long enough, a hand in most frames, a phrase of some length."""
    table = store.table
    length = np.minimum(table["phrase"].str.len() / 6, 1) + np.minimum(table["frames"] / 40, 1)
    clear = table["hand_frames"] / table["frames"] + length
    return int(clear.sort_values(ascending=False, kind="stable").index[min(skip, len(table) - 1)])
