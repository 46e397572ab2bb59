"""Training one network, from its data to a finished checkpoint.

`Trainer(job).fit()` trains. Interrupted at any moment and started again, it resumes from its last checkpoint and ends with the
same weights. `aslutils.training.jobs` trains several networks at once.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
import time
import types
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, gather_object

from aslutils.data import augment
from aslutils.data.dataset import TrainLoader
from aslutils.data.store import Store
from aslutils.model.checkpoint import load_init
from aslutils.model.config import LossConfig, ModelConfig
from aslutils.model.loss import compute_loss
from aslutils.model.network import Network
from aslutils.system import versions
from aslutils.system.errors import UserError
from aslutils.system.files import write_table
from aslutils.system.parameters import decisive
from aslutils.system.progress import aside
from aslutils.task.arguments import USUAL_CHARACTERS, USUAL_END
from aslutils.task.metric import score
from aslutils.training import folder as training_folder
from aslutils.training.config import TrainConfig
from aslutils.training.evaluate import postprocess, predict
from aslutils.training.folder import HISTORY, PREDICTIONS
from aslutils.training.optimiser import build

EVENTS = "events"                                 # TensorBoard's folder, in a training's
VALIDATION_SAMPLE = 512                           # sequences that are scored between epochs
LOST, MOST_LOST = "lost", 0.05                    # batches without a finite loss: their sum's name; most of an epoch's updates


@dataclass(frozen=True)
class Job:
    """One network to train."""

    name: str                        # shown in the progress bar
    folder: Path                     # for checkpoint, history, predictions and TensorBoard events
    store: Path                      # the landmark store
    rows: np.ndarray                 # int (N,): the store's rows to train on
    scores: np.ndarray               # float (N,): their confidence targets
    validation: np.ndarray           # int (M,): the store's rows to predict at the end, into predictions.csv
    augmentations: tuple             # the YAML list
    held_out: str                    # names the participants that no training of this run may see; "" for none
    model: ModelConfig
    loss: LossConfig
    train: TrainConfig
    borders: dict = field(default_factory=dict)    # store row -> where CutMix may cut it (see data.dataset.Planner)

    def facts(self) -> dict:
        """Everything that decides the outcome: stored with the weights and compared on resuming."""
        train = decisive(asdict(self.train))
        store = Store(self.store)
        if self.train.init:                      # its weights decide, not where they are
            train["init"] = hashlib.sha256(Path(self.train.init).expanduser().read_bytes()).hexdigest()[:16]
        digest = hashlib.sha256(json.dumps(store.header["source"], sort_keys=True).encode())
        digest.update(np.asarray(self.rows, np.int64).tobytes())
        digest.update(np.asarray(self.scores, np.float64).tobytes())
        if self.borders:
            digest.update(json.dumps(sorted(self.borders.items())).encode())
        return {**asdict(self.model), **asdict(self.loss), **train, "augmentations": [dict(item) for item in self.augmentations],
                "version": versions.TRAINING, "sequences": len(self.rows), "data": digest.hexdigest()[:16],
                "align_cuts": bool(self.borders), "held_out": self.held_out,
                USUAL_END: store.usual_end(self.rows), USUAL_CHARACTERS: store.usual_characters(self.rows)}


def learning_rate(config: TrainConfig, steps_per_epoch: int, step: int) -> float:
    """The learning rate of a step: linear warm-up, then a cosine to 0 at the last step."""
    warmup = config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(config.epochs * steps_per_epoch - warmup, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def is_finished(job: Job) -> bool:
    """Whether `job` has finished. Raises ValueError if its folder holds a different training."""
    return training_folder.is_finished(job.folder, job.facts())


class Trainer:
    """The state of one training, and its loop."""

    def __init__(self, job: Job):
        self.job, self.config, self.folder, self.facts = job, job.train, Path(job.folder), job.facts()
        self.folder.mkdir(parents=True, exist_ok=True)
        join_processes()
        self.accelerator = Accelerator(
            mixed_precision=_precision(self.config.precision), project_dir=self.folder, log_with=self.config.tracker or None,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)])
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        self.store = Store(job.store)
        self.loader = TrainLoader(
            self.store, job.rows, job.scores, augment.build(list(job.augmentations)), batch_size=self.config.batch_size,
            seed=self.config.seed, min_frames=self.config.min_frames,
            workers=self.config.workers, rank=self.accelerator.process_index, world=self.accelerator.num_processes,
            borders=job.borders)
        self.steps_per_epoch = len(self.loader)
        self.total = self.steps_per_epoch * self.config.epochs
        torch.manual_seed(self.config.seed)
        self.network = Network(job.model)
        if self.config.init:
            self.network.load_state_dict(self.network.state_dict() | load_init(self.config.init, job.model))
        optimiser = build(self.network, self.config.optimiser, self.config.learning_rate, self.config.beta2,
                          self.config.weight_decay)
        self.model, self.optimiser = self.accelerator.prepare(self.network, optimiser)
        self.step = 0                             # batches done so far
        self.history: list[dict] = []             # one row per epoch
        self.sums: dict = {}                      # of the current epoch
        self.sample = np.sort(np.random.default_rng(1).permutation(job.validation)[:VALIDATION_SAMPLE])

    def fit(self, deadline: float = math.inf, tell=None) -> bool:
        """Train to the end, or stop with a checkpoint at `deadline` (in time.time() seconds); returns whether it finished.

        `tell(step, total, figures)` is called after every batch; figures are the parts of the loss, as tensors.
        Raises BlockingIOError if another process trains in the same folder.
        """
        with training_folder.hold(self.folder) if self.accelerator.is_main_process else contextlib.nullcontext():
            if self.accelerator.num_processes == 1 and training_folder.is_finished(self.folder, self.facts):
                return True                       # another process has finished it while this one waited
            return self._fit(deadline, tell)

    def _fit(self, deadline, tell) -> bool:
        self._resume()
        self._start_tracker()
        saved = time.time()
        while self.step < self.total:
            epoch, start = divmod(self.step, self.steps_per_epoch)
            began = time.perf_counter()
            for batch in self.loader.epoch(epoch, start_batch=start):
                figures = self._train_step(batch)
                now = time.perf_counter()
                self._add(figures, {"sequences": len(batch["row"]), "seconds": now - began})     # including the wait for data
                began = now
                if tell:
                    tell(self.step, self.total, figures)
                if self.step % self.steps_per_epoch == 0:
                    self._end_epoch()
                if self.step % self.config.accumulate == 0 and self.step < self.total:   # no gradients are pending
                    now = time.time()
                    wanted = "stop" if now > deadline else "save" if now - saved > 60 * self.config.checkpoint_minutes else ""
                    wanted = self._agree(wanted)
                    if wanted:
                        self._save_training()
                        saved = time.time()
                    if wanted == "stop":
                        self._close_tracker()
                        return False
        self._finish()
        return True

    def _train_step(self, batch) -> dict:
        torch.manual_seed(_mix(self.config.seed, self.step, self.accelerator.process_index))   # decides dropout and MASK
        self.model.train()
        moves = self.step + 1 == self.total or (self.step + 1) % self.config.accumulate == 0
        batch = {name: value.to(self.accelerator.device, non_blocking=True) for name, value in batch.items()}
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.steps_per_epoch, self.step)
        with contextlib.nullcontext() if moves else self.accelerator.no_sync(self.model):
            parts = compute_loss(self.model, batch, self.job.loss)
            self.accelerator.backward(parts["loss"] / self.config.accumulate)
        if moves:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self.optimiser.step()
            self.optimiser.zero_grad()
        self.step += 1
        return {name: value.detach() for name, value in parts.items()}

    def _add(self, losses: dict, others: dict):
        """Add to the epoch's sums. A batch whose loss is no finite number counts as lost; the GPU is not waited for."""
        finite = losses["loss"].isfinite()
        losses = {name: torch.where(finite, value, 0) for name, value in losses.items()}
        for name, value in {**losses, LOST: (~finite).float(), **others}.items():
            self.sums[name] = self.sums.get(name, 0) + value

    def _average_sums(self):
        """Replace the sums by their mean over all processes."""
        if self.sums and self.accelerator.num_processes > 1:
            device = self.accelerator.device
            mine = torch.stack([torch.as_tensor(value, dtype=torch.float64, device=device) for value in self.sums.values()])
            mean = self.accelerator.reduce(mine, "mean")
            self.sums = dict(zip(self.sums, mean.unbind()))

    def _end_epoch(self):
        self._average_sums()
        steps, sums = self.steps_per_epoch, self.sums
        epoch = self.step // steps
        row = {"epoch": epoch, "learning_rate": learning_rate(self.config, steps, self.step - 1)}
        lost = round(float(sums.get(LOST, 0)) * self.accelerator.num_processes)
        good = steps - lost / self.accelerator.num_processes
        self._check_losses(lost, steps, epoch)
        row.update({name: float(value) / good for name, value in sums.items() if name not in (LOST, "sequences", "seconds")})
        row["samples_per_second"] = float(sums["sequences"]) * self.accelerator.num_processes / max(float(sums["seconds"]), 1e-9)
        every = self.config.evaluate_every
        if len(self.sample) and every and epoch % every == 0:
            table = postprocess(predict(self.network, self.store, self.sample, device=self.accelerator.device))
            row["score"] = score(table["phrase"], table["prediction"])
        self.history.append(row)
        self.sums = {}
        if self.accelerator.is_main_process:
            write_table(self.folder / HISTORY, pd.DataFrame(self.history))
            self._log(row)

    def _check_losses(self, lost: int, steps: int, epoch: int):
        """Raise UserError if batches without a finite loss may have cost too many updates, or have spoilt the weights.

        fp16's scaler leaves out the update to which such a batch belongs, with the other batches of that update.
        """
        batches = steps * self.accelerator.num_processes
        if lost * self.config.accumulate > MOST_LOST * steps:
            raise self._diverged(f"the loss is no finite number in {lost:,} of {batches:,} batches of epoch {epoch}")
        if not lost:
            return
        self._check_weights()
        if self.accelerator.is_main_process:
            with aside():
                print(f"{self.job.name}: epoch {epoch}: {lost:,} of {batches:,} batches had no finite loss; the updates to which "
                      "they belong were left out", flush=True)

    def _diverged(self, what: str) -> UserError:
        return UserError(f"{self.job.name}: {what}; train with a lower learning_rate, or with precision 'no', under another run "
                         "name: both make another training")

    def _log(self, row: dict):
        self.accelerator.log({name: value for name, value in row.items() if name != "epoch"}, step=row["epoch"])

    def _start_tracker(self):
        """Begin the logs anew with the epochs so far, so that killed attempts leave no files behind."""
        if self.accelerator.is_main_process:
            shutil.rmtree(self.folder / EVENTS, ignore_errors=True)
        if self.config.tracker == "tensorboard":  # makes it write events without importing TensorFlow
            sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
        if self.config.tracker:
            plain = {name: value for name, value in self.facts.items() if isinstance(value, (int, float, str, bool))}
            wandb = {"dir": str(self.folder), "mode": os.environ.get("WANDB_MODE", "offline")}
            self.accelerator.init_trackers(EVENTS, config=plain, init_kwargs={"wandb": wandb})
            for row in self.history:
                self._log(row)

    def _agree(self, mine: str) -> str:
        """What the first process decided, "stop", "save" or nothing, so that all save and stop at the same step."""
        if self.accelerator.num_processes == 1:
            return mine
        decided = ["", "save", "stop"]
        flag = torch.tensor([decided.index(mine) * self.accelerator.is_main_process], device=self.accelerator.device)
        return decided[int(self.accelerator.reduce(flag, "sum").item())]

    def _check_weights(self):
        if not all(bool(weight.isfinite().all()) for weight in self.network.state_dict().values()):
            raise self._diverged(f"the weights are no finite numbers after {self.step:,} batches")

    def _save_training(self):
        """Write a checkpoint to resume from, in the first process; the others wait, for whoever ends early ends them all."""
        self._average_sums()
        self._check_weights()
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            training_folder.save(self.folder, self.network, self.facts, {
                "step": self.step, "history": self.history, "sums": self.sums, "optimiser": self.optimiser.state_dict(),
                "scaler": scaler.state_dict() if scaler else None})
        self.accelerator.wait_for_everyone()

    def _resume(self):
        """Resume from the newest readable checkpoint, if there is one; all processes must find the same."""
        checkpoint = training_folder.newest(self.folder, self.facts, tidy=self.accelerator.is_main_process)
        same_everywhere(checkpoint and checkpoint.training["step"], self.folder)
        if checkpoint is None:
            return
        state = checkpoint.training
        for group in state["optimiser"]["param_groups"]:
            group["fused"] = True                 # earlier checkpoints say otherwise, and would bring that back
        self.network.load_state_dict(checkpoint.network.state_dict())
        self.optimiser.load_state_dict(state["optimiser"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.history, self.sums = state["step"], state["history"], state["sums"]

    def _finish(self):
        """Predict the validation sequences, write the finished checkpoint, remove the resume checkpoints."""
        self._check_weights()
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if len(self.job.validation):
                table = predict(self.network, self.store, self.job.validation, device=self.accelerator.device, align=True,
                                workers=self.config.workers, what=f"{self.job.name}: decoding")
                write_table(self.folder / PREDICTIONS, table)
            training_folder.finish(self.folder, self.network, self.facts)
        self._close_tracker()

    def _close_tracker(self):
        """Flush the trackers. (`Accelerator.end_training` would end the process group; more trainings may follow.)"""
        for tracker in self.accelerator.trackers:
            tracker.finish()


def join_processes() -> PartialState:
    """Join the processes that `accelerate launch` or `torchrun` started: with NCCL on GPUs, otherwise with gloo.

    The others wait while the first one prepares data or decodes, which may take longer than NCCL's default of 10 minutes.
    """
    return PartialState(cpu="WORLD_SIZE" in os.environ and not torch.cuda.is_available(), timeout=timedelta(hours=12))


def same_everywhere(found, folder: Path) -> None:
    """Raise UserError unless every process found the same in a folder, which hosts must share."""
    if join_processes().num_processes > 1 and len(set(gather_object([found]))) > 1:
        raise UserError(f"{folder} differs from process to process: hosts that train together must share the run's folder")


def _precision(wanted: str) -> str:
    return wanted if wanted != "auto" else "fp16" if torch.cuda.is_available() else "no"


def _mix(*numbers: int) -> int:
    """One random seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
