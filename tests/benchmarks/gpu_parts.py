"""One part of `gpu.py`, in a process of its own: prints each of its rows as a line of JSON as soon as it is measured."""

import argparse
import json
import math
import os
import sys
import tempfile
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

import corpus
import numpy as np
import stand_in
import torch
import torch.nn.functional as F
from gpu_cards import peak
from gpu_steps import DEVICE, TYPES, Compiled, Graphs, Step, precisions, set_precision
from torch.profiler import ProfilerActivity
from torch.profiler import profile as record_profile
from toy import toy_job, toy_store
from toys import lively

from aslutils.data import augment
from aslutils.data.dataset import TrainLoader
from aslutils.model import layers, squeezeformer
from aslutils.model.loss import compute_loss
from aslutils.model.network import Network
from aslutils.run.corpus import open_corpus
from aslutils.run.stages import FOLDS, SEEDS, configs, parameters, profile
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.training import rounds
from aslutils.training.config import OPTIMISERS
from aslutils.training.trainer import Trainer

BATCH = 64                                        # sequences
# Of a full-size training step, a sample, as training_cost.py counts it: at the corpus' lengths, and of round 2 at 384 frames.
GIGAFLOPS, LONGEST = {FOLDS: 3.077, SEEDS: 10.56}, 23.67
# How far one step's loss, and its gradient relative to its norm, may be from the CPU's in float32. On a CPU half precision is
# 1e-4 off in the loss, 0.002 (fp16) and 0.008 (bf16) in the gradient.
TOLERANCES = {"float32": (1e-3, 0.005), "fp16": (0.01, 0.02), "bf16": (0.02, 0.08)}
MOST, SCORING = 120, 40                           # seconds for the demo's training, and for what follows
SMALL = dict(dim=16, blocks=1, heads=2, kernel=5, decoder_layers=1, decoder_heads=2, decoder_ffn=16, stem_channels=4)


def tell(**row):
    """Print a row of the part's table; JSON has no numbers that are not finite."""
    row = {name: str(value) if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
    print(json.dumps(row, allow_nan=False), flush=True)


class Size:
    """Full size, or toy size: networks and batches."""

    def __init__(self, toy: bool, until: float = math.inf):
        """until: when the part is ended, as time.time() tells it."""
        self.toy, self.batch, self.batches = toy, 4 if toy else BATCH, 2 if toy else 8
        self.end = until
        if toy:
            torch.set_num_threads(1)

    def round(self, stage: str, **changes):
        """The network of a round, on the CPU in training mode, and its loss."""
        model, loss = profile("winning", stage)[3:5]
        torch.manual_seed(1)
        return Network(replace(model, **{**(SMALL if self.toy else {}), **changes})).train(), loss

    @cached_property
    def made(self) -> list[dict]:
        """Batches with the corpus' lengths."""
        return corpus.batches(self.batches, self.batch, device=DEVICE)


def finish():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def samples_a_second(step: Step, batches: list[dict], seconds: float) -> float:
    """Samples that `step` trains a second, after once over all batches to warm up."""
    step.all(batches)
    finish()
    began, done = time.perf_counter(), 0
    while not done or time.perf_counter() - began < seconds:
        step.all(batches)
        finish()
        done += sum(len(batch["lengths"]) for batch in batches)
    return done / (time.perf_counter() - began)


@cache
def large_product(precision: str, size: int) -> float:
    """TFLOPS of a product of two large matrices: what the card reaches in practice."""
    set_precision(precision)
    a, b = (torch.randn(size, size, device=DEVICE, dtype=TYPES[precision] or torch.float32) for _ in range(2))
    a @ b
    finish()
    began = time.perf_counter()
    for _ in range(10):
        a @ b
    finish()
    return 10 * 2 * size ** 3 / (time.perf_counter() - began) / 1e12


def gigabytes() -> float | None:
    return torch.cuda.max_memory_reserved() / 1e9 if DEVICE == "cuda" else None


def words(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"[:150]


def measure(size: Size, stage: str, precision: str, name: str, make, **options):
    """Tell a row: samples a second of one way to train, useful TFLOPS, their share of the card's peak, memory.

    Returns what trains, None if it failed.
    """
    row = {"round": 1 if stage == FOLDS else 2, "precision": precision, "way": name}
    if precision not in precisions():
        return None
    try:
        network, loss = size.round(stage)
        work = GIGAFLOPS[stage] / 1e3
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        step = make(network, loss, precision, **options)
        rate = samples_a_second(step, size.made, 0.05 if size.toy else 2)
        reached = large_product(precision, 256 if size.toy else 8192)
        sheet = peak(torch.cuda.get_device_name(), precision) if DEVICE == "cuda" else None
        row |= {"samples/s": rate, "TFLOPS": rate * work, "% of a large product": 100 * rate * work / reached,
                "% of the data sheet": sheet and 100 * rate * work / sheet, "GB": gigabytes()}
    except Exception as error:                    # torch's, the compiler's, CUDA's: the next row may still succeed
        step = None
        row["failed"] = words(error)
    tell(**row)
    return step


def observe(work) -> dict:
    """Kernels that `work()` launches on the GPU, operators on the host, and how often the host waits for the GPU."""
    waits = None
    if DEVICE == "cuda":
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            work()
            torch.cuda.set_sync_debug_mode("default")
        waits = sum("called a synchronizing" in str(warning.message) for warning in caught)
    with record_profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if DEVICE == "cuda" else [])]) as record:
        work()
        finish()
    cuda = torch.autograd.DeviceType.CUDA
    kernels = [event for event in record.events() if event.device_type == cuda and not event.is_user_annotation
               and not event.name.startswith("Mem")]
    operators = [event for event in record.events() if event.device_type != cuda and not event.name.startswith("cuda")]
    return dict(kernels=len(kernels), operators=len(operators), waits=waits)


def launched(work, may_wait=False, **row):
    """Tell a row: what a step launches, once it has been done twice."""
    for _ in range(2):
        work()
    row |= observe(work)
    tell(**row, verdict=None if row["waits"] is None or may_wait else "none" if row["waits"] == 0 else "WAITS")


def parity(size: Size):
    """One step's loss and gradient in each precision against float32 on the CPU (without TF32 and dropout), greedy tokens.

    In fp16 the scale begins as that of a training and is halved until the gradient is finite.
    """
    set_precision("float32")
    torch.backends.cudnn.allow_tf32 = False
    network, loss = size.round(SEEDS, dropout=0.0, decoder_attention_dropout=0.0)
    loss = replace(loss, mask_probability=0.0)
    batch = corpus.batches(1, 4 if size.toy else 8)[0]

    def step(device, precision, scale):
        network.to(device).zero_grad()
        here = {name: value.to(device) for name, value in batch.items()}
        with torch.autocast(device, TYPES[precision]) if TYPES[precision] else nullcontext():
            value = compute_loss(network, here, loss)["loss"]
        (scale * value).backward()
        return float(value.detach()), torch.cat([weight.grad.flatten().cpu() / scale for weight in network.parameters()])

    expected, gradient = step("cpu", "float32", 1.0)
    for precision, (loss_limit, gradient_limit) in TOLERANCES.items():
        if precision not in precisions():
            continue
        scale = 2.0 ** 16 if precision == "fp16" else 1.0
        found, own = step(DEVICE, precision, scale)
        while scale > 1 and not own.isfinite().all():
            scale /= 2
            found, own = step(DEVICE, precision, scale)
        difference, apart = abs(found - expected), float((own - gradient).norm() / gradient.norm())
        tell(precision=precision, loss=found, cpu=expected, difference=difference, gradient=apart, scale=scale,
             tolerance=f"{loss_limit:g}; {gradient_limit:g}",
             verdict="equal" if difference < loss_limit and apart < gradient_limit else "DIFFERS")
    network = lively(network.cpu(), 4)
    texts = {}
    for device in ("cpu", DEVICE):
        network.to(device)
        texts[device] = network.greedy(batch["frames"].to(device), batch["lengths"].to(device))[0].cpu()
    alike = [torch.equal(*rows) for rows in zip(*texts.values())] if len(texts) > 1 else [True]
    tell(precision="float32", tokens=f"{sum(alike)} of {len(alike)} texts equal", verdict="equal" if all(alike) else "DIFFERS")


def launches(size: Size):
    """Kernels that a training step of a batch of median length launches, and how often the host waits for the GPU in it.

    With a CTC head it does wait: torch's CTC loss copies the lengths. The trainer's batches are of a toy store.
    """
    batch = size.made[size.batches // 2]
    for stage, ctc, way, make in ((FOLDS, False, "eager", Step), (SEEDS, False, "eager", Step), (SEEDS, True, "eager", Step),
                                  (SEEDS, False, "graphs", Graphs)):
        network, loss = size.round(stage, ctc=ctc)
        step = make(network, replace(loss, ctc_weight=float(ctc)), "float32" if stage == FOLDS else "fp16")
        launched(partial(step.all, [batch]), ctc, round=1 if stage == FOLDS else 2, way=way, ctc=ctc)
    with tempfile.TemporaryDirectory() as folder:
        store = toy_store(Path(folder) / "corpus")
        model, loss = size.round(SEEDS)[0].config, profile("winning", SEEDS)[4]
        for optimiser in OPTIMISERS:
            job = toy_job(store, Path(folder) / optimiser, precision="auto", optimiser=optimiser, accumulate=1)
            trainer = Trainer(replace(job, model=model, loss=loss))
            batch = next(trainer.loader.epoch(0))
            launched(partial(trainer._train_step, batch), round=2, way=f"trainer, {optimiser}", ctc=False)


def steps(size: Size):
    own = (SEEDS, "fp16"), (FOLDS, "float32")                          # first: as the rounds train by default
    others = [(stage, precision) for stage in (SEEDS, FOLDS) for precision in TYPES if (stage, precision) not in own]
    for stage, precision in (*own, *others):
        measure(size, stage, precision, "eager", Step)
    with mock.patch.object(layers, "_lacking", lambda _: 0):
        measure(size, SEEDS, "fp16", "eager, heads of 52", Step)
    with mock.patch.object(squeezeformer, "depthwise", conv1d):
        for stage, precision in own:
            measure(size, stage, precision, "eager, Conv1d", Step)


def conv1d(x, weight):
    """What `squeezeformer.depthwise` computes, in the layout that it avoids because CPUs are slow with it."""
    return F.conv1d(x.mT, weight, padding=weight.shape[-1] // 2, groups=x.shape[2]).mT


def graphs(size: Size):
    for stage, precision in ((SEEDS, "fp16"), (FOLDS, "float32"), (SEEDS, "bf16"), (SEEDS, "TF32"), (SEEDS, "float32")):
        measure(size, stage, precision, "graphs", Graphs)


def compiled(size: Size):
    """Kernels are counted last: the profiler may slow down what comes after it."""
    usual = "bf16" if size.toy else "fp16"
    step = measure(size, SEEDS, usual, "compile", Compiled, toy=size.toy)
    for stage, precision in () if size.toy else ((FOLDS, "float32"), (SEEDS, "bf16")):
        measure(size, stage, precision, "compile", Compiled, toy=size.toy)
    if step:
        set_precision(usual)
        launched(partial(step.all, [size.made[size.batches // 2]]), round=2, way="compile", ctc=False)


def largest(size: Size):
    """Doubles a batch of sequences of 384 frames, round 2 in fp16, until it does not fit or an error says otherwise."""
    step, batch = Step(*size.round(SEEDS), "fp16"), size.batch
    (made,) = corpus.batches(1, batch, padded_to=MAX_FRAMES, device=DEVICE)
    made["lengths"].fill_(MAX_FRAMES)
    while batch <= (8 if size.toy else 2048):
        row = dict(precision="fp16", batch=batch, frames=MAX_FRAMES)
        try:
            larger = {name: torch.cat([value] * (batch // size.batch)) for name, value in made.items()}
            rate = samples_a_second(step, [larger], 0.05 if size.toy else 1)
        except Exception as error:                # a GPU's memory ends in errors of several kinds
            tell(**row, **{"failed" if batch == size.batch else "ended by": words(error)})
            break
        tell(**row, **{"samples/s": rate, "TFLOPS": rate * LONGEST / 1e3}, GB=gigabytes())
        batch *= 2


def loader(size: Size):
    """Augmented batches of round 2 a second, by the number of worker processes, against the step's; the store is in memory.

    With no workers the process that trains loads too, so that each waits for the other unless the GPU is far behind.
    """
    step = samples_a_second(Step(*size.round(SEEDS), "fp16"), size.made, 0.05 if size.toy else 2)
    augmentations = augment.build(profile("winning", SEEDS)[1].augmentations)
    with tempfile.TemporaryDirectory() as folder:
        store = stand_in.write_store(Path(folder) / "store", 40 if size.toy else 1000, 400 if size.toy else 60_000)
        for workers in (0, 2, 4):
            batches = TrainLoader(store, np.arange(len(store)), np.ones(len(store)), augmentations, batch_size=size.batch, seed=1,
                                  workers=workers).epoch(0)
            next(batches)
            began, done = time.perf_counter(), 0
            for batch in batches:
                done += len(batch["row"])
                if time.perf_counter() - began > (0.05 if size.toy else 3):
                    break
            rate = done / (time.perf_counter() - began)
            tell(workers=workers, **{"samples/s": rate, "step, samples/s": step},
                 verdict="keeps up" if rate >= step else "too slow")
            del batches


def resume(size: Size):
    """A toy training in fp16 (on a CPU in float32), once more, and stopped after every step: how much the ends differ.

    A GPU adds in an order of its own, so two whole trainings may differ too.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = toy_store(Path(folder) / "corpus")
        job = partial(toy_job, store, precision="fp16" if DEVICE == "cuda" else "no")
        whole, again = (Trainer(job(Path(folder) / name)) for name in ("whole", "again"))
        for trainer in (whole, again):
            trainer.fit()
        sessions = 1
        while not (parts := Trainer(job(Path(folder) / "parts"))).fit(deadline=0):
            sessions += 1
        spread, difference = (max(float((a - b).abs().max()) for a, b in
                                  zip(whole.network.parameters(), other.network.parameters())) for other in (again, parts))
        scalers = [trainer.accelerator.scaler and trainer.accelerator.scaler.state_dict() for trainer in (whole, parts)]
        same = difference <= 10 * spread + 1e-6 and scalers[0] == scalers[1]
        tell(sessions=sessions, **{"weights differ by": difference, "by themselves": spread},
             scaler=scalers[1] and f"scale {scalers[1]['scale']:g} after {scalers[1]['_growth_tracker']} steps",
             verdict="equal" if same else "DIFFERS")


def _demo(size: Size):
    """The demo's data and what trains its round 2."""
    few = dict(demo_sequences=60, demo_supplemental=4, demo_participants=8, epochs=1, warmup_epochs=0.1,
               dim=16, blocks=1, heads=2, decoder_heads=2, decoder_ffn=16)
    return configs(SEEDS, parameters(SEEDS, overrides=few if size.toy else {}))


def data(size: Size):
    """Not a part: writes the demo's data for it, while other parts are measured, which come first."""
    os.nice(19)
    open_corpus(_demo(size)[0])


def demo(size: Size):
    """The demo's round 2, one seed, every confidence target 1: seconds, and then the score on held-out participants.

    Training ends after 2 minutes, or earlier, so that time is left to score; the seconds of the whole are then projected.
    """
    data_config, run, which, model, loss, train = _demo(size)
    opened = open_corpus(data_config)
    train = replace(train, workers=0 if size.toy else 4, tracker="")
    table = rounds.training_table(opened)
    (job,) = rounds.seed_jobs(opened, table, replace(which, seeds=[]), model, loss, train, run.augmentations)
    trainer, began = Trainer(job), time.perf_counter()

    def trained():
        finish()
        seconds = time.perf_counter() - began
        whole = seconds * trainer.total / trainer.step
        tell(sequences=len(job.rows), epochs=train.epochs, **{"% trained": 100 * trainer.step / trainer.total}, seconds=seconds,
             whole=whole, verdict="" if size.toy else "within 2 minutes" if whole <= MOST else "LONGER")

    if not trainer.fit(min(time.time() + MOST, size.end - SCORING), lambda step, total, _: trained() if step == total else None):
        trained()
        return
    scored = rounds.score_table({job.name: rounds.final_predictions(job, opened)}).iloc[0]
    tell(**{name: float(scored[name]) for name in ("score", "95 % from", "95 % to")})


PARTS = {"parity": parity, "launches": launches, "steps": steps, "demo": demo, "graphs": graphs, "resume": resume,
         "loader": loader, "largest": largest, "compile": compiled, "data": data}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--until", type=float, default=math.inf)
    options = parser.parse_args()
    PARTS[options.part](Size(options.toy, options.until))
