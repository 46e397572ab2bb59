"""The truth about a GPU in one command, at most 6 minutes: what training costs on it, and whether it trains the same.

    python tests/benchmarks/gpu.py [--parts parity steps ...] [--minutes 6] [--out gpu.json] [--toy]

From a checkout with torch installed; it names the packages that it lacks. No notebook, no TensorFlow, no network. Each part runs
in a process of its own, so that one which fails or hangs loses nothing of the others; what it had measured by then is kept. Each
has a share of the time; what it does not take is shared among those after it. A table is printed, and all figures are written
to the JSON file. Without a GPU it runs on the CPU; --toy makes everything so small that this takes two minutes, which is what
the tests do.

Parts, in the order in which they run, the most valuable first (`gpu_parts.py` says how each is measured):
    parity    one step's loss on the GPU and on the CPU, greedy tokens on both
    steps     both rounds at full size and the corpus' lengths, batch 64: float32, TF32, fp16, bf16; other layouts
    graphs    round 2 in every precision, and round 1 in float32, replayed as CUDA graphs, at lengths rounded up to 32 frames
    demo      the demo's round 2, trained on the GPU, with its score
    launches  kernels that a training step launches, host synchronisations in it (must be 0)
    resume    a training in fp16 that is stopped after every step and goes on, against one that is not
    loader    augmented samples a second by the number of worker processes, to hold against those of the steps
    largest   the largest batch of the longest sequences that fits
    compile   round 2 in fp16 and bf16, and round 1 in float32, with torch.compile
"""

import argparse
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
SECONDS = {"parity": 30, "steps": 70, "graphs": 40, "demo": 125, "launches": 20, "resume": 10, "loader": 25, "largest": 15,
           "compile": 25}                        # of the 6 minutes


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
    rows, errors, late = [], [], threading.Event()

    def watch():
        errors.extend(process.stderr)

    def stop():
        late.set()
        end(process)

    watching = threading.Thread(target=watch)
    watching.start()
    timer = threading.Timer(seconds, stop)
    timer.start()
    for line in process.stdout:
        if line.startswith("{") and line.endswith("\n"):
            rows.append(json.loads(line))
    code = process.wait()
    timer.cancel()
    watching.join()
    if not code:
        return rows, ""
    if code < 0:
        return rows, f"stopped after {seconds:.0f} s" if late.is_set() else f"killed by {signal.Signals(-code).name}"
    said = [line.strip() for line in errors if line.strip()]
    return rows, said[-1] if said else f"exit code {code}"


def share(parts: list[str], left: float) -> float:
    """Seconds for the first of the parts that are still to run."""
    return left * SECONDS[parts[0]] / sum(SECONDS[part] for part in parts)


def measured(part: str, seconds: float, arguments: list[str], environment: dict, writing) -> tuple[list[dict], str]:
    """`run` for a part. The demo first waits for `writing`, which writes its data, at most half of its time."""
    if seconds < 1:
        return [], "no time was left for it"
    if part == "demo":
        began = time.monotonic()
        try:
            writing.wait(timeout=seconds / 2)
        except subprocess.TimeoutExpired:
            end(writing)
            return [], f"its data were not written, though it waited {seconds / 2:.0f} s for them"
        seconds -= time.monotonic() - began
    return run(start(part, [*arguments, "--until", str(time.time() + seconds)], environment), seconds)


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
    from libraries import processor

    from aslutils.system.files import write_json

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"no GPU: {processor()}"
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
        wanted = [part for part in SECONDS if part in options.parts]
        for place, part in enumerate(wanted):
            began = time.monotonic()
            rows, why = measured(part, share(wanted[place:], deadline - began), arguments, environment, writing)
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
