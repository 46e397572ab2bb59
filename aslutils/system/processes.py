"""Processes of this machine that share the kit's work."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

SPAWN = multiprocessing.get_context("spawn")      # begun anew: a fork of a notebook's process would miss its threads


def process_pool(workers: int) -> ProcessPoolExecutor:
    """An executor of that many processes, which end with this one."""
    return ProcessPoolExecutor(workers, SPAWN, end_with_parent)


def end_with_parent() -> None:
    """Let this worker process end when its parent is killed; without this it would wait for work forever."""
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
