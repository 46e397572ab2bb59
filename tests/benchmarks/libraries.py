"""MKL against oneDNN in a training step on this processor, one thread: what `aslutils.model.layers` chooses between.

    python tests/benchmarks/libraries.py [--batches 4] [--repeats 3]

CPU seconds of forward and backward pass, batch by batch by either library in turn, and how far apart their gradients are: for
the demo's round-2 network as it trains (batch 16, its lengths, the heads of CTC and of what frames show) and for the winning
one at batch 16, with the competition's lengths. oneDNN compiles about 33 kernels for a length that it has not met, or no longer
keeps. What its first step of a batch takes beyond the others is counted as often as that happens: in 265 of the demo's 4,536
steps, and, as the most that it can be, in every step of the winning network.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import corpus

from aslutils.model import layers
from aslutils.model.loss import compute_loss
from aslutils.model.network import Network
from aslutils.run.stages import SEEDS, profile

SIDES = layers.MKL, layers.ONEDNN
BATCH = 16
LENGTHS = {"demo": dict(frames=corpus.DEMO_FRAMES, characters=corpus.DEMO_CHARACTERS), "winning": {}}
NEW = {"demo": 265 / 4536, "winning": 1.0}       # share of the steps whose kernels are compiled


def processor() -> str:
    """The processor's name, and how wide PyTorch's own kernels compute on it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def step(network, batch, loss) -> tuple[float, torch.Tensor]:
    """CPU seconds of a forward and backward pass, and all gradients, in one row."""
    batch = {**batch, "shown": torch.zeros(batch["frames"].shape[:2], dtype=torch.long)}
    network.zero_grad()
    torch.manual_seed(1)
    began = time.process_time()
    compute_loss(network, batch, loss)["loss"].backward()
    taken = time.process_time() - began
    return taken, torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def compare(name: str, batches: int, repeats: int) -> str:
    """A line of the table: both sides of a profile's round 2."""
    *_, model, loss, _ = profile(name, SEEDS)
    torch.manual_seed(1)
    network = Network(replace(model, ctc=loss.ctc_weight > 0, shown=loss.shown_weight > 0)).train()
    step(network, corpus.batches(1, 2)[0], loss)             # what only the first step does
    seconds, compiling, apart = {side: 0.0 for side in SIDES}, 0.0, 0.0
    for batch in corpus.batches(batches, BATCH, **LENGTHS[name]):
        taken, gradients = {side: [] for side in SIDES}, {}
        for _ in range(1 + repeats):
            for layers.library in SIDES:
                each, gradients[layers.library] = step(network, batch, loss)
                taken[layers.library].append(each)
        usual = {side: statistics.median(taken[side][1:]) for side in SIDES}
        for side in SIDES:
            seconds[side] += usual[side] / (batches * BATCH)
        compiling += NEW[name] * (taken[layers.ONEDNN][0] - usual[layers.ONEDNN]) / (batches * BATCH)
        ours, theirs = (gradients[side] for side in SIDES)
        apart = max(apart, ((ours - theirs).norm() / theirs.norm()).item())
    seconds[layers.ONEDNN] += compiling
    return f"{name:10}" + "".join(f"{seconds[side]:10.4f}" for side in SIDES) + \
        f"{seconds[layers.ONEDNN] / seconds[layers.MKL]:10.2f}{compiling:12.4f}{apart:14.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=4, help="how many batches stand for the corpus (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements a batch after the first, of which the median counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault(layers.CACHE, layers.KERNELS)       # as where oneDNN is chosen
    print(f"{processor()}; chosen on it: {layers.library}. CPU seconds a sequence:")
    print(f"{'':10}" + "".join(f"{side:>10}" for side in SIDES) + f"{'ratio':>10}{'compiling':>12}{'gradients':>14}")
    for name in LENGTHS:
        print(compare(name, options.batches, options.repeats), flush=True)


if __name__ == "__main__":
    main()
