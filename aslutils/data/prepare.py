"""Competition files or published arrays -> the landmark store, once: `python -m aslutils.data.prepare DATA STORE`.

Each input file becomes one part, written by whichever process is free and renamed into place when it is whole; the parts
are then joined in corpus order. So a preparation that is cut off goes on with the next file when it is started again, and ends
with the same bytes, however many processes (or machines, `--dask`) worked on it; where a damaged file was mended in between,
the parts of the others are still used.
"""

import argparse
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.data.readers import write_frames
from aslutils.data.sources import DataError, Source, find_kind, read_corpus
from aslutils.data.store import (
    DTYPES,
    FRAMES,
    HEADER,
    REMEDY,
    SKIPPED,
    STATISTICS,
    VERSION,
    WIDTH,
    Store,
    StoreError,
    read_header,
    seal,
)
from aslutils.system.files import atomic, locked, read_json, write_json, write_table
from aslutils.system.processes import process_pool
from aslutils.system.progress import progress

__all__ = ["DataError", "find_kind", "prepare"]

PARTS, PLAN = "parts", "plan.json"
DEFAULT_WORKERS = 4                               # at most, so that memory stays under 1.5 GB; a user may ask for more
COUNTS = ["start", "frames", "hand_frames"]
FILE_SIZE = 64 << 20                              # bytes of input that make one more process worth its start


def prepare(data, store, *, dtype="float16", workers=None, dask=None, rebuild=False) -> Store:
    """Turn a folder of landmark files into a landmark store and open it; a finished store of the same input is just opened.

    data: folder of competition files or published arrays (`sources` says how they lie); store: folder to write; dtype:
    "float16" (its rounding is far below MediaPipe's jitter) or "float32"; workers: processes, by default one for each core, at
    most 4, fewer for little data; dask: address of a dask scheduler whose workers see both folders, instead of processes
    here; rebuild: make the store anew, whatever is in it.

    Sequences that cannot be used are counted, and listed with the reason in `skipped.csv`. Raises DataError for input that
    cannot be read at all, naming every such file after the others are done; StoreError when the store holds something else
    or is being written by another preparation; OSError when there is no space left, after which a second call goes on.
    """
    store = Path(store).resolve()                 # workers elsewhere may be in another folder
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}, expected {' or '.join(map(repr, DTYPES))}")
    table, sources, fingerprint = read_corpus(data)
    plan = {"fingerprint": fingerprint, "dtype": dtype, "version": VERSION}
    if rebuild or not _is_finished(store, plan):
        store.mkdir(parents=True, exist_ok=True)
        with _held(store):
            if rebuild:
                _clear(store)
            if not _is_finished(store, plan):
                tasks = _begin(store, plan, sources, table)
                _convert_all(tasks, workers, dask)
                _merge(store, tasks, table, plan, find_kind(data))
    opened = Store(store)
    print(_summary(opened), flush=True)
    return opened


@dataclass(frozen=True)
class Task:
    """One source to turn into one part: `<part>.frames`, rows of 390, and `<part>.parquet`, one row a sequence, written last."""

    source: Source
    part: Path
    dtype: str

    @property
    def frames(self) -> Path:
        return self.part.with_suffix(".frames")

    @property
    def table(self) -> Path:
        return self.part.with_suffix(".parquet")


def convert(task: Task) -> int | DataError:
    """Write a task's part; how many sequences it went through, or the error that says why its file cannot be read."""
    try:
        with atomic(task.frames) as temporary, open(temporary, "wb") as file:
            records = write_frames(task.source, task.dtype, file)
    except DataError as error:
        return error
    rows = dict(zip(task.source.sequence_ids, task.source.rows))
    table = pd.DataFrame({"row": [rows[record["sequence_id"]] for record in records],
                          "reason": [record.get("reason", "") for record in records],
                          **{name: [record.get(name, 0) for record in records] for name in COUNTS}})
    known = [record.get("statistics", np.zeros((2, 3))) for record in records]
    table[STATISTICS] = np.array(known, np.float32).reshape(-1, len(STATISTICS))
    with atomic(task.table) as temporary:
        table.to_parquet(temporary, index=False)
    return len(records)


def _is_finished(store: Path, plan: dict) -> bool:
    """Whether `store` is whole and made from this input. Raises StoreError when it is broken or holds something else."""
    if not (store / HEADER).exists():
        return False
    header = read_header(store)
    if header["source"]["fingerprint"] != plan["fingerprint"]:
        raise StoreError(f"the store {store} was made from other data (or the data has changed since); "
                         f"name another folder, or {REMEDY.format(path=store)}")
    if header["dtype"] != plan["dtype"]:
        raise StoreError(f"the store {store} holds {header['dtype']}, not {plan['dtype']}; {REMEDY.format(path=store)}")
    return True


def _held(store: Path):
    return locked(store, lambda process: StoreError(f"another preparation (process {process}) is writing {store}; "
                                                    "wait until it has finished, or name another store"))


def _clear(store: Path) -> None:
    for name in (HEADER, FRAMES, SKIPPED, "table.parquet"):                       # the header first: unfinished from here on
        (store / name).unlink(missing_ok=True)
    shutil.rmtree(store / PARTS, ignore_errors=True)


def _begin(store: Path, plan: dict, sources: list[Source], table: pd.DataFrame) -> list[Task]:
    """The tasks of this preparation. Parts of other input, what was joined of it, and what a killed process left are removed."""
    parts = store / PARTS
    tasks = [Task(source, parts / f"{number:05d}-{_digest(source, table, plan)}", plan["dtype"])
             for number, source in enumerate(sources) if source.rows]
    if not (parts / PLAN).exists() or read_json(parts / PLAN) != plan:
        (parts / PLAN).unlink(missing_ok=True)
        (store / FRAMES).unlink(missing_ok=True)
        whole = {file for task in tasks if task.frames.exists() and task.table.exists() for file in (task.frames, task.table)}
        for file in parts.glob("*"):
            if file not in whole:
                file.unlink()
        write_json(parts / PLAN, plan)
    for half in [*store.glob(".*.part"), *parts.glob(".*.part")]:
        half.unlink()
    return tasks


def _digest(source: Source, table: pd.DataFrame, plan: dict) -> str:
    """What a part is made from, for its name: mending one file of an input costs no other file's part."""
    made_from = f"{source.name} {source.size} {plan['dtype']} {plan['version']}\n{table.loc[source.rows].to_csv()}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def _convert_all(tasks: list[Task], workers: int | None, dask: str | None) -> None:
    todo = [task for task in tasks if not task.table.exists()]
    if workers is None:
        size = sum(task.source.size for task in todo if task.source.kind == "competition")
        workers = min(os.cpu_count() or 1, DEFAULT_WORKERS, 1 + size // FILE_SIZE)
    sequences_done = sum(len(task.source.rows) for task in tasks) - sum(len(task.source.rows) for task in todo)
    failures = []
    with _executor(workers, len(todo), dask) as executor, progress(
            total=sum(len(task.source.rows) for task in tasks), initial=sequences_done, what="prepare", unit="sequences") as bar:
        for result in _results(executor, todo):
            if isinstance(result, DataError):
                failures.append(str(result))
            else:
                bar.update(result)
    if failures:
        heading = f"{len(failures)} of {len(tasks)} files cannot be read (the others are kept):"
        raise DataError("\n".join([heading, *sorted(failures)]))


def _results(executor: Executor | None, tasks: list[Task]) -> Iterator[int | DataError]:
    """What `convert` says of each task, as they finish; without an executor here, one after the other."""
    if executor is None:
        yield from map(convert, tasks)
        return
    try:
        for future in as_completed([executor.submit(convert, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError("a preparing process was killed, probably for want of memory; start again with fewer workers: "
                           "it goes on with the files that are not done") from error


@contextmanager
def _executor(workers: int, tasks: int, dask: str | None) -> Iterator[Executor | None]:
    if dask:
        try:
            from distributed import Client
        except ImportError as error:
            raise RuntimeError(f"--dask {dask} needs dask.distributed: pip install distributed") from error
        with Client(dask, timeout="30s") as client:
            yield client.get_executor(pure=False)
    elif workers > 1 and tasks > 1:
        pool = process_pool(min(workers, tasks))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        yield None


def _merge(store: Path, tasks: list[Task], table: pd.DataFrame, plan: dict, kind: str) -> None:
    """Join the parts in corpus order. A part is removed once its frames are joined, so the disk holds them only once."""
    parts = [pd.read_parquet(task.table) for task in tasks] or [pd.DataFrame(columns=["row", "reason", *COUNTS, *STATISTICS])]
    start = 0
    with _space_for(store / FRAMES), open(store / FRAMES, "ab") as frames:
        for task, part in zip(tasks, parts):
            _append(frames, task, start, int(part["frames"].sum()))
            part["start"] += start
            start += int(part["frames"].sum())
    found = pd.concat(parts, ignore_index=True).set_index("row")
    table.loc[found.index, "reason"] = found["reason"]
    kept = table.join(found.drop(columns="reason"))[table["reason"] == ""].reset_index(drop=True)
    skipped = table.loc[table["reason"] != "", ["file_id", "sequence_id", "phrase", "is_sup", "reason"]]
    write_table(store / SKIPPED, skipped)
    if kept.empty:
        raise DataError(f"no sequence of this data can be used; {store / SKIPPED} says why, "
                        f"the first: {skipped['reason'].iloc[0] if len(skipped) else 'the CSV file is empty'}")
    seal(store, kept.astype(dict.fromkeys(COUNTS, "int64")), plan["dtype"],
         {"kind": kind, "files": len(tasks), "skipped": len(skipped), "fingerprint": plan["fingerprint"]})
    shutil.rmtree(store / PARTS)


def _append(frames, task: Task, start: int, count: int) -> None:
    """Put a part's `count` frames at frame `start`, then remove it; nothing to do where a cut-off merge got past it."""
    frame_bytes = WIDTH * np.dtype(task.dtype).itemsize
    if task.frames.exists():
        if task.frames.stat().st_size != count * frame_bytes:
            raise StoreError(f"{task.frames} is cut short; remove the folder {task.frames.parent} and prepare again")
        frames.truncate(start * frame_bytes)
        with open(task.frames, "rb") as part:
            shutil.copyfileobj(part, frames, 16 << 20)
        frames.flush()
        os.fsync(frames.fileno())
        task.frames.unlink()
    elif frames.seek(0, os.SEEK_END) < (start + count) * frame_bytes:
        raise StoreError(f"{task.frames} is gone; remove the folder {task.frames.parent} and prepare again")


@contextmanager
def _space_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(error.errno,
                          f"no space left while writing {path}; free some and start again, nothing was lost") from error
        raise


def _summary(store: Store) -> str:
    sup = int(store.table["is_sup"].sum())
    skipped = store.header["source"]["skipped"]
    return (f"{store.path}: {len(store) - sup:,} training and {sup:,} supplemental sequences, {store.header['frames']:,} frames "
            f"in {store.array.nbytes / 1e6:,.0f} MB of {store.header['dtype']}, from {store.header['source']['kind']} files; "
            f"{skipped:,} skipped" + (f", listed in {store.path / SKIPPED}" if skipped else ""))


def main():
    """Prepare a landmark store outside a notebook."""
    parser = argparse.ArgumentParser(prog="python -m aslutils.data.prepare", description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="folder of competition files or of the published preprocessed arrays")
    parser.add_argument("store", help="folder to write the landmark store to")
    parser.add_argument("--dtype", default="float16", choices=DTYPES, help="how frames are kept (default: float16)")
    parser.add_argument("--workers", type=int, help=f"processes (default: one for each core, at most {DEFAULT_WORKERS})")
    parser.add_argument("--dask", metavar="tcp://HOST:PORT", help="run on this dask cluster, whose workers see both folders")
    parser.add_argument("--rebuild", action="store_true", help="make the store anew, whatever is in it")
    options = parser.parse_args()
    try:
        prepare(options.data, options.store, dtype=options.dtype, workers=options.workers, dask=options.dask,
                rebuild=options.rebuild)
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(f"prepare: {error}") from error


if __name__ == "__main__":
    from aslutils.data.prepare import main  # by its own name, under which other processes find what they are sent

    main()
