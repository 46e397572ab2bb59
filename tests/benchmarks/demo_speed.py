"""How fast is demo data written, and how large is it?

    python tests/benchmarks/demo_speed.py [--sequences N] [any other option of python -m aslutils.demo]

Prints sequences, frames and bytes a CPU second, writing included, imports not.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pyarrow.parquet as pq  # noqa: E402

from aslutils import demo  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        start = time.process_time()
        demo.main([str(out), *(sys.argv[1:] or ["--sequences", "1000", "--supplemental", "0"])])
        seconds = time.process_time() - start
        files = list(out.rglob("*.parquet"))
        sequences = len(demo.plan(demo.DemoConfig(**demo.read_json(out / "demo.json")["config"])))
        frames, size = sum(pq.read_metadata(file).num_rows for file in files), sum(file.stat().st_size for file in files)
    print(f"{sequences:,} sequences of {frames / sequences:.1f} frames in {seconds:.1f} CPU s and {size / 1e6:,.0f} MB")
    print(f"{sequences / seconds:.0f} sequences, {frames / seconds:,.0f} frames a CPU s; {size / sequences / 1e3:.0f} kB each")


if __name__ == "__main__":
    main()
