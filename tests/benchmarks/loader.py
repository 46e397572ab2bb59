"""How fast augmented samples are made: `python tests/benchmarks/loader.py` (about a minute).

Round 2's augmentations on sequences of the corpus' lengths, batches of 64, one thread, no workers; times are CPU seconds of this
process, the median of several epochs' parts.
"""

import argparse
import itertools
import os
import resource
import statistics as figures
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import stand_in
import torch
import yaml

from aslutils.data import augment, dataset
from aslutils.data.store import Store
from aslutils.task.preprocess import statistics

ROOT = Path(__file__).resolve().parents[2]
BATCH = 64


class Computing:
    """In the place of a store's statistics: computes a sequence's anew each time, as a loader without them must."""

    def __init__(self, store: Store):
        self.store = store

    def __getitem__(self, row):
        return statistics(self.store.landmarks(row))


def loader(store: Store, augmentations, workers: int = 0) -> dataset.TrainLoader:
    rows = np.arange(len(store))
    return dataset.TrainLoader(store, rows, np.ones(len(rows)), augmentations, batch_size=BATCH, seed=1, workers=workers)


def endless(store: Store, augmentations):
    """Batches of epoch after epoch, the first one already made."""
    batches = itertools.chain.from_iterable(loader(store, augmentations).epoch(epoch) for epoch in itertools.count())
    next(batches)
    return batches


def rate(store: Store, augmentations, samples: int, repeats: int = 5) -> float:
    """Samples per CPU second: the median over `repeats` stretches."""
    batches, rates = endless(store, augmentations), []
    for _ in range(repeats):
        begin, made = time.process_time(), 0
        while made < samples:
            made += len(next(batches)["row"])
        rates.append(made / (time.process_time() - begin))
    return figures.median(rates)


@contextmanager
def timed(parts: dict[str, tuple]):
    """CPU seconds spent in each of the named functions (owner, attribute), a call within another counted in the outer only."""
    seconds, depth, originals = dict.fromkeys(parts, 0.0), [0], {}

    def wrap(name, function):
        def wrapper(*arguments, **options):
            depth[0] += 1
            begin = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    seconds[name] += time.process_time() - begin
        return wrapper

    for name, (owner, attribute) in parts.items():
        originals[name] = getattr(owner, attribute)
        setattr(owner, attribute, wrap(name, originals[name]))
    try:
        yield seconds
    finally:
        for name, (owner, attribute) in parts.items():
            setattr(owner, attribute, originals[name])


def where_time_goes(store: Store, augmentations, samples: int) -> dict[str, float]:
    parts = {"draw what will happen": (dataset.Planner, "plan"), "compose changes of time": (augment.Augmentations, "split"),
             "standardise": (dataset, "standardise"), "mirror": (augment.Mirror, "apply_"),
             "other augmentations": (augment.Augmentations, "apply"), "tokens": (dataset, "encode")}
    with timed(parts) as seconds:
        batches, made = endless(store, augmentations), 0
        seconds.update(dict.fromkeys(seconds, 0.0))
        begin = time.process_time()
        while made < samples:
            made += len(next(batches)["row"])
        seconds["read, pad into the batch, the rest"] = time.process_time() - begin - sum(seconds.values())
    return {name: 1e6 * value / made for name, value in seconds.items()}


def padding(store: Store, augmentations) -> float:
    batches = [[plan.length for plan in plans] for plans in loader(store, augmentations).plans(0)]
    return 1 - sum(map(sum, batches)) / sum(max(batch) * len(batch) for batch in batches)


def in_workers(store: Store, augmentations, workers: int) -> tuple[float, float, float]:
    """Wall seconds to the first batch of `workers` processes; MB of each and in all, this process included, shared pages once.

    Memory is read after 100 batches, when it grows no more.
    """
    begin = time.perf_counter()
    batches = loader(store, augmentations, workers).epoch(0)
    next(batches)
    seconds = time.perf_counter() - begin
    for _ in range(100):
        next(batches)
    own, *others = (stand_in.memory(process) for process in stand_in.family(os.getpid()))
    return seconds, sum(others) / max(workers, 1), own + sum(others)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--distinct", type=int, default=2000, help="sequences in the store (default 2000, 250 MB)")
    parser.add_argument("--samples", type=int, default=2000, help="samples a stretch (default 2000)")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--params", default=ROOT / "params" / "winning" / "03_fullfit.yaml", help="file with the augmentations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "This DataLoader will create 4 worker processes")      # more than cores, on purpose
    augmentations = augment.build(yaml.safe_load(Path(options.params).read_text())["augmentations"])
    with tempfile.TemporaryDirectory() as folder:
        large = stand_in.write_store(Path(folder) / "large", options.distinct, 120_000, options.dtype)
        small = stand_in.write_store(Path(folder) / "small", options.distinct, max(2000, options.distinct), options.dtype)
        known = rate(large, augmentations, options.samples)
        print(f"samples per CPU second: {known:.0f}  (120,000 rows, {options.dtype}, 1 thread)")
        print(f"  with a table of {len(small):,} rows: {rate(small, augmentations, options.samples):.0f}")
        large.statistics = Computing(large)
        computed = rate(large, augmentations, options.samples)
        print(f"  without stored statistics: {computed:.0f}  (the stored ones bring {known / computed - 1:+.0%})")
        large = Store(large.path)
        print(f"padding: {100 * padding(large, augmentations):.1f} % of frames")
        for name, microseconds in where_time_goes(large, augmentations, options.samples).items():
            print(f"  {name:32}{microseconds:6.0f} us a sample")
        for workers in (0, 1, 2, 4):
            seconds, each, together = in_workers(large, augmentations, workers)
            print(f"{workers} workers: first batch after {seconds:.2f} s; {each:.0f} MB each, {together:.0f} MB in all, "
                  f"of a store of {large.array.nbytes / 1e6:.0f} MB")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
