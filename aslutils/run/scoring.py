"""The sequences on which notebooks 04 and 05 score an export, and the contents of their reports."""

from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data import folds
from aslutils.data.sources import IDENTITY, find_kind
from aslutils.data.store import HEADER, Store
from aslutils.demo.gestures import GESTURES
from aslutils.run.sessions import CORPUS
from aslutils.system.errors import UserError
from aslutils.system.inputs import read_json, read_table
from aslutils.task.metric import sequence_scores
from aslutils.task.rejection import Verdict

MADE_FROM = {"demo": "made up by the kit's kinematic hand, not by a person", "competition": "files in the competition's layout",
             "npy": "the published preprocessed arrays"}      # by the kind of a run's data
SPELLED, CORRUPTED, UNSPELLED = "spelled", "corrupted", "nobody spells"      # kinds of the demo's sequences


class ScoredOn(Enum):
    """Which sequences a score was measured on; reports store the name and show the value."""

    HELD_OUT = "sequences of held-out participants"
    TRAINED_ON = "sequences that were trained on (nobody is held out)"
    ELSEWHERE = "sequences that these networks, from elsewhere, may have been trained on"
    GIVEN = "sequences of the given data"
    NOTHING = "nothing: there are no sequences to score on"


def has_store(folder: Path) -> bool:
    """Whether the run's sequences are available."""
    return (folder / "store" / HEADER).is_file() and (folder / folds.FOLDS).is_file()


def kinds(folder: Path, table: pd.DataFrame) -> np.ndarray:
    """What the sequences of `table` are: str (N,), SPELLED, or CORRUPTED or UNSPELLED in data that the demo wrote.

    table: with file_id and sequence_id.
    """
    places = [folder / "data"]
    if (folder / CORPUS).is_file():
        places.append(Path(read_json(folder / CORPUS)["data"]))
    path = next((place / "unreadable.csv" for place in places if (place / "unreadable.csv").is_file()), None)
    if path is None:
        return np.full(len(table), SPELLED)
    listed = read_table(path).set_index(IDENTITY)["kind"]
    found = listed.reindex(pd.MultiIndex.from_frame(table[IDENTITY]))
    return np.where(found.isna(), SPELLED, np.where(found.isin(GESTURES), UNSPELLED, CORRUPTED))


def by_kind(found: np.ndarray, answers: pd.DataFrame) -> pd.DataFrame:
    """How each kind of sequences was answered, one row a kind, SPELLED first.

    found: of each sequence, from `kinds`; answers: its phrase, prediction, read (not rejected), confidence. Columns: sequences;
    score, clipped to 0..1 and averaged over sequences; read, the share that got a text; confidence, its mean; AUC, how often a
    spelled sequence has the higher confidence (NaN for these themselves, and where confidences are unknown).
    """
    answers = answers.assign(score=sequence_scores(answers["phrase"], answers["prediction"]))
    spelled = answers.loc[found == SPELLED, "confidence"]
    rows = {}
    for kind in (SPELLED, CORRUPTED, UNSPELLED):
        own = answers[found == kind]
        if len(own):
            rows[kind] = {"sequences": len(own), **own[["score", "read", "confidence"]].mean(),
                          "AUC": float("nan") if kind == SPELLED else auc(spelled, own["confidence"])}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["sequences", "score", "read", "confidence", "AUC"])


def answers_by_kind(folder: Path, store: Store | None, rows, answers) -> pd.DataFrame:
    """`by_kind` of an ensemble's answers (`port.compare.Answer`) to the store's `rows`; no row without a store."""
    table = store.table.iloc[rows] if store else pd.DataFrame(columns=[*IDENTITY, "phrase"])
    return by_kind(kinds(folder, table), pd.DataFrame({
        "phrase": table["phrase"].tolist(), "prediction": [answer.text for answer in answers],
        "read": [answer.verdict is Verdict.READ for answer in answers],
        "confidence": [answer.confidence for answer in answers]}))


def auc(higher, lower) -> float:
    """How often a value of `higher` is above one of `lower`, ties counted half; NaN without values or with an unknown one."""
    values, above, below = pd.Series([*higher, *lower], dtype=float), len(higher), len(lower)
    if not above or not below or values.isna().any():
        return float("nan")
    order = values.rank().to_numpy()
    return float((order[:above].sum() - above * (above + 1) / 2) / (above * below))


def scored_rows(folder: Path, most: int, facts: list[dict]) -> tuple[Store | None, np.ndarray, ScoredOn]:
    """What an export is scored on: the store, up to `most` of its rows drawn at random, and what they are.

    Sequences of held-out participants if there are any, else sequences that were trained on; without a store, none. The demo's
    sequences that spell nothing are not among them. facts: of the ensemble's checkpoints; only networks trained in this run are
    known not to have seen the held-out participants, if they began from random weights.
    """
    if not has_store(folder):
        return None, np.zeros(0, int), ScoredOn.NOTHING
    store, table = Store(folder / "store"), folds.read_folds(folder / folds.FOLDS)
    held = table[table["holdout"]]
    honest = all(known.get("held_out") == folds.held_out(table) and not known.get("init") for known in facts)
    kind = ScoredOn.TRAINED_ON if not len(held) else ScoredOn.HELD_OUT if honest else ScoredOn.ELSEWHERE
    candidates = held if len(held) else table
    rows = store.rows(candidates[kinds(folder, candidates) != UNSPELLED])
    return store, np.sort(np.random.default_rng(1).permutation(rows)[:most]), kind


def unspelled_rows(folder: Path, most: int) -> np.ndarray:
    """Up to `most` of the store's rows, drawn like `scored_rows`, in which nobody spells; the demo's data alone has such."""
    if not has_store(folder):
        return np.zeros(0, int)
    table = folds.read_folds(folder / folds.FOLDS)
    candidates = table[table["holdout"]] if table["holdout"].any() else table
    rows = Store(folder / "store").rows(candidates[kinds(folder, candidates) == UNSPELLED])
    return np.sort(np.random.default_rng(1).permutation(rows)[:most])


def scored_sequences(folder: Path, most: int, data: str) -> tuple[pd.DataFrame | None, ScoredOn]:
    """The sequences to score, as a table of file_id and sequence_id, and what they are; None: any of the given `data`."""
    if data or not has_store(folder):
        return None, ScoredOn.GIVEN
    store, rows, kind = scored_rows(folder, most, read_json(folder / "export" / "report.json")["facts"])
    return store.table.iloc[rows][IDENTITY], kind


def scoring_data(folder: Path, data: str) -> Path | None:
    """The folder of competition files to score on: `data`, else the run's own, or None if there are none."""
    if data:
        if find_kind(data) != "competition":
            raise UserError(f"data: {data} holds preprocessed arrays, but the scorer reads the competition's parquet files")
        return Path(data)
    if not (folder / CORPUS).is_file():
        return None
    known = read_json(folder / CORPUS)
    return None if known["kind"] == "npy" or not Path(known["data"]).is_dir() else Path(known["data"])


def submission_report(folder: Path, result: dict | None, kind: ScoredOn) -> dict:
    """The contents of a submission's report and model card: figures of the scorer (None if not scored) and of the training.

    result: from the scorer; kind: which sequences it scored.
    """
    export = read_json(folder / "export" / "report.json")
    made_from = read_json(folder / CORPUS)["kind"] if (folder / CORPUS).is_file() else None
    known = {name: None for name in ("score", "sequences", "mean_ms", "p95_ms", "projected_hours")}
    figures = {name: value for name, value in (result or {}).items() if name not in ("predictions", "absent")}
    facts = export["facts"][0] if export["facts"] else {}
    return {**known, "megabytes": export["megabytes"], **figures, "scored_on": (kind if result else ScoredOn.NOTHING).name,
            "made_from": MADE_FROM.get(made_from),
            "precision": export["variant"], "seeds": export["seeds"], "beams": export["beams"],
            "half_rate": export.get("half_rate", False),              # an earlier version's report does not say
            "parameters": {name: value for name, value in facts.items() if name != "augmentations"}}
