"""The sequences on which notebooks 04 and 05 score an export, and the contents of their reports."""

from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data import folds
from aslutils.data.sources import IDENTITY, find_kind
from aslutils.data.store import HEADER, Store
from aslutils.run.sessions import CORPUS
from aslutils.system.errors import UserError
from aslutils.system.inputs import read_json, read_table

MADE_FROM = {"demo": "made up by the kit's kinematic hand, not by a person", "competition": "files in the competition's layout",
             "npy": "the published preprocessed arrays"}      # by the kind of a run's data


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


def scored_rows(folder: Path, most: int, facts: list[dict]) -> tuple[Store | None, np.ndarray, ScoredOn]:
    """What an export is scored on: the store, up to `most` of its rows drawn at random, and what they are.

    Sequences of held-out participants if there are any, else sequences that were trained on; without a store, none. facts: of the
    ensemble's checkpoints; only networks trained in this run are known not to have seen the held-out participants.
    """
    if not has_store(folder):
        return None, np.zeros(0, int), ScoredOn.NOTHING
    store, table = Store(folder / "store"), folds.read_folds(folder / folds.FOLDS)
    held = table[table["holdout"]]
    honest = all(known.get("held_out") == folds.held_out(table) for known in facts)
    kind = ScoredOn.TRAINED_ON if not len(held) else ScoredOn.HELD_OUT if honest else ScoredOn.ELSEWHERE
    rows = np.random.default_rng(1).permutation(store.rows(held if len(held) else table))[:most]
    return store, np.sort(rows), kind


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


def confidence_auc(folder: Path, sequences: pd.DataFrame | None, confidences) -> float | None:
    """AUC of the confidence: how well it separates the demo's corrupted sequences from its clean ones.

    sequences: a table of file_id and sequence_id; confidences: one per sequence, NaN for networks without that head. Returns None
    without sequences or confidences, if the data is not the demo's, or if all sequences are of one kind.
    """
    path = folder / "data" / "corrupted.csv"
    if not path.is_file() or sequences is None or not len(sequences):
        return None
    known = pd.MultiIndex.from_frame(read_table(path)[IDENTITY])
    corrupted = pd.MultiIndex.from_frame(sequences[IDENTITY]).isin(known)
    if corrupted.all() or not corrupted.any() or np.isnan(confidences).any():
        return None
    order = pd.Series(confidences).rank().to_numpy()
    clean, others = int((~corrupted).sum()), int(corrupted.sum())
    return float((order[~corrupted].sum() - clean * (clean + 1) / 2) / (clean * others))


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
            "parameters": {name: value for name, value in facts.items() if name != "augmentations"}}
