"""What notebooks 04 and 05 work on: checkpoints to export, recordings to score them on, what the reports say."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data import folds
from aslutils.data.prepare import find_kind
from aslutils.data.store import Store
from aslutils.model.beam import BeamSearch
from aslutils.model.checkpoint import Checkpoint
from aslutils.run.corpus import CORPUS, FOLDS, RunConfig, held_out, store_rows
from aslutils.system.files import read_json
from aslutils.task.landmarks import COLUMNS
from aslutils.training.folder import CHECKPOINT

RECORDINGS = {"demo": "made up by the kit's kinematic hand, signed by nobody", "competition": "files in the competition's layout",
              "npy": "the published preprocessed arrays"}      # a run's, by their kind


@dataclass(frozen=True)
class ExportConfig(RunConfig):
    """What notebook 04 makes of the checkpoints."""

    checkpoints: list = ()           # checkpoints to average, ours or published ones; empty: every finished seed of the run
    precision: str = "auto"          # float32, float16, mixed, int8; auto: the most faithful that fits max_mb and max_ms
    max_mb: float = 40.0             # the competition's limit for the model file
    max_ms: float = 265.0            # a recording's time on one core; 265 is 5 h for 68,000 recordings
    compared: int = 400              # recordings that the variants are compared on, at most
    beams: int = -1                  # of a beam search in the model; 0: greedy; -1: 8 for our networks, greedy for published ones
    length_penalty: float = 0.5      # of the search, see BeamSearch
    rerank_weight: float = 0.4       # share of the backward decoder's opinion in ranking what the search found

    def __post_init__(self):
        if self.beams < -1:
            raise ValueError(f"beams is {self.beams}; it must be a number of hypotheses, 0 for greedy, or -1")
        if self.compared < 1:
            raise ValueError(f"compared is {self.compared}; compare at least 1 recording")


@dataclass(frozen=True)
class SubmissionConfig(RunConfig):
    """What notebook 05 does with the export."""

    data: str = ""                   # competition folder to score on; "": the one that the run was made from
    scored: int = 2000               # recordings that the scorer reads, at most
    push: bool = False               # publish export/ as a Kaggle data set
    title: str = "ASL fingerspelling recogniser"   # of the data set, 6..50 characters
    slug: str = "asl-fingerspelling-recogniser"    # its address
    user: str = ""                   # its owner's Kaggle name; "": whose credentials are here
    license: str = "apache-2.0"      # one of Kaggle's names
    description: str = "Fingerspelling to text: MediaPipe landmarks in, characters out."
    public: bool = False             # whether a new data set is public
    message: str = "New version"     # what a new version's notes say

    def __post_init__(self):
        if self.scored < 1:
            raise ValueError(f"scored is {self.scored}; score at least 1 recording")


def find_checkpoints(folder: Path, asked: list) -> list[Path]:
    """The checkpoints to export: those `asked` for, else every finished seed of the run.

    Raises FileNotFoundError naming what is missing.
    """
    paths = [Path(path).expanduser() for path in asked] or sorted(folder.glob(f"round2/seed*/{CHECKPOINT}"))
    if not paths:
        raise FileNotFoundError(f"{folder / 'round2'} holds no finished seed; run notebook 03_fullfit first, or name checkpoints")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"there is no checkpoint {path}")
    return paths


def decoding(config: ExportConfig, loaded: list[Checkpoint]) -> BeamSearch | None:
    """How the model decodes the loaded checkpoints' ensemble: by a search, or greedily (None).

    Left to itself it searches only where the gain was measured: with our networks that have a trained backward decoder.
    """
    ours = all(not checkpoint.published and checkpoint.network.backward_decoder is not None
               and checkpoint.facts.get("backward_weight", 0) > 0 for checkpoint in loaded)
    beams = config.beams if config.beams >= 0 else BeamSearch.beams if ours else 0
    return BeamSearch(beams, config.length_penalty, config.rerank_weight) if beams else None


def scored_rows(folder: Path, most: int, facts: list[dict]) -> tuple[Store | None, np.ndarray, str]:
    """What an export is scored on: the store, up to `most` of its rows, drawn at random, and what they are, in words.

    The held-out participants' recordings where there are any, else recordings that were trained on; without a store, none.
    facts: of the ensemble's checkpoints: only networks that this run trained are known not to have seen the held-out people.
    """
    if not has_store(folder):
        return None, np.zeros(0, int), "no recordings: this run has no data, so nothing is compared or scored"
    store, table = Store(folder / "store"), folds.read_folds(folder / FOLDS)
    held = table[table["holdout"]]
    honest = all(known.get("held_out") == held_out(table) for known in facts)
    words = ("recordings that were trained on: nobody is held out" if not len(held) else
             "recordings of held-out participants" if honest else
             "recordings that these networks may have been trained on: they come from elsewhere")
    rows = np.random.default_rng(1).permutation(store_rows(store, held if len(held) else table))[:most]
    return store, np.sort(rows), f"{len(rows):,} {words}"


def find_export(folder: Path) -> Path:
    """The folder of the run's exported model. Raises FileNotFoundError when notebook 04 has not made it."""
    for name in ("model.tflite", "inference_args.json", "report.json"):
        if not (folder / "export" / name).is_file():
            raise FileNotFoundError(f"{folder / 'export'} lacks {name}; run notebook 04_convert_tflite first")
    return folder / "export"


def confidence_auc(folder: Path, sequences, confidences) -> float | None:
    """How well the confidence tells the demo's spoilt recordings from its good ones: the area under the ROC curve.

    sequences: their ids; confidences: beside them, NaN of networks without that head. None where there are none, the data is not
    the demo's, or all recordings are of one kind.
    """
    path = folder / "data" / "broken.csv"
    if not path.is_file() or not len(sequences):
        return None
    broken = np.isin(sequences, pd.read_csv(path)["sequence_id"])
    if broken.all() or not broken.any() or np.isnan(confidences).any():
        return None
    order = pd.Series(confidences).rank().to_numpy()
    good, bad = int((~broken).sum()), int(broken.sum())
    return float((order[~broken].sum() - good * (good + 1) / 2) / (good * bad))


def has_store(folder: Path) -> bool:
    """Whether the run has its recordings at hand."""
    return (folder / "store" / "store.json").is_file() and (folder / FOLDS).is_file()


def scored_sequences(folder: Path, most: int, data: str) -> tuple[list[int] | None, str]:
    """Which recordings the scorer reads, and what they are, in words; None: any of the given `data`."""
    if data or not has_store(folder):
        return None, "recordings of the given data"
    store, rows, words = scored_rows(folder, most, read_json(folder / "export" / "report.json")["facts"])
    return sequence_ids(store, rows).tolist(), words


def submission_report(folder: Path, result: dict | None, words: str) -> dict:
    """What a submission's report and model card hold: the scorer's figures, None where nothing was scored, and the training's.

    result: of the scorer; words: what it scored.
    """
    export = read_json(folder / "export" / "report.json")
    kind = read_json(folder / CORPUS)["kind"] if (folder / CORPUS).is_file() else None
    known = {name: None for name in ("score", "sequences", "mean_ms", "p95_ms", "projected_hours")}
    figures = {name: value for name, value in (result or {}).items() if name not in ("predictions", "absent")}
    facts = export["facts"][0] if export["facts"] else {}
    return {**known, "megabytes": export["megabytes"], **figures, "scored_on": words if result else "nothing",
            "recordings": RECORDINGS.get(kind),
            "precision": export["variant"], "seeds": export["seeds"], "beams": export["beams"],
            "parameters": {name: value for name, value in facts.items() if name != "augmentations"}}


def scoring_data(folder: Path, data: str) -> Path | None:
    """The competition files to run the scorer on: the folder `data`, else those that the run was made from, if there are any."""
    if data:
        if find_kind(data) != "competition":
            raise ValueError(f"data: {data} holds preprocessed arrays; the scorer reads the competition's parquet files")
        return Path(data)
    if not (folder / CORPUS).is_file():
        return None
    known = read_json(folder / CORPUS)
    return None if known["kind"] == "npy" or not Path(known["data"]).is_dir() else Path(known["data"])


def columns(store: Store, row: int) -> np.ndarray:
    """A recording as the exported model takes it: float32 (T, 390), NaN where not seen."""
    return store.raw(row).transpose(0, 2, 1).reshape(-1, len(COLUMNS))


def sequence_ids(store: Store | None, rows) -> np.ndarray:
    """The sequence_ids of store rows: int (N,)."""
    return store.table["sequence_id"].to_numpy()[rows] if len(rows) else np.zeros(0, int)
