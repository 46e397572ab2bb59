"""A run's data, opened; participant-disjoint folds; and the out-of-fold table of round 1."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data.sources import IDENTITY
from aslutils.data.store import Store
from aslutils.system.errors import UserError
from aslutils.system.inputs import read_rows
from aslutils.task.metric import sequence_scores
from aslutils.task.sequences import whole_numbers
from aslutils.task.text import MAX_CHARACTERS, phrase_kind

FOLDS = "folds.csv"                               # in a run's folder
FOLD_COLUMNS = [*IDENTITY, "participant_id", "phrase", "seq_len", "fold", "holdout"]
SUPPLEMENTAL_SCORE = 0.5                          # supplemental sequences have no out-of-fold prediction
BALANCED, ATTEMPTS = 0.01, 8                      # a fold's deviation from the mean that is good enough; searches for it
LIMIT, PATIENCE = 0.05, 40                        # the deviation that is promised; searches for it before giving up
CHUNK = 256                                       # swaps that are tried at once


@dataclass(frozen=True)
class Corpus:
    """A run's data, opened."""

    folder: Path                     # the run's folder
    data: Path                       # the files that the store was made from
    kind: str                        # "competition", "npy" or "demo"
    store: Store
    folds: pd.DataFrame              # training rows: file_id, sequence_id, participant_id, phrase, seq_len, fold, holdout


def divide(table: pd.DataFrame, folds: int, holdout: float, seed: int) -> pd.DataFrame:
    """`assign_folds` with a share of the participants held out, in 0..1: at least one participant if the share is above 0."""
    people = table.loc[~table["is_sup"], "participant_id"].nunique()
    return assign_folds(table, folds, max(1, round(holdout * people)) if holdout else 0, seed)


def assign_folds(table: pd.DataFrame, folds: int, holdout: int, seed: int) -> pd.DataFrame:
    """Assign the participants of the training sequences to folds, balanced in sequences and kinds of phrase.

    table: a store's (its supplemental rows are ignored); folds: how many, at least 2; holdout: how many participants, drawn
    at random, are kept out of both rounds. Returns one row per training sequence with file_id, sequence_id, participant_id,
    phrase, seq_len (frames), fold (0.., -1 where held out) and holdout; the same for the same seed. Raises ValueError when
    there are too few participants.
    """
    train = table[~table["is_sup"]].rename(columns={"length": "seq_len"})
    people = np.sort(train["participant_id"].unique())
    if folds < 2 or holdout < 0 or len(people) - holdout < folds:
        raise UserError(f"{len(people)} participants, {holdout} of them held out, cannot make {folds} folds: "
                         f"a fold needs at least one participant of its own, and there must be 2 folds or more")
    rng = np.random.default_rng(seed)
    held = rng.permutation(people)[:holdout]
    free = people[~np.isin(people, held)]
    counts = pd.crosstab(train["participant_id"], train["phrase"].map(phrase_kind)).loc[free].to_numpy(np.float64)
    counts = np.column_stack([counts.sum(1), counts])[:, np.r_[True, counts.sum(0) > 0]]   # sequences, then each kind that occurs
    best = _deal(counts, folds, rng)
    for attempt in range(1, PATIENCE):
        if _imbalance(counts, best, folds) <= (BALANCED if attempt < ATTEMPTS else LIMIT):
            break
        best = min(best, _deal(counts, folds, rng), key=lambda fold: _imbalance(counts, fold, folds))
    fold_of = dict(zip(free, best))
    train = train.assign(fold=train["participant_id"].map(fold_of).fillna(-1).astype("int64"),
                         holdout=train["participant_id"].isin(held))
    return train[FOLD_COLUMNS].reset_index(drop=True)


def _deal(counts: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Each participant's fold: the largest participant first, to the emptiest fold, then moves and swaps while they help."""
    order = np.argsort(-counts[:, 0] * rng.uniform(0.9, 1.1, len(counts)), kind="stable")
    fold = np.empty(len(counts), np.int64)
    size = np.zeros(folds)
    for rank, person in enumerate(order):
        fold[person] = rank if rank < folds else size.argmin()               # no fold stays empty
        size[fold[person]] += counts[person, 0]
    improved = True
    while improved and _imbalance(counts, fold, folds) > BALANCED:
        pairs = rng.permuted(np.indices((len(counts), len(counts))).reshape(2, -1).T, axis=0)
        alone = pairs[:, 0] == pairs[:, 1]                                   # a participant who moves, to a fold by chance
        target = np.zeros(len(pairs), np.int64)
        target[alone] = [rng.integers(folds) for _ in range(alone.sum())]
        improved = _improve(counts, fold, folds, pairs, target)
    return fold


def _improve(counts: np.ndarray, fold: np.ndarray, folds: int, pairs: np.ndarray, target: np.ndarray) -> bool:
    """Make those swaps and moves, one after the other, that each improve the balance; changes `fold`. Whether any did.

    pairs: (N, 2), two participants who swap their folds, or twice the same one, who moves to fold `target`.
    """
    sums, improved, first = _sums(counts, fold, folds), False, 0
    best, mean = _imbalance(counts, fold, folds), sums.mean(0)
    while first < len(pairs):
        person, other = pairs[first:first + CHUNK].T
        alone, chunk = person == other, np.arange(len(person))
        left, right = fold[person], np.where(alone, target[first:first + CHUNK], fold[other])
        gained = np.where(alone, 0.0, counts[other].T).T - counts[person]    # by the fold that the first leaves
        trials = np.repeat(sums[None], len(person), 0)
        trials[chunk, left] += gained
        trials[chunk, right] -= gained
        costs = np.where((trials[:, :, 0] != 0).all(1), np.abs(trials / mean - 1).max((1, 2)), np.inf)
        better = np.flatnonzero(costs < best)
        if not len(better):
            first += len(person)
            continue
        taken = better[0]
        fold[person[taken]], fold[other[taken]] = right[taken], right[taken] if alone[taken] else left[taken]
        sums, best, improved = trials[taken], costs[taken], True
        first += taken + 1
    return improved


def _sums(counts: np.ndarray, fold: np.ndarray, folds: int) -> np.ndarray:
    """Of each fold: its sequences, then those of each kind of phrase."""
    return np.eye(folds)[:, fold] @ counts


def _imbalance(counts: np.ndarray, fold: np.ndarray, folds: int) -> float:
    """The largest deviation of a fold from the mean fold, as a share of the mean, over sequences and kinds of phrase."""
    sums = _sums(counts, fold, folds)
    return float(np.abs(sums / sums.mean(0) - 1).max()) if sums[:, 0].all() else np.inf


def balance(folds: pd.DataFrame) -> pd.DataFrame:
    """One row per fold: participants, sequences, sequences of each kind of phrase, and largest deviation from the mean in %."""
    counts = pd.crosstab(folds["fold"], folds["phrase"].map(phrase_kind))
    counts.columns.name = None
    dealt = counts[counts.index >= 0]
    counts.insert(0, "sequences", counts.sum(axis=1))
    counts.insert(0, "participants", folds.groupby("fold")["participant_id"].nunique())
    whole = counts.loc[dealt.index].drop(columns="participants")
    counts["deviation %"] = (100 * (whole / whole.mean() - 1).abs().max(axis=1)).round(1)
    return counts


def verdict(balance: pd.DataFrame) -> str:
    """One line about a table from `balance`: whether every fold is within 5 % of the mean."""
    deviation, participants = balance["deviation %"].max(), balance.loc[balance.index >= 0, "participants"].sum()
    limit = f"{100 * LIMIT:g} %"
    if deviation <= 100 * LIMIT:
        return f"balanced within {limit}: no fold deviates by more than {deviation:.1f} %"
    return (f"not balanced within {limit}: a fold deviates by {deviation:.1f} %; {participants} participants, each in one fold "
            "only, may be too few for a better balance: their numbers of sequences and kinds of phrase differ")


def read_folds(path) -> pd.DataFrame:
    """Read a table of folds: ours, or a published `train_folded.csv` (without held-out participants; other columns are dropped).

    Raises UserError naming the line, or the column, that is not as expected: no participant may be in two folds.
    """
    path = Path(path).expanduser()
    table = read_rows(path, tuple(FOLD_COLUMNS[:-1]), ("holdout",))
    where = lambda index: f"{path}, line {table.index[index]}"
    for column in set(FOLD_COLUMNS[:-1]) - {"phrase"}:
        table[column] = whole_numbers(table[column].tolist(), column, where)
    words = table["holdout"].str.strip().str.lower() if "holdout" in table else pd.Series("false", table.index)
    held = words.isin(("true", "1")).to_numpy()
    wrong = ~(held | words.isin(("false", "0"))) | (held != (table["fold"] == -1)) | (table["fold"] < -1)
    if wrong.any():
        row = table.iloc[wrong.argmax()]
        raise UserError(f"{where(wrong.argmax())}: fold is {row['fold']} and holdout {row.get('holdout', 'absent')!r}; expected "
                        "a fold of 0 or more and False, or -1 and True")
    if not (~held).any():
        raise UserError(f"{path} holds no sequence of a fold; expected rows with a fold of 0 or more")
    if (table["seq_len"] < 1).any():
        place = (table["seq_len"] < 1).to_numpy().argmax()
        raise UserError(f"{where(place)}: seq_len is {table['seq_len'].iloc[place]}, expected frames, at least 1")
    table["holdout"] = held
    twice = table[IDENTITY].duplicated().to_numpy()
    if twice.any():
        row = table.iloc[twice.argmax()]
        raise UserError(f"{where(twice.argmax())}: sequence {row['file_id']}/{row['sequence_id']} is there twice")
    first = table.groupby("participant_id")["fold"].transform("first")
    moved = (table["fold"] != first).to_numpy()
    if moved.any():
        row = table.iloc[moved.argmax()]
        raise UserError(f"{where(moved.argmax())}: participant {row['participant_id']} is in fold {row['fold']} and in fold "
                        f"{first.iloc[moved.argmax()]}; each participant belongs to one fold only")
    return table[FOLD_COLUMNS].reset_index(drop=True)


def out_of_fold_table(folds: pd.DataFrame, predictions: pd.DataFrame, store_table: pd.DataFrame) -> pd.DataFrame:
    """What round 2 trains on: every training sequence with its out-of-fold score, and the supplemental ones marked.

    folds: from `assign_folds` or `read_folds`; predictions: file_id, sequence_id and prediction of every training
    sequence in a fold; store_table: where the supplemental rows come from. Supplemental sequences have score 0.5 and fold -1;
    those with phrases of more than 32 characters, and those of held-out participants, are left out. Held-out training sequences
    stay, marked, with an empty prediction and no score (NaN). `borders` stay, "" where unknown, if the predictions have them.
    Raises ValueError when a prediction is missing or duplicated.
    """
    twice = predictions[IDENTITY].duplicated()
    if twice.any():
        file_id, sequence_id = predictions.loc[twice, IDENTITY].iloc[0]
        raise UserError(f"sequence {file_id}/{sequence_id} has two predictions; every sequence is validated in one fold only: "
                        "remove the out-of-fold files of an older run and run notebook 01 again")
    found = ["prediction", *(["borders"] if "borders" in predictions else [])]
    train = folds.merge(predictions[[*IDENTITY, *found]], on=IDENTITY, how="left").assign(is_sup=False)
    lacking = train["prediction"].isna() & ~train["holdout"]
    if lacking.any():
        counts = train.loc[lacking, "fold"].value_counts().sort_index()
        raise UserError(f"{lacking.sum():,} training sequences have no prediction (" +
                         ", ".join(f"fold {fold}: {count:,}" for fold, count in counts.items()) + "); run notebook 01 for them")
    train["prediction"] = train["prediction"].fillna("").where(~train["holdout"], "")
    train["score"] = np.where(train["holdout"], np.nan, sequence_scores(train["phrase"], train["prediction"]))
    held = folds.loc[folds["holdout"], "participant_id"].unique()
    sup = store_table[store_table["is_sup"] & (store_table["phrase"].str.len() <= MAX_CHARACTERS)
                      & ~store_table["participant_id"].isin(held)]
    sup = sup.rename(columns={"length": "seq_len"}).assign(fold=-1, holdout=False, prediction="", score=SUPPLEMENTAL_SCORE)
    table = pd.concat([train, sup[[column for column in train if column in sup]]], ignore_index=True)
    table["phrase_len"] = table["phrase"].str.len()
    if "borders" in table:
        table["borders"] = table["borders"].fillna("")
    return table[[*IDENTITY, "participant_id", "phrase", "seq_len", "phrase_len", "fold", "holdout", "is_sup", "prediction",
                  "score", *found[1:]]]


def held_out(table: pd.DataFrame) -> str:
    """A name for the set of held-out participants in a table of folds; "" when there are none."""
    people = sorted(set(table.loc[table["holdout"].astype(bool), "participant_id"]))
    return hashlib.sha256(repr([int(person) for person in people]).encode()).hexdigest()[:16] if people else ""
