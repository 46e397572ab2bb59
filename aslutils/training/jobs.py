"""Several trainings at once, each in a process of its own: one a GPU, or a share of the cores.

`train_all(jobs, processes=2)` is what the notebooks call; with one process the trainings run here, one after the other.
"""

import dataclasses
import math
import multiprocessing
import os
import queue
import signal
import time
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import pandas as pd
import torch

from aslutils.system.processes import SPAWN, end_with_parent
from aslutils.system.progress import progress
from aslutils.training import folder as training_folder
from aslutils.training.folder import HISTORY
from aslutils.training.trainer import Job, Trainer, is_finished

_TELL_SECONDS = 0.5


def train_all(jobs: list[Job], *, processes: int = 1, max_minutes: float = 0.0, fresh: bool = False) -> bool:
    """Train every job that is not finished, up to `processes` at once; whether all have ended.

    max_minutes: stop all with a checkpoint after this time (0: none); calling again goes on. fresh: train anew.
    Raises what a training raises; the others' checkpoints stay.
    """
    if processes < 1:
        raise ValueError(f"processes is {processes}; it must be at least 1")
    if fresh:
        forget(jobs)
    jobs = _with_threads(jobs, min(processes, len(jobs)))
    waiting = _unfinished(jobs)
    if processes == 1 or len(waiting) < 2:
        return _train_here(waiting, _deadline(max_minutes))
    return _train_apart(waiting, min(processes, len(waiting)), _deadline(max_minutes))


def forget(jobs: list[Job]) -> None:
    """Remove what earlier trainings of these jobs left."""
    for job in jobs:
        if job.folder.exists():
            training_folder.forget(job.folder)


def train_together(jobs: list[Job], *, max_minutes: float = 0.0, quiet: bool = False) -> bool:
    """Train every unfinished job in this process and those that `accelerate launch` started beside it; whether all have ended."""
    jobs = _with_threads(jobs, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    return _train_here(_unfinished(jobs, quiet), _deadline(max_minutes), quiet)


def _unfinished(jobs, quiet=False) -> list[Job]:
    waiting = []
    for job in jobs:
        if not is_finished(job):
            waiting.append(job)
        elif not quiet:
            print(f"{job.name} is trained already: {job.folder}")
    return waiting


def _deadline(max_minutes: float) -> float:
    return time.time() + 60 * max_minutes if max_minutes else math.inf


def _train_here(jobs, deadline, quiet=False) -> bool:
    ended = True
    for index, job in enumerate(jobs):
        if index and time.time() > deadline:
            return False
        with _Bar([job.name], job.train.batch_size, quiet) as bar:
            ended = Trainer(job).fit(deadline, tell=_every(_TELL_SECONDS, lambda *state, bar=bar: bar.show(0, *state))) and ended
    return ended


def histories(jobs: list[Job]) -> dict[str, pd.DataFrame]:
    """The history of each job that has one: a row an epoch, with learning rate, parts of the loss, speed and scores."""
    paths = {job.name: job.folder / HISTORY for job in jobs}
    return {name: pd.read_csv(path) for name, path in paths.items() if path.is_file()}


def _with_threads(jobs, processes) -> list[Job]:
    """The jobs with their share of the cores, the same however many of them are left to train: sums depend on it."""
    share = max(1, (os.cpu_count() or 1) // processes)
    return [dataclasses.replace(job, train=dataclasses.replace(job.train, threads=job.train.threads or share)) for job in jobs]


def _train_apart(jobs, processes, deadline) -> bool:
    told, places, stop = SPAWN.Queue(), SPAWN.Queue(), SPAWN.Event()
    for place in range(processes):
        places.put(_gpu(place))
    with ProcessPoolExecutor(processes, mp_context=SPAWN, initializer=_start, initargs=(told, places, stop)) as pool, \
            _Bar([job.name for job in jobs], jobs[0].train.batch_size) as bar:
        futures = [pool.submit(_train_one, index, job, deadline) for index, job in enumerate(jobs)]
        pending = set(futures)
        try:
            while pending:
                pending = wait(pending, timeout=_TELL_SECONDS).not_done
                _drain(told, bar)
            return all([future.result() for future in futures])                # a list: what any of them raised is told
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()               # their checkpoints stay
            raise
        except BrokenProcessPool as error:
            raise RuntimeError("a training process was killed (out of memory?); run again to go on from its checkpoint"
                               ) from error


def _gpu(place: int) -> str:
    """The GPU of a process, as CUDA_VISIBLE_DEVICES names it; "" without several."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = asked.split(",") if asked else [str(index) for index in range(torch.cuda.device_count())]
    return devices[place % len(devices)] if len(devices) > 1 else ""


def _drain(told, bar):
    while True:
        try:
            bar.show(*told.get_nowait())
        except queue.Empty:
            return


def _start(told, places, stop):
    """In a new process: keep the queue to tell progress to, take one GPU where there are several, end with the parent."""
    global _told, _stop
    _told, _stop = told, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    told.cancel_join_thread()                     # progress that nobody reads must not keep this process
    gpu = places.get()
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.environ.pop("ASLUTILS_PROGRESS", None)
    os.environ["ASLUTILS_QUIET"] = "1"            # the parent shows
    end_with_parent()


def _train_one(index, job, deadline) -> bool:
    if time.time() > deadline or _stop.is_set():
        return False
    try:
        return Trainer(job).fit(deadline, tell=_every(_TELL_SECONDS, lambda *state: _told.put((index, *state))))
    except BaseException:
        _stop.set()                               # the trainings that run come to their end; nothing new begins
        raise


def _every(seconds, tell):
    """`tell`, at most once in `seconds` and at the last step, with the loss as a number (which waits for the device)."""
    last = 0.0

    def sometimes(step, total, figures):
        nonlocal last
        if time.monotonic() - last >= seconds or step == total:
            last = time.monotonic()
            tell(step, total, float(figures["loss"]))
    return sometimes


class _Bar:
    """One bar over all trainings, in sequences, with each one's loss beside it."""

    def __init__(self, names, batch_size, quiet=False):
        self.names, self.batch_size, self.quiet = names, batch_size, quiet
        self.steps, self.totals, self.losses = [0] * len(names), {}, {}

    def __enter__(self):
        what = f"training {self.names[0]}" if len(self.names) == 1 else f"training {len(self.names)} networks"
        self.bar = progress(total=0, what=what, unit="sequences", quiet=self.quiet)
        return self

    def __exit__(self, *error):
        self.bar.close()

    def show(self, index, step, total, loss):
        """Move the bar to where network `index` is: at `step` of `total`, with this loss."""
        if self.quiet:
            return
        self.totals[index] = total
        unknown = len(self.names) - len(self.totals)
        self.bar.total = (sum(self.totals.values()) + unknown * max(self.totals.values())) * self.batch_size
        self.losses[index] = loss
        self.bar.set_postfix_str(" ".join(f"{self.names[i]}: loss {loss:.3f}" for i, loss in sorted(self.losses.items())
                                          ), refresh=False)
        if not self.steps[index]:                 # what an earlier session did is not this one's rate
            self.bar.initial += max(0, step - 1) * self.batch_size
        self.bar.update((step - self.steps[index]) * self.batch_size)
        self.steps[index] = step
