"""What int8 costs in each part of the networks: `python tests/benchmarks/sensitivity.py datamount/demo` (a minute).

Every part alone in int8, all else in float32, on up to 100 of the sequences that notebook 04 compares: why `mixed` keeps some
parts in higher precision.
"""

import argparse
import re
import sys
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aslutils.model.checkpoint import load_checkpoint
from aslutils.port.compare import Answer, compare, read_pytorch
from aslutils.port.export import PRECISIONS, convert
from aslutils.port.precision import rewrite, set_precisions, unpack
from aslutils.reading.tflite import Model
from aslutils.run.export import find_checkpoints
from aslutils.run.scoring import scored_rows
from aslutils.system.progress import progress

GROUPS = {                         # parts of a network -> a pattern of their layers' names
    "stem": r"\.stem\.", "encoder attention": r"\.attention\.", "encoder feed-forward": r"\.feed_forward",
    "encoder convolution": r"\.pointwise", "decoder self-attention": r"\.self_attention\.",
    "decoder's keys and values of the frames": r"\.cross_attention\.(key|value)/",
    "decoder's look at the frames": r"\.cross_attention\.(projection|output)/",
    "decoder feed-forward": r"\.layers\.\d+\.linear", "decoder head": r"\.head/",
}


def sensitivity(content: bytes, sequences, reference: list[Answer]) -> pd.DataFrame:
    """What int8 costs in each part of the networks when all else stays float32: one row per part, the most costly first.

    content: the float32 variant; sequences: columns (T, 390); reference: PyTorch's answers for them. Columns: part, megabytes
    (saved), changed (share of texts), difference (mean over texts of the largest difference of their logits, where the text is
    the same), mixed (the part's precision in the variant of this name).
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a run with data and finished seeds, such as datamount/demo")
    parser.add_argument("--sequences", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = [load_checkpoint(path) for path in find_checkpoints(options.run, [])]
    networks = [checkpoint.network.eval() for checkpoint in loaded]
    store, rows, kind = scored_rows(options.run, options.sequences, [checkpoint.facts for checkpoint in loaded])
    sequences = [store.columns(row) for row in rows]
    table = sensitivity(convert(networks), sequences, [read_pytorch(networks, columns) for columns in sequences])
    print(f"{len(rows)} {kind.value}, greedy decoding\n{table.round(4).to_string(index=False)}")


if __name__ == "__main__":
    main()
