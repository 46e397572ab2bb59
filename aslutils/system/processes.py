"""Worker processes on this machine."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

SPAWN = multiprocessing.get_context("spawn")      # spawn: a fork of a notebook's process would lack its threads


def process_pool(workers: int) -> ProcessPoolExecutor:
    """An executor with `workers` processes, which end with this one."""
    return ProcessPoolExecutor(workers, SPAWN, end_with_parent)


def end_with_parent() -> None:
    """Make this worker process end when its parent is killed; otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
