"""The export in every precision: size, time, agreement with PyTorch and score, and the choice among them."""

import re
import time

import numpy as np
import pandas as pd

from aslutils.model.beam import BeamSearch
from aslutils.port.compare import Reading, compare, read_tflite
from aslutils.port.export import PRECISIONS, convert, with_precision
from aslutils.port.precision import rewrite, set_precisions, unpack
from aslutils.reading.tflite import Model
from aslutils.system.progress import progress
from aslutils.task.landmarks import COLUMNS
from aslutils.task.metric import HIDDEN_SEQUENCES, score

GROUPS = {                         # parts of a network -> a pattern of their layers' names
    "stem": r"\.stem\.", "encoder attention": r"\.attention\.", "encoder feed-forward": r"\.feed_forward",
    "encoder convolution": r"\.pointwise", "decoder self-attention": r"\.self_attention\.",
    "decoder's keys and values of the frames": r"\.cross_attention\.(key|value)/",
    "decoder's look at the frames": r"\.cross_attention\.(projection|output)/",
    "decoder feed-forward": r"\.layers\.\d+\.linear", "decoder head": r"\.head/",
}
TYPICAL_FRAMES = 150               # the median of the competition's recordings


def build_variants(networks, beam: BeamSearch | None = None) -> dict[str, bytes]:
    """The ensemble in every precision: its name -> a TFLite file, the most faithful first. beam: None is greedy decoding."""
    content = convert(networks, beam)
    return {precision: with_precision(content, precision) for precision in PRECISIONS}


def typical_recording() -> np.ndarray:
    """A made-up recording (frames, 390) to take the time of."""
    return np.random.default_rng(1).uniform(0.2, 0.8, (TYPICAL_FRAMES, len(COLUMNS))).astype(np.float32)


def milliseconds(model: Model) -> float:
    """The median CPU time of that recording, one thread."""
    recording, times = typical_recording(), []
    for _ in range(10):                           # the first call prepares the weights
        began = time.thread_time()
        model(recording)
        times.append(1000 * (time.thread_time() - began))
    return float(np.median(times[1:]))


def measure_variants(variants: dict[str, bytes], seeds: int, sequences=(), phrases=(), reference: list[Reading] = (),
                     ) -> pd.DataFrame:
    """One row a variant: variant, seeds, megabytes, milliseconds (mean CPU time), hours (projected), agreement, score.

    sequences: recordings (T, 390) to read, phrases: what they say, reference: PyTorch's readings of them; without any, the
    time is that of a made-up recording of 150 frames, and agreement (share of texts equal to PyTorch's) and score are NaN.
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
                     for inputs in progress(sequences, what=f"reading with {name}", unit="recordings", leave=False)]
            row["milliseconds"] = 1000 * (time.thread_time() - began) / len(sequences)
            row["agreement"] = float(np.mean([text == expected.text for text, expected in zip(texts, reference, strict=True)]))
            row["score"] = score(list(phrases), texts)
        else:
            row["milliseconds"] = milliseconds(model)
        row["hours"] = row["milliseconds"] * HIDDEN_SEQUENCES / 3.6e6
        rows.append(row)
    return pd.DataFrame(rows)


def sensitivity(content: bytes, sequences, reference: list[Reading]) -> pd.DataFrame:
    """What int8 costs in each part of the networks when all else keeps float32: one row a part, the dearest first.

    content: the float32 variant; sequences: recordings (T, 390); reference: PyTorch's readings of them. Columns: part, megabytes
    (saved), changed (share of texts), difference (mean over texts of the largest difference of their logits, where the text is
    the same), mixed (what that part is kept in by the variant of this name).
    """
    mixed, rows = set_precisions(unpack(content), PRECISIONS["mixed"]), []
    for part, pattern in progress(GROUPS.items(), what="int8 part by part", unit="parts"):
        names = [name for name in mixed if re.search(pattern, name)]
        variant = rewrite(content, (dict.fromkeys(mixed, "float32") | dict.fromkeys(names, "int8")).get)
        table = compare(Model(variant), sequences, reference)
        rows.append({"part": part, "megabytes": (len(content) - len(variant)) / 1e6, "changed": 1 - table["agrees"].mean(),
                     "difference": table["difference"][table["agrees"]].mean(),
                     "mixed": " and ".join(sorted({mixed[name] for name in names}))})
    return pd.DataFrame(rows).sort_values(["changed", "difference"], ascending=False, ignore_index=True)


def choose(table: pd.DataFrame, precision: str, max_mb: float, max_ms: float) -> str:
    """The variant to export: `precision` itself, or for "auto" the most faithful one within the limits.

    Raises ValueError when nothing fits, saying how large and slow each variant is.
    """
    if precision != "auto":
        return precision
    fitting = table[(table["megabytes"] <= max_mb) & (table["milliseconds"] <= max_ms)]
    if not len(fitting):
        found = "; ".join(f"{row.variant} {row.megabytes:.1f} MB, {row.milliseconds:.0f} ms" for row in table.itertuples())
        raise ValueError(f"no variant fits {max_mb} MB and {max_ms} ms: {found}. Average fewer or smaller networks")
    return str(fitting["variant"].iloc[0])
