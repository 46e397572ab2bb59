"""The two rounds of training, put together: which data, which rows, which job.

Round 1 trains a network on each fold and predicts the fold's recordings; their scores become round 2's confidence targets.
Round 2 trains on everything. Both take their settings from a notebook's parameters.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils import demo, folds, kaggle
from aslutils.evaluate import postprocess, predict
from aslutils.files import read_json, write_json, write_table
from aslutils.jobs import forget, train_together
from aslutils.metric import score, score_interval
from aslutils.model.checkpoint import load_network
from aslutils.model.config import ModelConfig
from aslutils.model.loss import LossConfig
from aslutils.params import from_values
from aslutils.prepare import prepare
from aslutils.store import Store, StoreError
from aslutils.train import VALIDATION_SAMPLE, Job, TrainConfig, join_processes
from aslutils.training_folder import CHECKPOINT, PREDICTIONS

FOLDS, TABLE, CORPUS = "folds.csv", "train_folded_oof_supp.csv", "corpus.json"


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
class FoldsConfig:
    """Which folds this execution of notebook 01 trains."""

    folds: list = (0, 1, 2, 3)       # the folds to train
    processes: int = 1               # trainings at once: one a GPU, or a share of the cores

    def __post_init__(self):
        if not self.folds:
            raise ValueError(f"folds is {self.folds}; it must name a fold at least")
        _check_distinct("folds", self.folds)


@dataclass(frozen=True)
class SeedsConfig:
    """Which seeds this execution of notebook 03 trains."""

    seeds: list = ()                 # several seeds at once; empty: the parameter `seed` alone
    processes: int = 1               # trainings at once: one a GPU, or a share of the cores

    def __post_init__(self):
        _check_distinct("seeds", self.seeds)


def _check_distinct(name: str, values: list) -> None:
    if not all(type(value) is int for value in values) or len(set(values)) < len(values):
        raise ValueError(f"{name} is {values}; it must hold whole numbers, each once")


@dataclass(frozen=True)
class TrainingRun:
    """How a notebook runs its trainings."""

    fresh: bool = False              # train anew, forgetting checkpoints
    augmentations: list = ()         # in order; each with its ranges and its probability p


@dataclass(frozen=True)
class TableConfig(RunConfig):
    """What notebook 02 shows."""

    worst: int = 10                  # how many of the recordings with the lowest score are shown


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


def fold_job(corpus: Corpus, fold: int, model: ModelConfig, loss: LossConfig, train: TrainConfig, augmentations: list) -> Job:
    """Round 1: train on the other folds, predict this one. Raises ValueError for a fold that does not exist."""
    known = sorted(set(corpus.folds["fold"]) - {-1})
    if fold not in known:
        raise ValueError(f"there is no fold {fold!r}; there are {known}")
    rows = store_rows(corpus.store, corpus.folds)
    inside = (corpus.folds["fold"] == fold).to_numpy()
    training = rows[~inside & ~corpus.folds["holdout"].to_numpy()]
    return _job(corpus, f"fold {fold}", Path("round1") / f"fold{fold}", training, np.ones(len(training)), rows[inside],
                model, loss, train, augmentations)


def seed_jobs(corpus: Corpus, table: pd.DataFrame, seeds: list, model: ModelConfig, loss: LossConfig, train: TrainConfig,
              augmentations: list) -> list[Job]:
    """Round 2 once for each of `seeds`; without any, for the seed in `train`."""
    return [seed_job(corpus, table, model, loss, replace(train, seed=seed), augmentations) for seed in seeds or [train.seed]]


def seed_job(corpus: Corpus, table: pd.DataFrame, model: ModelConfig, loss: LossConfig, train: TrainConfig, augmentations: list,
             ) -> Job:
    """Round 2: train on every row of `table` that is not held out; at the end read the held-out ones, if there are any."""
    rows, held = store_rows(corpus.store, table), table["holdout"].to_numpy(bool)
    return _job(corpus, f"seed {train.seed}", Path("round2") / f"seed{train.seed}", rows[~held],
                table["score"].to_numpy(float)[~held], rows[held], model, loss, train, augmentations)


def _job(corpus, name, folder, rows, scores, validation, model, loss, train, augmentations) -> Job:
    return Job(name=name, folder=corpus.folder / folder, store=corpus.store.path, rows=rows, scores=scores, validation=validation,
               augmentations=tuple(augmentations), held_out=held_out(corpus.folds), loss=loss, train=train,
               model=replace(model, ctc=loss.ctc_weight > 0))


def train_params(values: dict) -> bool:
    """Train what a parameter file of notebook 01 or 03 describes, without the notebook; whether it ended.

    This is what `accelerate launch -m aslutils.train --params FILE` runs in each of its processes.
    """
    first = "folds" in values                     # only round 1 has any
    kinds = (DataConfig, TrainingRun, FoldsConfig if first else SeedsConfig, ModelConfig, LossConfig, TrainConfig)
    data, run, which, model, loss, train = from_values(values, *kinds)
    state = join_processes()
    limit = kaggle.minutes_left(train.max_minutes)
    with state.main_process_first():              # the others find the data prepared
        corpus = open_corpus(data, run.fresh and first and state.is_main_process)
    if first:
        jobs = [fold_job(corpus, fold, model, loss, train, run.augmentations) for fold in which.folds]
    else:
        jobs = seed_jobs(corpus, training_table(corpus), which.seeds, model, loss, train, run.augmentations)
    if run.fresh and state.is_main_process:
        forget(jobs)
    state.wait_for_everyone()
    return train_together(jobs, max_minutes=limit, quiet=not state.is_main_process)


def read_predictions(path) -> pd.DataFrame:
    """A table of predictions that a training left in the folder `path`."""
    return pd.read_csv(Path(path) / PREDICTIONS, keep_default_na=False, dtype={"phrase": str, "prediction": str})


def build_table(folder: Path) -> pd.DataFrame:
    """Join the folds' predictions and the supplemental recordings into round 2's table, and leave it in the run's folder.

    Raises FileNotFoundError naming what notebook 01 has still to do.
    """
    if not (folder / FOLDS).is_file():
        raise FileNotFoundError(f"{folder} has no {FOLDS}; run notebook 01_round1_folds first")
    divided = folds.read_folds(folder / FOLDS)
    known = sorted(set(divided["fold"]) - {-1})
    missing = [fold for fold in known if not (folder / "round1" / f"fold{fold}" / CHECKPOINT).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder / 'round1'} lacks the finished folds {missing}; run notebook 01_round1_folds first "
                                f"(its parameter folds: {missing})")
    predictions = pd.concat([read_predictions(folder / "round1" / f"fold{fold}") for fold in known], ignore_index=True)
    table = folds.out_of_fold_table(divided, predictions, Store(folder / "store").table)
    write_table(folder / TABLE, table)
    return table


def training_table(corpus: Corpus) -> pd.DataFrame:
    """Round 2's table: the one that notebook 02 made, or, without it, every recording with the score 1; says which."""
    path = corpus.folder / TABLE
    if path.is_file():
        table = pd.read_csv(path, keep_default_na=False, na_values={"score": [""]}, dtype={"phrase": str, "prediction": str})
        if held_out(table) != held_out(corpus.folds):
            raise ValueError(f"{path} holds other participants out than {corpus.folder / FOLDS}; run notebook 02_build_oof again")
        print(f"Training on {path}: out-of-fold scores are the confidence targets")
        return table
    print(f"There is no {path} (notebook 02 makes it): every score is 1, so the confidence head has nothing to learn")
    unread = corpus.folds[["sequence_id"]].assign(prediction=corpus.folds["phrase"])
    return folds.out_of_fold_table(corpus.folds, unread, corpus.store.table).assign(score=1.0)


def final_predictions(job: Job, corpus: Corpus) -> pd.DataFrame:
    """What a finished round-2 network reads: the held-out recordings, or some that it was trained on where none were held out."""
    if len(job.validation):
        return read_predictions(job.folder)
    return predict(load_network(job.folder / CHECKPOINT), corpus.store, job.rows[:VALIDATION_SAMPLE])


def score_table(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The score of each network's predictions as they would be handed in, and its 95 % interval; a row a network."""
    rows = {}
    for name, table in predictions.items():
        rated = postprocess(table)
        low, high = score_interval(rated["phrase"], rated["prediction"])
        rows[name] = {"recordings": len(rated), "score": score(rated["phrase"], rated["prediction"]),
                      "95 % from": low, "95 % to": high}
    return pd.DataFrame.from_dict(rows, orient="index")


def longest_right(predictions: pd.DataFrame) -> int:
    """The store row of the longest phrase that was read without an error, or of the first where there is none."""
    right = predictions[predictions["phrase"] == predictions["prediction"]]
    return int((right if len(right) else predictions.head(1)).loc[lambda table: table["phrase"].str.len().idxmax(), "row"])


def validation_words(job: Job) -> str:
    """What `final_predictions` are predictions of, in words."""
    if len(job.validation):
        return "recordings of held-out participants"
    return "recordings that it was trained on (nobody is held out, so this says little)"


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
