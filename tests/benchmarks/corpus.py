"""Batches with the competition's lengths and phrases but random landmarks, and how the benchmarks measure.

Every benchmark runs as `python tests/benchmarks/<name>.py` from anywhere and prints one line: its figure, the unit, how many
sequences and threads. On a CPU all is float32; a GPU, where there is one, is used and named, with TF32, and fp16 autocast in
training.
"""

import random
import statistics
import time

import numpy as np
import torch

from aslutils.run.stages import SEEDS, profile
from aslutils.task import text
from aslutils.task.preprocess import MAX_FRAMES

MODEL, LOSS = profile("winning", SEEDS)[3:5]     # of the winning round 2
# Quantiles of the 67,208 training sequences (0 is the minimum).
FRAMES = {0: 1, 1: 6, 5: 35, 10: 66, 25: 104, 50: 148, 75: 207, 90: 270, 95: 312, 99: 408, 100: 807}
CHARACTERS = {0: 1, 1: 8, 5: 11, 10: 12, 25: 12, 50: 17, 75: 22, 90: 27, 95: 28, 99: 30, 100: 31}
# Of the demo's augmented samples, as its loader makes them (12 epochs of round 2, counted at e6a7dd6), and of its phrases.
DEMO_FRAMES = {0: 1, 1: 5, 5: 9, 10: 11, 25: 16, 50: 25, 75: 39, 90: 54, 95: 65, 99: 84, 100: 153}
DEMO_CHARACTERS = {0: 1, 100: 8}


def draws(quantiles: dict[int, int], count: int) -> np.ndarray:
    """`count` whole numbers, ascending, spread evenly over a distribution given by its percentiles."""
    percent = (np.arange(count) + 0.5) / count * 100
    return np.interp(percent, list(quantiles), list(quantiles.values())).round().astype(int)


def batches(count: int, batch_size: int = 16, *, padded_to: int | None = None, device="cpu", seed: int = 1,
            frames: dict = FRAMES, characters: dict = CHARACTERS) -> list[dict]:
    """`count` training batches as `TrainLoader` makes them: similar lengths together, cut to the batch's longest sequence.

    They stand for the whole corpus: their lengths are `count * batch_size` evenly spread quantiles, at most 384 frames.
    padded_to: pad every batch to this many frames instead, as the published solution does. frames, characters: the quantiles.
    """
    generator = random.Random(seed)
    lengths = draws(frames, count * batch_size).clip(max=MAX_FRAMES)
    phrases = ["".join(generator.choices(text.CHARACTERS, k=k)) for k in draws(characters, count * batch_size)]
    generator.shuffle(phrases)
    torch.manual_seed(seed)
    made = []
    for first in range(0, len(lengths), batch_size):
        own = torch.from_numpy(lengths[first:first + batch_size])
        noise = torch.randn(batch_size, padded_to or int(own.max()), 130, 3)
        noise *= torch.arange(noise.shape[1])[None, :, None, None] < own[:, None, None, None]
        tokens = torch.from_numpy(np.stack([text.encode(phrase) for phrase in phrases[first:first + batch_size]]))
        batch = {"frames": noise, "lengths": own, "tokens": tokens, "score": torch.rand(batch_size)}
        made.append({name: value.to(device) for name, value in batch.items()})
    return made


def device() -> str:
    """The GPU where there is one, else the CPU with one thread: that is what the figures are stated for."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        return "cuda"
    torch.set_num_threads(1)
    return "cpu"


def seconds(work, repeats: int, device: str) -> float:
    """The median time of one call of `work`, after one to warm up: CPU seconds, or wall seconds on a GPU."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    work()
    taken = []
    for _ in range(repeats):
        _finish(device)
        start = clock()
        work()
        _finish(device)
        taken.append(clock() - start)
    return statistics.median(taken)


def place(device: str) -> str:
    """Where a figure was measured, for the printed line."""
    return f"{torch.get_num_threads()} thread" if device == "cpu" else torch.cuda.get_device_name()


def _finish(device):
    if device != "cpu":
        torch.cuda.synchronize()
