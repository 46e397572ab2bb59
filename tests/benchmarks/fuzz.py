"""Tries random files for as long as you like: every one must get an answer or an error for the user, in at most 10 seconds.

    python tests/benchmarks/fuzz.py --minutes 240

Prints how many files of each kind were tried; stops with the smallest file that fails.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "helpers")]

from fuzzing import TARGETS  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    tried = dict.fromkeys(TARGETS, 0)
    while time.monotonic() < end:
        for kind, (strategy, try_one) in TARGETS.items():
            settings(max_examples=200, deadline=10_000, database=None, suppress_health_check=list(HealthCheck),
                     phases=(Phase.generate, Phase.shrink))(given(strategy)(try_one))()
            tried[kind] += 200
        print("; ".join(f"{count:,} {kind}" for kind, count in tried.items()), flush=True)
