"""Several trainings at once, each in its own process with its own GPU or a share of the cores.

The notebooks call `train_all(jobs, processes=2)`. With one process the trainings run in this one, one after the other.
"""

import dataclasses
import math
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import pandas as pd
import torch

from aslutils.system.errors import UserError
from aslutils.system.inputs import read_table
from aslutils.system.processes import SPAWN, end_with_parent
from aslutils.system.progress import progress
from aslutils.training import folder as training_folder
from aslutils.training.folder import HISTORY
from aslutils.training.trainer import Job, Trainer, is_finished, same_everywhere

_TELL_SECONDS = 0.5


def train_all(jobs: list[Job], *, processes: int = 1, max_minutes: float = 0.0, fresh: bool = False) -> bool:
    """Train every unfinished job, up to `processes` at once; returns whether all have finished.

    max_minutes: stop all with a checkpoint after this time (0: no limit); the next call resumes. fresh: train from scratch.
    Raises what a training raises; the checkpoints of the others are kept.
    """
    if processes < 1:
        raise UserError(f"processes is {processes}; it must be at least 1")
    if fresh:
        forget(jobs)
    jobs = with_threads(jobs, min(processes, len(jobs)))
    waiting = _unfinished(jobs)
    deadline = time.time() + 60 * max_minutes if max_minutes else math.inf
    if processes == 1 or len(waiting) < 2:
        return _train_here(waiting, deadline)
    return _train_apart(waiting, min(processes, len(waiting)), deadline)


def forget(jobs: list[Job]) -> None:
    """Remove the files of earlier trainings of these jobs."""
    for job in jobs:
        if job.folder.exists():
            training_folder.forget(job.folder)


def train_together(jobs: list[Job], *, max_minutes: float = 0.0, quiet: bool = False) -> bool:
    """Train every unfinished job with all processes of an `accelerate launch`; returns whether all have finished."""
    jobs = with_threads(jobs, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    waiting = _unfinished(jobs, quiet)
    same_everywhere(tuple(job.name for job in waiting), jobs[0].folder.parent)
    return _train_here(waiting, time.time() + 60 * max_minutes if max_minutes else math.inf, quiet)


def _unfinished(jobs, quiet=False) -> list[Job]:
    waiting = []
    for job in jobs:
        if not is_finished(job):
            waiting.append(job)
        elif not quiet:
            print(f"{job.name} is trained already: {job.folder}")
    return waiting


def _train_here(jobs, deadline, quiet=False) -> bool:
    ended = True
    for index, job in enumerate(jobs):
        if index and time.time() > deadline:
            return False
        with _Bar([job.name], job.train.batch_size, quiet) as bar:
            ended = Trainer(job).fit(deadline, tell=_every(_TELL_SECONDS, lambda *state, bar=bar: bar.show(0, *state))) and ended
    return ended


def histories(jobs: list[Job]) -> dict[str, pd.DataFrame]:
    """The history of each job that has one: one row per epoch, with learning rate, parts of the loss, speed and scores."""
    paths = {job.name: job.folder / HISTORY for job in jobs}
    return {name: read_table(path) for name, path in paths.items() if path.is_file()}


def with_threads(jobs, processes) -> list[Job]:
    """The jobs with their share of the cores, which does not depend on how many are left to train: sums depend on it."""
    share = max(1, (os.cpu_count() or 1) // processes)
    return [dataclasses.replace(job, train=dataclasses.replace(job.train, threads=job.train.threads or share)) for job in jobs]


def _train_apart(jobs, processes, deadline) -> bool:
    told, places, stop = SPAWN.Queue(), SPAWN.Queue(), SPAWN.Event()
    for place in range(processes):
        places.put(gpu_of(place))
    others = set(multiprocessing.active_children())            # the notebook's own
    with ProcessPoolExecutor(processes, mp_context=SPAWN, initializer=_start, initargs=(told, places, stop)) as pool, \
            _Bar([job.name for job in jobs], jobs[0].train.batch_size) as bar:
        futures = [pool.submit(_train_one, index, job, deadline) for index, job in enumerate(jobs)]
        pending = set(futures)
        try:
            while pending:
                ended, pending = wait(pending, timeout=_TELL_SECONDS)
                while not told.empty():
                    bar.show(*told.get())
                for future in ended if pending else ():
                    if isinstance(future.exception(), UserError):
                        bar.say(f"{future.exception()}. What runs is trained to its end, nothing else begins.")
            return all([future.result() for future in futures])                # a list: raises the error of any of them
        except KeyboardInterrupt:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()               # their checkpoints are kept
            raise
        except BrokenProcessPool as error:
            raise UserError("a training process was killed (out of memory?); run again to resume from its checkpoint"
                               ) from error


def gpu_of(place: int) -> str:
    """The GPU of a process, as CUDA_VISIBLE_DEVICES names it; "" unless there are several."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = asked.split(",") if asked else [str(index) for index in range(torch.cuda.device_count())]
    return devices[place % len(devices)] if len(devices) > 1 else ""


def _start(told, places, stop):
    """Initialise a worker process: keep the progress queue, take one GPU if there are several, end with the parent."""
    global _told, _stop
    _told, _stop = told, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    told.cancel_join_thread()                     # unread progress must not keep this process alive
    gpu = places.get()
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.environ.pop("ASLUTILS_PROGRESS", None)
    os.environ["ASLUTILS_QUIET"] = "1"            # the parent shows the bar
    end_with_parent()


def _train_one(index, job, deadline) -> bool:
    if time.time() > deadline or _stop.is_set():
        return False
    try:
        return Trainer(job).fit(deadline, tell=_every(_TELL_SECONDS, lambda *state: _told.put((index, *state))))
    except BaseException:
        _stop.set()                               # running trainings finish; no new one starts
        raise


def _every(seconds, tell):
    """`tell`, called at most every `seconds` and at the last step, with the loss as a number (which waits for the device)."""
    last = 0.0

    def sometimes(step, total, figures):
        nonlocal last
        if time.monotonic() - last >= seconds or step == total:
            last = time.monotonic()
            tell(step, total, float(figures["loss"]))
    return sometimes


class _Bar:
    """One bar over all trainings, in sequences, with the loss of each."""

    def __init__(self, names, batch_size, quiet=False):
        self.names, self.batch_size, self.quiet = names, batch_size, quiet
        self.steps, self.totals, self.losses = [0] * len(names), {}, {}

    def __enter__(self):
        what = f"training {self.names[0]}" if len(self.names) == 1 else f"training {len(self.names)} networks"
        self.bar = progress(total=0, what=what, unit="sequences", quiet=self.quiet)
        return self

    def __exit__(self, *error):
        self.bar.close()

    def say(self, words: str):
        """Print a line above the bar."""
        self.bar.write(words, file=sys.stderr)

    def show(self, index, step, total, loss):
        """Update the bar: network `index` is at `step` of `total`, with this loss."""
        if self.quiet:
            return
        self.totals[index] = total
        unknown = len(self.names) - len(self.totals)
        self.bar.total = (sum(self.totals.values()) + unknown * max(self.totals.values())) * self.batch_size
        self.losses[index] = loss
        self.bar.set_postfix_str(" ".join(f"{self.names[i]}: loss {loss:.3f}" for i, loss in sorted(self.losses.items())
                                          ), refresh=False)
        if not self.steps[index]:                 # steps of an earlier session do not count towards the rate
            self.bar.initial += max(0, step - 1) * self.batch_size
        self.bar.update((step - self.steps[index]) * self.batch_size)
        self.steps[index] = step
