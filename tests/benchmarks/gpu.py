"""The truth about a GPU in one command, at most 6 minutes: what training costs on it, and whether it trains the same.

    python tests/benchmarks/gpu.py [--parts parity steps ...] [--minutes 6] [--out gpu.json] [--toy]

From a checkout with torch installed; it names the packages that it lacks. No notebook, no TensorFlow, no network. Each part runs
in a process of its own, so that one which fails or hangs loses nothing of the others; what it had measured by then is kept. A
table is printed, and all figures are written to the JSON file. Without a GPU it runs on the CPU; --toy makes everything so small
that this takes two minutes, which is what the tests do.

Parts, in the order in which they run (`gpu_parts.py` says how each is measured):
    parity    one step's loss on the GPU and on the CPU, greedy tokens on both
    launches  kernels that a training step launches, host synchronisations in it (must be 0)
    steps     both rounds at full size and the corpus' lengths, batch 64: float32, TF32, fp16, bf16
    demo      the demo's round 2, trained on the GPU, with its score
    graphs    the steps of round 2 replayed as CUDA graphs, one a length
    resume    a training in fp16 that is stopped after every step and goes on, against one that is not
    loader    augmented samples a second by the number of worker processes, to hold against those of the steps
    largest   the largest batch of the longest sequences that fits
    compile   the steps of round 2 with torch.compile
"""

import argparse
import contextlib
import importlib.util
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
PACKAGES = {"torch": "torch", "numpy": "numpy", "pandas": "pandas", "pyarrow": "pyarrow", "yaml": "pyyaml",
            "accelerate": "accelerate", "rapidfuzz": "rapidfuzz", "tqdm": "tqdm"}
SECONDS = {"parity": 45, "launches": 45, "steps": 75, "demo": 150, "graphs": 60, "resume": 45, "loader": 60, "largest": 45,
           "compile": 120}                       # of each part at most


def lacking() -> list[str]:
    """The packages that are needed and not installed."""
    return [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]


def start(part: str, arguments: list[str], environment: dict, output=subprocess.PIPE) -> subprocess.Popen:
    """A part, in a session of its own, so that its workers can be ended with it."""
    return subprocess.Popen([sys.executable, str(HERE / "gpu_parts.py"), part, *arguments], stdout=output, stderr=output,
                            text=True, env=environment, start_new_session=True)


def end(process: subprocess.Popen) -> None:
    """Kill a part with its workers, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(process: subprocess.Popen, seconds: float) -> tuple[list[dict], str]:
    """A part's rows, and why it ended early ("" if it did not)."""
    rows, errors = [], []

    def watch():
        errors.extend(process.stderr)

    watching = threading.Thread(target=watch)
    watching.start()
    timer = threading.Timer(seconds, end, [process])
    timer.start()
    for line in process.stdout:
        if line.startswith("{"):
            rows.append(json.loads(line))
    code = process.wait()
    late = code == -signal.SIGKILL
    timer.cancel()
    watching.join()
    said = [line.strip() for line in errors if line.strip()]
    why = f"stopped after {seconds:.0f} s" if late else said[-1] if code and said else f"exit code {code}" if code else ""
    return rows, why


def table(rows: list[dict]) -> str:
    """Rows as a table; a column for each of their names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_shown(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)


def _shown(value) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return "" if value is None else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=SECONDS, default=list(SECONDS), metavar="PART", help="default: all")
    parser.add_argument("--minutes", type=float, default=6, help="for all parts together (default 6)")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the JSON file (default gpu.json)")
    parser.add_argument("--toy", action="store_true", help="toy sizes, to try it on a CPU")
    options = parser.parse_args()
    if not (math.isfinite(options.minutes) and options.minutes > 0):
        parser.error(f"--minutes is {options.minutes}; it must be above 0")
    if not options.out.resolve().parent.is_dir():
        parser.error(f"--out: there is no folder {options.out.resolve().parent}")
    if missing := lacking():
        print(f"this needs {', '.join(missing)}: pip install {' '.join(missing)}", file=sys.stderr)
        return 1

    import torch

    from aslutils.system.files import write_json

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"no GPU: {platform.processor() or platform.machine()}"
    report = {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda, "python": platform.python_version(),
              "cores": os.cpu_count(), "parts": {}}
    print(f"{name}; torch {torch.__version__}, {os.cpu_count()} cores")
    deadline = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"ASLUTILS_KAGGLE_ROOT": folder, "PYTHONWARNINGS": "ignore"}
        for place in ("input", "working"):
            (Path(folder) / place).mkdir()
        arguments = ["--toy"] if options.toy else []
        writing = None
        if "demo" in options.parts:               # its data is written meanwhile; if that fails, the part does it and says why
            writing = start("data", arguments, environment, subprocess.DEVNULL)
        for part in (part for part in SECONDS if part in options.parts):
            if part == "demo":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    writing.wait(timeout=max(deadline - time.monotonic(), 0))
            began, left = time.monotonic(), deadline - time.monotonic()
            rows, why = [], "no time was left for it"
            if left > 5:
                rows, why = run(start(part, arguments, environment), min(SECONDS[part] * (4 if options.toy else 1), left))
            report["parts"][part] = {"rows": rows, "failed": why, "seconds": round(time.monotonic() - began, 1)}
            print(f"\n{part} ({time.monotonic() - began:.0f} s)" + (f": {why}" if why else ""))
            if rows:
                print(table(rows), flush=True)
            write_json(options.out, report)
        if writing:
            end(writing)
    print(f"\nWritten to {options.out}")
    return int(any(part["failed"] or any(bad(row) for row in part["rows"]) for part in report["parts"].values()))


def bad(row: dict) -> bool:
    """Whether a row says that something failed or is not as it must be."""
    return "failed" in row or str(row.get("verdict")) in ("DIFFERS", "WAITS", "LONGER")


if __name__ == "__main__":
    raise SystemExit(main())
