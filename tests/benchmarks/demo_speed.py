"""How fast is demo data written, and how large is it?

    python tests/benchmarks/demo_speed.py [--sequences N] [any other option of python -m aslutils demo]

Prints sequences and frames a CPU second of all processes, writing included, imports not, and bytes a sequence.
"""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pyarrow.parquet as pq  # noqa: E402

from aslutils.__main__ import main as door  # noqa: E402
from aslutils.system.inputs import read_json  # noqa: E402


def cpu_seconds() -> float:
    """CPU time of this process and its ended children so far."""
    return sum(os.times()[:4])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        start = cpu_seconds()
        door(["demo", str(out), *(sys.argv[1:] or ["--sequences", "1000", "--supplemental", "0"])])
        seconds = cpu_seconds() - start
        files = list(out.rglob("*.parquet"))
        config = read_json(out / "demo.json")["config"]
        sequences = config["sequences"] + config["supplemental"]
        frames, size = sum(pq.read_metadata(file).num_rows for file in files), sum(file.stat().st_size for file in files)
    print(f"{sequences:,} sequences of {frames / sequences:.1f} frames in {seconds:.1f} CPU s and {size / 1e6:,.0f} MB")
    print(f"{sequences / seconds:.0f} sequences, {frames / seconds:,.0f} frames a CPU s; {size / sequences / 1e3:.0f} kB each")


if __name__ == "__main__":
    main()
