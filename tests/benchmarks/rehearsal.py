"""A rehearsal at a sixth of the corpus: `python tests/benchmarks/rehearsal.py` (a few minutes, 4 GB of disk).

20,000 sequences of the corpus' lengths in files of 1,000, of all its 1,631 columns, with few distinct values in those that the
kit reads and one in the others, so that they are quickly written, are prepared by the command and loaded for one epoch with
round 2's augmentations. Prints a table and what it means for the corpus.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import stand_in
import torch
import yaml

from aslutils.data import augment
from aslutils.data.dataset import TrainLoader
from aslutils.data.store import Store

ROOT = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare (default 2)")
    parser.add_argument("--folder", help="where to put 4 GB (default: the system's temporary folder)")
    parser.add_argument("--params", default=ROOT / "params" / "winning" / "03_fullfit.yaml", help="file with the augmentations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    augmentations = augment.build(yaml.safe_load(Path(options.params).read_text())["augmentations"])
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        data, place = Path(folder) / "data", Path(folder) / "store"
        stand_in.write_corpus(data, options.sequences, grain=64)
        command = [sys.executable, "-m", "aslutils", "prepare", str(data), str(place), "--workers", str(options.workers)]
        os.environ["PYTHONPATH"] = str(ROOT)
        preparing, memory, _ = stand_in.run_and_watch(command)
        begin = time.perf_counter()
        store = Store(place)
        loader = TrainLoader(store, np.arange(len(store)), np.ones(len(store)), augmentations, batch_size=64, seed=1)
        opening, begin, cpu = time.perf_counter() - begin, time.perf_counter(), time.process_time()
        made = frames = padded = 0
        for batch in loader.epoch(0):
            made, frames = made + len(batch["row"]), frames + int(batch["lengths"].sum())
            padded += batch["frames"].shape[0] * batch["frames"].shape[1]
        loading, cpu = time.perf_counter() - begin, time.process_time() - cpu
        times = stand_in.CORPUS / options.sequences
        print(f"| | {options.sequences:,} sequences | projected to {stand_in.CORPUS:,} |\n|---|---|---|")
        print(f"| preparing, {options.workers} processes | {preparing:.0f} s | {preparing * times / 60:.0f} min |")
        print(f"| its peak memory | {memory:.0f} MB | the same |")
        print(f"| store, float16 | {stand_in.disk(place) / 1e3:.2f} GB | {stand_in.disk(place) * times / 1e3:.1f} GB |")
        print(f"| opening it | {opening:.2f} s | {opening * times:.1f} s |")
        print(f"| an epoch of augmented batches | {loading:.0f} s ({cpu:.0f} CPU s) | {loading * times / 60:.1f} min |")
        print(f"| samples per CPU second | {made / cpu:.0f} | the same |")
        print(f"| padding | {100 * (1 - frames / padded):.1f} % | less |")


if __name__ == "__main__":
    main()
