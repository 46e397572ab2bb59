"""The export in every precision: size, time, agreement with PyTorch and score, and the choice among them."""

import time

import numpy as np
import pandas as pd

from aslutils.model.beam import BeamSearch
from aslutils.port.compare import Answer, read_tflite
from aslutils.port.export import PRECISIONS, convert, with_precision
from aslutils.reading.recognizer import OWN_MODEL
from aslutils.reading.tflite import PROBABILITIES, Model
from aslutils.system.errors import UserError
from aslutils.system.progress import progress
from aslutils.task.metric import HIDDEN_SEQUENCES, score
from aslutils.task.preprocess import resample
from aslutils.task.rejection import PUBLISHED, Limits

TYPICAL_FRAMES = 150               # the median of the competition's sequences


def build_variants(networks, beam: BeamSearch | None = None, limits: Limits = PUBLISHED,
                   half_rate: bool = False) -> dict[str, bytes]:
    """The ensemble in every precision: its name -> a TFLite file, the most faithful first. Arguments as for `convert`."""
    content = convert(networks, beam, limits=limits, half_rate=half_rate)
    return {precision: with_precision(content, precision) for precision in PRECISIONS}


def typical_sequence() -> np.ndarray:
    """For timing: the made-up clip that comes with the kit, in which a hand spells, drawn out to (150, 390)."""
    return resample(np.load(OWN_MODEL / "clip.npy").astype(np.float32), TYPICAL_FRAMES)


def typical_is_read(content: bytes) -> bool:
    """Whether a TFLite model reads that sequence; one that rejects it spells nothing, so its time is too short."""
    return bool((Model(content)(typical_sequence())[PROBABILITIES] > 0).any())


def milliseconds(model: Model) -> float:
    """The median CPU time to read that sequence, one thread."""
    sequence, times = typical_sequence(), []
    for _ in range(10):                           # the first call prepares the weights
        began = time.thread_time()
        model(sequence)
        times.append(1000 * (time.thread_time() - began))
    return float(np.median(times[1:]))


def measure_variants(variants: dict[str, bytes], seeds: int, sequences=(), phrases=(), reference: list[Answer] = (),
                     ) -> pd.DataFrame:
    """One row per variant: variant, seeds, megabytes, milliseconds (mean CPU time), hours (projected), agreement, score.

    sequences: columns (T, 390) to read; phrases: theirs; reference: PyTorch's answers for them; without any, the
    time is that of `typical_sequence`, and agreement (share of texts equal to PyTorch's) and score are NaN.
    """
    rows = []
    for name, content in variants.items():
        model = Model(content)
        row = {"variant": name, "seeds": seeds, "megabytes": len(content) / 1e6, "milliseconds": np.nan, "hours": np.nan,
               "agreement": np.nan, "score": np.nan}
        if len(sequences):
            model(sequences[0])
            began = time.thread_time()
            texts = [read_tflite(model, inputs).text
                     for inputs in progress(sequences, what=f"reading with {name}", unit="sequences", leave=False)]
            row["milliseconds"] = 1000 * (time.thread_time() - began) / len(sequences)
            row["agreement"] = float(np.mean([text == expected.text for text, expected in zip(texts, reference, strict=True)]))
            row["score"] = score(list(phrases), texts)
        else:
            row["milliseconds"] = milliseconds(model)
        row["hours"] = row["milliseconds"] * HIDDEN_SEQUENCES / 3.6e6
        rows.append(row)
    return pd.DataFrame(rows)


def choose(table: pd.DataFrame, precision: str, max_mb: float, max_ms: float) -> str:
    """The variant to export: `precision` itself, or for "auto" the most faithful one within the limits.

    Raises ValueError when nothing fits, naming the size and time of each variant.
    """
    if precision != "auto":
        return precision
    fitting = table[(table["megabytes"] <= max_mb) & (table["milliseconds"] <= max_ms)]
    if not len(fitting):
        found = "; ".join(f"{row.variant} {row.megabytes:.1f} MB, {row.milliseconds:.0f} ms" for row in table.itertuples())
        raise UserError(f"no variant fits {max_mb} MB and {max_ms} ms: {found}. Average fewer or smaller networks")
    return str(fitting["variant"].iloc[0])
