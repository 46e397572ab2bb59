"""The two rounds of training, put together: which rows, which job.

Round 1 trains a network on each fold and predicts the fold's recordings; their scores become round 2's confidence targets.
Round 2 trains on everything. Both take their settings from a notebook's parameters.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils import kaggle
from aslutils.data import folds
from aslutils.data.store import Store
from aslutils.model.checkpoint import load_network
from aslutils.model.config import ModelConfig
from aslutils.model.loss import LossConfig
from aslutils.run.corpus import FOLDS, Corpus, DataConfig, RunConfig, held_out, open_corpus, store_rows
from aslutils.system.files import write_table
from aslutils.system.parameters import from_values
from aslutils.task.metric import score, score_interval
from aslutils.training.evaluate import postprocess, predict
from aslutils.training.folder import CHECKPOINT, PREDICTIONS
from aslutils.training.jobs import forget, train_together
from aslutils.training.trainer import VALIDATION_SAMPLE, Job, TrainConfig, join_processes

TABLE = "train_folded_oof_supp.csv"


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

    This is what `accelerate launch -m aslutils.training.trainer --params FILE` runs in each of its processes.
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
