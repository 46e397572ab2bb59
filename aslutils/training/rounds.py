"""The two rounds of training: the rows and the job of each.

Round 1 trains a network for each fold and predicts the fold's sequences; their scores become round 2's confidence targets.
Round 2 trains on everything.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data import folds
from aslutils.data.folds import FOLDS, Corpus, held_out
from aslutils.data.sources import IDENTITY
from aslutils.data.store import Store
from aslutils.model.checkpoint import load_init, load_network
from aslutils.model.config import LossConfig, ModelConfig
from aslutils.system.errors import UserError
from aslutils.system.files import write_table
from aslutils.system.inputs import read_table
from aslutils.task.metric import score, score_interval
from aslutils.task.text import MAX_CHARACTERS
from aslutils.training.config import SeedsConfig, TrainConfig
from aslutils.training.evaluate import postprocess, predict
from aslutils.training.folder import CHECKPOINT, PREDICTIONS
from aslutils.training.trainer import VALIDATION_SAMPLE, Job

TABLE = "train_folded_oof_supp.csv"
_READ = 0.3         # the score from which a sequence counts as read by round 1


def fold_job(corpus: Corpus, fold: int, model: ModelConfig, loss: LossConfig, train: TrainConfig, augmentations: list) -> Job:
    """Round 1: train on the other folds, predict this one. Raises ValueError for a fold that does not exist."""
    known = sorted(set(corpus.folds["fold"]) - {-1})
    if fold not in known:
        raise UserError(f"there is no fold {fold!r}; there are {known}")
    rows = corpus.store.rows(corpus.folds)
    inside = (corpus.folds["fold"] == fold).to_numpy()
    training = rows[~inside & ~corpus.folds["holdout"].to_numpy()]
    return _job(corpus, f"fold {fold}", Path("round1") / f"fold{fold}", training, np.ones(len(training)), rows[inside],
                model, loss, train, augmentations)


def seed_jobs(corpus: Corpus, table: pd.DataFrame, which: SeedsConfig, model: ModelConfig, loss: LossConfig, train: TrainConfig,
              augmentations: list) -> list[Job]:
    """Round 2 for each of the seeds, or for the seed in `train` if there are none.

    Each trains on every row of `table` that is not held out, then predicts the held-out rows, if any.
    """
    rows, held = corpus.store.rows(table), table["holdout"].to_numpy(bool)
    borders = _borders(corpus, table[~held], rows[~held]) if which.align_cuts else {}
    scores = table["score"].to_numpy(float)[~held]
    return [_job(corpus, f"seed {seed}", Path("round2") / f"seed{seed}", rows[~held], scores, rows[held], model, loss,
                 replace(train, seed=seed), augmentations, borders) for seed in which.seeds or [train.seed]]


def _borders(corpus: Corpus, table: pd.DataFrame, rows: np.ndarray) -> dict[int, list[int] | None]:
    """Of each aligned row of the store: the frames before which its second and each later character begins.

    None of a row that round 1 hardly read: to align it is to guess, and joined to another it blurs what the confidence learns.
    """
    known = table[table["borders"] != ""] if "borders" in table else table[:0]
    if lacking := sorted({*table["fold"]} - {-1, *known["fold"]}):
        raise UserError(f"align_cuts is True, but in the folds {lacking} no border between characters is known: train them "
                        "with a CTC head (notebook 01, ctc_weight above 0; fresh if an earlier kit did), then run notebook 02")
    unread = ~table["is_sup"].to_numpy(bool) & ~(table["score"].to_numpy(float) >= _READ)
    found = dict.fromkeys(rows[unread].tolist())
    lengths, table = corpus.store.lengths[rows[~unread]].tolist(), table[~unread]
    for row, phrase, length, words in zip(rows[~unread].tolist(), table["phrase"], lengths, table["borders"]):
        if not words and len(phrase) != 1 or len(phrase) > MAX_CHARACTERS:
            continue                                                  # supplemental, cut short, or too few frames to align
        try:
            frames = [int(word) for word in words.split()]
        except ValueError:
            frames = []
        if len(frames) != len(phrase) - 1 or sorted({0, *frames, length}) != [0, *frames, length]:
            raise UserError(f"{corpus.folder / TABLE}: the borders {words!r} are not of {phrase!r} in {length} frames, which "
                            f"needs {len(phrase) - 1} rising frames: they are of another run; run notebooks 01 and 02 again")
        found[row] = frames
    print(f"CutMix cuts {len(found) - unread.sum():,} of {len(rows):,} sequences at borders between characters, leaves alone the "
          f"{unread.sum():,} that round 1 hardly read (score under {_READ:g}), and cuts the others at fractions")
    return found


def _job(corpus, name, folder, rows, scores, validation, model, loss, train, augmentations, borders=None) -> Job:
    short = int((corpus.store.lengths[rows] < train.min_frames).sum())
    if short:
        print(f"{name}: {short:,} of {len(rows):,} sequences are left out: they have fewer than {train.min_frames} frames")
    told = corpus.store.shown is not None and any(corpus.store.shown[row] for row in rows.tolist())
    model = replace(model, ctc=loss.ctc_weight > 0, shown=loss.shown_weight > 0 and told)
    if train.init:
        load_init(train.init, model)              # an unusable checkpoint is named before anything is trained
    return Job(name=name, folder=corpus.folder / folder, store=corpus.store.path, rows=rows, scores=scores, validation=validation,
               augmentations=tuple(augmentations), held_out=held_out(corpus.folds), loss=loss, train=train, model=model,
               borders=borders or {})


def read_predictions(path, store: Store) -> pd.DataFrame:
    """The predictions that a training wrote to the folder `path`, each with its row, length and hand_frames in `store`."""
    return store.described(read_table(Path(path) / PREDICTIONS, keep_default_na=False, na_values={"confidence": [""]},
                                      dtype={"phrase": str, "prediction": str, "borders": str}))


def build_table(folder: Path) -> pd.DataFrame:
    """Join the folds' predictions and the supplemental sequences into round 2's table, and write it to the run's folder.

    Raises FileNotFoundError naming what is still missing from notebook 01.
    """
    if not (folder / FOLDS).is_file():
        raise FileNotFoundError(f"{folder} has no {FOLDS}; run notebook 01_round1_folds first")
    divided = folds.read_folds(folder / FOLDS)
    known = sorted(set(divided["fold"]) - {-1})
    missing = [fold for fold in known if not (folder / "round1" / f"fold{fold}" / CHECKPOINT).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder / 'round1'} lacks the finished folds {missing}; run notebook 01_round1_folds first "
                                f"(its parameter folds: {missing})")
    store = Store(folder / "store")
    predictions = pd.concat([read_predictions(folder / "round1" / f"fold{fold}", store) for fold in known], ignore_index=True)
    table = folds.out_of_fold_table(divided, predictions, store.table)
    write_table(folder / TABLE, table)
    return table


def training_table(corpus: Corpus) -> pd.DataFrame:
    """Round 2's table: the one from notebook 02, or else every sequence with the score 1; prints which."""
    path = corpus.folder / TABLE
    if path.is_file():
        table = read_table(path, keep_default_na=False, na_values={"score": [""]},
                           dtype={"phrase": str, "prediction": str, "borders": str})
        if held_out(table) != held_out(corpus.folds):
            raise UserError(f"{path} holds out other participants than {corpus.folder / FOLDS}; run notebook 02_build_oof again")
        print(f"Training on {path}: out-of-fold scores are the confidence targets")
        return table
    print(f"There is no {path} (notebook 02 writes it): every score is 1, so the confidence head has nothing to learn")
    unread = corpus.folds[IDENTITY].assign(prediction=corpus.folds["phrase"])
    return folds.out_of_fold_table(corpus.folds, unread, corpus.store.table).assign(score=1.0)


def final_predictions(job: Job, corpus: Corpus) -> pd.DataFrame:
    """Predictions of a finished round-2 network: held-out sequences, or some training sequences if nobody is held out."""
    if len(job.validation):
        return read_predictions(job.folder, corpus.store)
    return predict(load_network(job.folder / CHECKPOINT), corpus.store, job.rows[:VALIDATION_SAMPLE])


def score_table(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The score of each network's post-processed predictions with its 95 % interval, one row per network."""
    rows = {}
    for name, table in predictions.items():
        rated = postprocess(table)
        low, high = score_interval(rated["phrase"], rated["prediction"])
        rows[name] = {"sequences": len(rated), "score": score(rated["phrase"], rated["prediction"]),
                      "95 % from": low, "95 % to": high}
    return pd.DataFrame.from_dict(rows, orient="index")


def longest_right(predictions: pd.DataFrame) -> int:
    """The store row of the longest phrase that was read without an error, or the first row if there is none."""
    right = predictions[predictions["phrase"] == predictions["prediction"]]
    return int((right if len(right) else predictions.head(1)).loc[lambda table: table["phrase"].str.len().idxmax(), "row"])


def validation_words(job: Job) -> str:
    """Which sequences `final_predictions` predicts, in words."""
    if len(job.validation):
        known = ", whom the training of init may have seen" if job.train.init else ""
        return f"sequences of held-out participants{known}"
    return "sequences that it was trained on (nobody is held out, so this says little)"
