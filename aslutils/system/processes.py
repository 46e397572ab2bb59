"""Processes on this machine: workers, and how they end."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

SPAWN = multiprocessing.get_context("spawn")      # spawn: a fork of a notebook's process would lack its threads


def process_pool(workers: int) -> ProcessPoolExecutor:
    """An executor with `workers` processes, which end with this one; it answers Ctrl-C for them."""
    return ProcessPoolExecutor(workers, SPAWN, _start_worker)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent(process: int = 0) -> None:
    """Make this process end when the one that started it is gone; otherwise it would work on, or wait for work, forever.

    process: the id of the one that started it, which may be gone already; 0: multiprocessing started this one.
    """
    known = multiprocessing.parent_process()
    if not known and not process:
        raise ValueError("multiprocessing has not started this process: give the id of the one that has")

    def watch():
        if known:
            known.join()
        while not known and os.getppid() == process:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def as_interrupt(*names: str) -> None:
    """Let these signals, such as SIGHUP, which a lost terminal sends, end this process as Ctrl-C does, unless it ignores them."""
    for name in names:
        number = getattr(signal, name, None)      # not every platform has all
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
