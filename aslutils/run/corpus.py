"""A run's data: found or generated, then prepared and divided into folds once."""

import os
import shutil
from pathlib import Path

import pandas as pd

from aslutils.data import folds
from aslutils.data.folds import Corpus
from aslutils.data.prepare import prepare
from aslutils.data.store import Store, StoreError
from aslutils.demo.writer import write_demo
from aslutils.run import place, sessions
from aslutils.run.config import DataConfig
from aslutils.system.errors import UserError
from aslutils.system.files import writable, write_json, write_table


def open_run(run: str) -> Path:
    """The folder of a run, with the outputs of earlier Kaggle sessions."""
    folder = writable(sessions.run_folder(run))
    for line in sessions.adopt(run):
        print(line)
    return folder


def open_corpus(config: DataConfig, fresh: bool = False) -> Corpus:
    """Find or generate the data, prepare the store once, divide the participants once; prints what it found.

    Without `data` a run continues with the data it was made from. If the folds, or the demo's data and store, were made with
    other parameters, they are made again with `fresh`; otherwise this raises an error.
    """
    folder = open_run(config.run)
    source = place.find_data(config.data or sessions.remembered_data(folder))
    print(f"Data: {source.how}")
    data = _demo_data(config, folder / "data", fresh) if source.folder is None else source.folder
    own = data == folder / "data"
    try:
        store = prepare(data, folder / "store", dtype=config.store_dtype)
    except StoreError:
        if not fresh or not own:
            raise
        store = prepare(data, folder / "store", dtype=config.store_dtype, rebuild=True)
    write_json(folder / sessions.CORPUS, {"data": str(Path(data).resolve()), "kind": source.kind})
    return Corpus(folder, Path(data), source.kind, store, _folds(config, store, folder, fresh))


def _demo_data(config: DataConfig, folder: Path, fresh: bool) -> Path:
    def write():
        return write_demo(folder, sequences=config.demo_sequences, supplemental=config.demo_supplemental,
                          participants=config.demo_participants, seed=config.demo_seed, characters=(1, config.demo_characters),
                          long=config.demo_long, frames_per_character=config.demo_pace, missing=config.demo_missing,
                          resting=config.demo_resting, varied=config.demo_varied,
                          workers=min(4, os.cpu_count() or 1, 1 + config.demo_sequences // 500))   # a process starts slowly
    old = folder.with_name(f"{folder.name}.old")
    if old.exists():
        shutil.rmtree(old)
    try:
        return write()
    except FileExistsError:
        if not fresh or not (folder / "demo.json").is_file():
            raise
        folder.rename(old)                        # the run's own, made with other parameters; whole until it is out of the way
        shutil.rmtree(old)
        return write()


def _folds(config: DataConfig, store: Store, folder: Path, fresh: bool) -> pd.DataFrame:
    if config.folds_file:
        table = folds.read_folds(config.folds_file)
        store.rows(table)                         # raises unless the store holds all of its sequences
    else:
        table = folds.divide(store.table, config.fold_count, config.holdout, config.fold_seed)
    path = folder / folds.FOLDS
    if path.is_file() and not fresh and not folds.read_folds(path).equals(table):
        raise UserError(f"{path} was divided with another fold_count, fold_seed, folds_file or holdout, and trainings of this "
                        "run may depend on it; use those again, another run name, or fresh=True in notebook 01 (--fresh)")
    write_table(path, table)
    return table
