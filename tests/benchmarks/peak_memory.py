"""How much memory a training step takes at the competition's lengths, against the same step padded to 384 frames.

    python tests/benchmarks/peak_memory.py [--batches 5]

The winning round-2 network, batch 16, forward and backward; each batch in a process of its own, whose peak of resident memory
less what it held before the step is counted (on a GPU: of allocated memory). The last batch holds the corpus' longest sequences,
which padding cannot make longer.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import corpus

from aslutils.model.loss import compute_loss
from aslutils.model.network import Network


def step_memory(index: int, count: int, padded_to: int | None) -> float:
    """MB that the step of batch `index` of `count` takes at its peak beyond what the process held before it."""
    device = corpus.device()
    network = Network(corpus.MODEL).to(device).train()
    batch = corpus.batches(count, padded_to=padded_to, device=device)[index]
    before = held(device)
    with torch.autocast(device, torch.float16, enabled=device != "cpu"):
        loss = compute_loss(network, batch, corpus.LOSS)["loss"]
    loss.backward()
    return held(device) - before


def held(device) -> float:
    """The most memory held so far, in MB."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():                             # Linux: getrusage would count the parent's peak too
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=5, help="how many batches stand for the corpus; odd, for a median")
    count = parser.parse_args().batches
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        own = pool.starmap(step_memory, [(index, count, None) for index in range(count)], chunksize=1)
        padded = pool.starmap(step_memory, [(count // 2, count, 384)] * 3, chunksize=1)
    median, whole = statistics.median(own), statistics.median(padded)
    print(f"peak memory of a step: {median:.0f} MB for the median batch, {median / whole:.2f} of the {whole:.0f} MB "
          f"padded to 384 frames ({max(own):.0f} MB for the longest of {count} batches; batch 16, "
          f"{corpus.place(corpus.device())})")


if __name__ == "__main__":
    main()
