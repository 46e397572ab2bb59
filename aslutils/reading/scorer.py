"""A copy of the competition's scorer: reads landmark files with a submission and scores the predictions.

    python -m aslutils score submission.zip asl-fingerspelling            (--json: the figures as one object)

It loads only the columns that `inference_args.json` selects, passes one sequence at a time to the TFLite signature
`serving_default`, takes the arg max of each row of `outputs` and drops tokens that are not characters.
"""

import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data.sources import IDENTITY, read_sequences
from aslutils.reading.landmark_files import sequences_in
from aslutils.reading.tflite import OUTPUT, Model
from aslutils.system.errors import UserError
from aslutils.system.files import atomic
from aslutils.system.inputs import JSON_LIMIT, regular_file
from aslutils.system.progress import progress
from aslutils.task.arguments import NAME as ARGUMENTS
from aslutils.task.arguments import selected_columns
from aslutils.task.metric import HIDDEN_SEQUENCES, MAX_HOURS, MAX_MEGABYTES, score, sequence_scores
from aslutils.task.text import CHARACTERS

MODEL = "model.tflite"
LIMITS = {MODEL: 1 << 30, ARGUMENTS: JSON_LIMIT}  # bytes that are read of each; the competition's limit is reported, not enforced


def score_submission(submission, data, *, sequences=None, limit: int | None = None) -> dict:
    """Score a submission on the training sequences of a competition folder.

    submission: a zip file or folder with `model.tflite` and `inference_args.json`; data: a folder with `train.csv` and
    `train_landmarks`; sequences: a table of the file_id and sequence_id of those to score (default: all); limit: score at most
    this many, spread evenly.

    Returns a dict: score, sequences (how many were scored), megabytes (of the model), mean_ms and p95_ms (CPU time per
    sequence, one thread), projected_hours (for 68,000 sequences), fits (size and time within the limits), absent
    ((file_id, sequence_id) pairs that their file lacks) and predictions, a table with file_id, sequence_id, participant_id,
    phrase, prediction, score, length and milliseconds.
    Raises FileNotFoundError or ValueError naming the file and what is wrong with it.
    """
    model, columns, megabytes = open_submission(submission)
    table = _choose(read_train(data), sequences, limit)
    rows, absent = [], []
    with progress(total=len(table), what="scoring", unit="sequences", leave=False) as bar:
        for path, part in table.groupby("path", sort=False):
            found = sequences_in(Path(data) / path, columns, part["sequence_id"].tolist())
            for record in part.to_dict("records"):
                inputs = found.get(record["sequence_id"])
                if inputs is None:
                    absent.append((record["file_id"], record["sequence_id"]))
                else:
                    prediction, milliseconds = _predict(model, inputs, record, warm=bool(rows))
                    rows.append({**record, "prediction": prediction, "length": len(inputs), "milliseconds": milliseconds})
                bar.update()
    if not rows:
        raise UserError(f"none of the {len(table)} sequences of {data} was found in its landmark files")
    predictions = pd.DataFrame(rows).drop(columns="path")
    predictions.insert(5, "score", sequence_scores(predictions["phrase"], predictions["prediction"]))
    hours = predictions["milliseconds"].mean() * HIDDEN_SEQUENCES / 3.6e6
    return {
        "score": score(predictions["phrase"].tolist(), predictions["prediction"].tolist()), "sequences": len(predictions),
        "megabytes": megabytes, "mean_ms": float(predictions["milliseconds"].mean()),
        "p95_ms": float(predictions["milliseconds"].quantile(0.95)), "projected_hours": float(hours),
        "fits": bool(megabytes <= MAX_MEGABYTES and hours <= MAX_HOURS), "absent": absent, "predictions": predictions,
    }


def pack(export, path) -> Path:
    """Zip an export's `model.tflite` and `inference_args.json` as the competition takes them; the zip is written atomically."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MODEL, ARGUMENTS):
            archive.write(Path(export) / name, name)
    return Path(path)


def open_submission(path) -> tuple[Model, list[str], float]:
    """A submission's model, the columns it selects, and the model's size in MB (10^6 bytes)."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no submission {path}; give submission.zip or the folder of an export")
    if path.is_dir():
        found = {name: regular_file(path / name, LIMITS[name]).read_bytes() for name in LIMITS if (path / name).exists()}
        held = [entry.name for entry in path.iterdir()]
    else:
        found, held = _unpack(regular_file(path))
    for name in (MODEL, ARGUMENTS):
        if name not in found:
            raise UserError(f"{path} lacks {name} at its top level; it holds {', '.join(sorted(held)[:8]) or 'nothing'}")
    columns = selected_columns(found[ARGUMENTS], f"{path}: {ARGUMENTS}")
    model = Model(found[MODEL], source=f"{path}: {MODEL}")
    if model.columns not in (-1, len(columns)):
        raise UserError(f"{model.source} reads {model.columns} columns, but its {ARGUMENTS} selects {len(columns)}")
    return model, columns, len(found[MODEL]) / 1e6


def _unpack(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """The model and its arguments from a zip file, as far as it has them, and the names of all that it holds."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename in LIMITS:
                    if member.file_size > LIMITS[member.filename]:
                        raise UserError(f"{path}: {member.filename} unpacks to {member.file_size / 1e6:,.0f} MB, expected at "
                                        f"most {LIMITS[member.filename] / 1e6:,.0f}")
                    found[member.filename] = archive.read(member)
            return found, archive.namelist()
    except UserError:
        raise
    except Exception as error:                            # a damaged archive fails anywhere in the unpackers, with any error
        if "encrypted" in str(error):
            raise UserError(f"{path} is encrypted: pack it again without a password") from error
        raise UserError(f"{path} is not a zip file, or is cut short: {error}") from error


def predict(model: Model, inputs: np.ndarray, warm: bool = True) -> tuple[str, float]:
    """The text of one sequence (frames, columns) and the CPU milliseconds it took; `warm`: the model has run before."""
    if not warm:
        model(inputs)                                     # the very first call prepares the weights
    start = time.thread_time()
    outputs = model(inputs)[OUTPUT]
    milliseconds = 1000 * (time.thread_time() - start)
    if outputs.ndim != 2 or outputs.shape[1] < len(CHARACTERS):
        raise UserError(f"{model.source} returns the shape {outputs.shape}; expected (steps, {len(CHARACTERS)} or more)")
    return "".join(CHARACTERS[index] for index in outputs.argmax(axis=1) if index < len(CHARACTERS)), milliseconds


def _predict(model: Model, inputs: np.ndarray, record: dict, warm: bool) -> tuple[str, float]:
    try:
        return predict(model, inputs, warm)
    except UserError as error:
        raise UserError(f"sequence {record['file_id']}/{record['sequence_id']}: {error}") from error


def read_train(data) -> pd.DataFrame:
    """`train.csv` of a competition folder: path, file_id, sequence_id, participant_id, phrase."""
    path = Path(data) / "train.csv"
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}; give the competition's folder, which holds train.csv and train_landmarks")
    table = read_sequences(path)
    twice = table[IDENTITY].duplicated()
    if twice.any():
        warnings.warn(f"{path}, line {table.index[twice][0]}: a sequence is there twice ({twice.sum()} such rows); the first is "
                      "kept", stacklevel=2)
    if not table["phrase"].str.len().sum():
        raise UserError(f"{path} holds no phrase to score")
    return table[~twice]


def _choose(table: pd.DataFrame, sequences, limit: int | None) -> pd.DataFrame:
    if sequences is not None:
        known, wanted = (pd.MultiIndex.from_frame(found[["file_id", "sequence_id"]]) for found in (table, sequences))
        unknown = wanted[~wanted.isin(known)]
        if len(unknown):
            raise UserError(f"train.csv has no sequence {unknown[0][0]}/{unknown[0][1]} ({len(unknown)} of the sequences "
                            "to score are not in it)")
        table = table[known.isin(wanted)]
    if limit is not None and limit < len(table):
        table = table.iloc[np.linspace(0, len(table) - 1, limit).astype(int)]
    return table


def summary(result: dict) -> str:
    """A result in words."""
    lines = [
        f"score            {result['score']:.4f} on {result['sequences']:,} sequences",
        f"size             {result['megabytes']:.1f} MB of {MAX_MEGABYTES}",
        f"latency          {result['mean_ms']:.1f} ms mean, {result['p95_ms']:.1f} ms at 95 % (CPU time, one thread)",
        f"projected        {result['projected_hours']:.2f} h of {MAX_HOURS} for {HIDDEN_SEQUENCES:,} sequences",
    ]
    if not result["fits"]:
        lines.append("This submission is over the competition's limits.")
    if result["absent"]:
        lines.append(f"{len(result['absent'])} sequences are not in their files, first {'/'.join(map(str, result['absent'][0]))}")
    return "\n".join(lines)
