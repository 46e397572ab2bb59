"""Competition files or published arrays -> the landmark store, once: `python -m aslutils prepare DATA STORE`.

Each input file becomes one part, written by whichever process is free and renamed into place when it is complete; the parts
are then joined in corpus order. An interrupted preparation therefore resumes with the next file when it is started again, and
the result has the same bytes for any number of processes (or machines, `--dask`). If a damaged file was replaced in between,
the parts of the other files are still used.
"""

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
from aslutils.data.sources import SHOWN, DataError, Source, find_kind, read_corpus
from aslutils.data.store import COLUMNS_FILE, DTYPES, SKIPPED, STATISTICS, WIDTH, Store, StoreError, clear, is_finished, seal
from aslutils.system import versions
from aslutils.system.errors import UserError
from aslutils.system.files import atomic, locked, space_for, writable, write_json, write_table
from aslutils.system.inputs import read_json
from aslutils.system.processes import process_pool
from aslutils.system.progress import progress

PARTS, PLAN = "parts", "plan.json"
DEFAULT_WORKERS = 4                               # at most, so that memory stays under 1.5 GB; a user may ask for more
WORDS = ["reason", "note"]                        # why a sequence is left out; which of its rows are
COUNTS = ["start", "length", "hand_frames"]
FILE_SIZE = 64 << 20                              # bytes of input that make one more process worth starting


def prepare(data, store, *, dtype=DTYPES[0], workers=None, dask=None, rebuild=False) -> Store:
    """Turn a folder of landmark files into a landmark store and open it; a finished store of the same input is just opened.

    data: folder of competition files or published arrays (see `sources` for the layout); store: folder to write; dtype:
    "float16" (its rounding is far below MediaPipe's jitter) or "float32"; workers: processes, by default one for each core, at
    most 4, fewer for little data; dask: address of a dask scheduler whose workers see both folders, instead of processes
    here; rebuild: recreate the store, whatever it holds.

    Sequences that cannot be used are counted, and listed with the reason in `skipped.csv`. Raises DataError for input that
    cannot be read at all, naming every such file after the others are done; StoreError when the store holds something else
    or is being written by another preparation; OSError when there is no space left, after which a second call resumes.
    """
    store = Path(store).resolve()                 # dask workers may run in another folder
    if dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}, expected {' or '.join(map(repr, DTYPES))}")
    table, sources, fingerprint = read_corpus(data)
    plan = {"fingerprint": fingerprint, "dtype": dtype, "version": versions.STORE}
    if rebuild or not is_finished(store, plan) or _leftovers(store):
        with _held(writable(store)):
            if rebuild:
                clear(store)
                shutil.rmtree(store / PARTS, ignore_errors=True)
            if is_finished(store, plan):          # a preparation was killed after its last file
                _tidy(store)
            else:
                tasks = _begin(store, plan, sources, table)
                _convert_all(tasks, workers, dask)
                _merge(store, tasks, table, plan, find_kind(data))
    opened = Store(store)
    print(_summary(opened), flush=True)
    return opened


@dataclass(frozen=True)
class Task:
    """One source to turn into one part: `<part>.columns`, rows of 390, and `<part>.parquet`, one row a sequence, written last."""

    source: Source
    part: Path
    dtype: str

    @property
    def columns(self) -> Path:
        return self.part.with_suffix(".columns")

    @property
    def table(self) -> Path:
        return self.part.with_suffix(".parquet")


def convert(task: Task) -> int | DataError:
    """Write a task's part. Returns how many sequences it processed, or the error that says why its file cannot be read."""
    try:
        with atomic(task.columns) as temporary, open(temporary, "wb") as file:
            records = write_frames(task.source, task.dtype, file)
    except DataError as error:
        return error
    rows = dict(zip(task.source.sequence_ids, task.source.rows))
    table = pd.DataFrame({"row": [rows[record["sequence_id"]] for record in records],
                          **{name: [record.get(name, "") for record in records] for name in WORDS},
                          **{name: [record.get(name, 0) for record in records] for name in COUNTS}})
    known = [record.get("statistics", np.zeros((2, 3))) for record in records]
    table[STATISTICS] = np.array(known, np.float32).reshape(-1, len(STATISTICS))
    with atomic(task.table) as temporary:
        table.to_parquet(temporary, index=False)
    return len(records)


def _held(store: Path):
    return locked(store, lambda process: StoreError(f"another preparation (process {process}) is writing {store}; "
                                                    "wait until it has finished, or choose another store"))


def _begin(store: Path, plan: dict, sources: list[Source], table: pd.DataFrame) -> list[Task]:
    """The tasks of this preparation. Removes parts of other input, what was joined from them, and a killed process's files."""
    parts = store / PARTS
    tasks = [Task(source, parts / f"{number:05d}-{_digest(source, table, plan)}", plan["dtype"])
             for number, source in enumerate(sources) if source.rows]
    if not (parts / PLAN).exists() or read_json(parts / PLAN) != plan:
        (parts / PLAN).unlink(missing_ok=True)
        (store / COLUMNS_FILE).unlink(missing_ok=True)
        whole = {file for task in tasks if task.columns.exists() and task.table.exists() for file in (task.columns, task.table)}
        for file in parts.glob("*"):
            if file not in whole:
                file.unlink()
        write_json(parts / PLAN, plan)
    for half in [*store.glob(".*.part"), *parts.glob(".*.part")]:
        half.unlink()
    return tasks


def _leftovers(store: Path) -> list[Path]:
    if not os.access(store, os.W_OK):             # where Kaggle attached it
        return []
    return [path for path in store.iterdir() if path.name == PARTS or path.name.endswith(".part")]


def _tidy(store: Path) -> None:
    """Remove what a killed preparation left in a finished store."""
    for path in _leftovers(store):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _digest(source: Source, table: pd.DataFrame, plan: dict) -> str:
    """A digest of what a part is made from, for its name: replacing one input file keeps the other files' parts."""
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
    """What `convert` returns for each task, as they finish; without an executor, in this process, one after the other."""
    if executor is None:
        yield from map(convert, tasks)
        return
    try:
        for future in as_completed([executor.submit(convert, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError("a worker process was killed, probably for lack of memory; start again with fewer workers: "
                           "the preparation resumes with the unfinished files") from error


@contextmanager
def _executor(workers: int, tasks: int, dask: str | None) -> Iterator[Executor | None]:
    if dask:
        try:
            from distributed import Client
        except ImportError as error:
            raise UserError(f"--dask {dask} needs dask.distributed: pip install distributed") from error
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
    """Join the parts in corpus order. A part is removed once it is joined, so the disk holds its frames only once."""
    parts = [pd.read_parquet(task.table) for task in tasks] or [pd.DataFrame(columns=["row", *WORDS, *COUNTS, *STATISTICS])]
    start = 0
    with space_for(store / COLUMNS_FILE), open(store / COLUMNS_FILE, "ab") as file:
        for task, part in zip(tasks, parts):
            _append(file, task, start, int(part["length"].sum()))
            part["start"] += start
            start += int(part["length"].sum())
    found = pd.concat(parts, ignore_index=True).set_index("row")
    table.loc[found.index, "reason"] = found["reason"]
    kept = table.join(found.drop(columns=WORDS))[table["reason"] == ""].reset_index(drop=True)
    _check_shown(kept)
    skipped = table[table["reason"] != ""]
    shortened = table.assign(reason=found["note"].where(found["note"] != "").reindex(table.index)).dropna(subset="reason")
    listed = pd.concat([skipped, shortened[~shortened.index.isin(skipped.index)]]).sort_index()
    write_table(store / SKIPPED, listed[["file_id", "sequence_id", "phrase", "is_sup", "reason"]])
    if kept.empty:
        raise DataError(f"no sequence of this data can be used; {store / SKIPPED} says why, "
                        f"the first reason: {skipped['reason'].iloc[0] if len(skipped) else 'the CSV file is empty'}")
    seal(store, kept.astype(dict.fromkeys(COUNTS, "int64")), plan["dtype"],
         {"kind": kind, "files": len(tasks), "skipped": len(skipped), "shortened": len(listed) - len(skipped),
          "fingerprint": plan["fingerprint"]})
    _tidy(store)


def _check_shown(table: pd.DataFrame) -> None:
    """Raise DataError unless what the frames show, where that is known, is of as many frames as there are."""
    if SHOWN not in table:
        return
    counts = table[SHOWN].str.len()
    wrong = counts[(counts > 0) & (counts != table["length"])]
    if len(wrong):
        row = table.loc[wrong.index[0]]
        raise DataError(f"the sequence {row['file_id']}/{row['sequence_id']} has {row['length']:.0f} frames, but its column "
                        f"{SHOWN} says what {wrong.iloc[0]} show ({len(wrong)} such sequences); correct it or leave it empty")


def _append(file, task: Task, start: int, count: int) -> None:
    """Write a part's `count` frames at frame `start`, then remove it; a no-op if an interrupted merge already did so."""
    frame_bytes = WIDTH * np.dtype(task.dtype).itemsize
    if task.columns.exists():
        if task.columns.stat().st_size != count * frame_bytes:
            raise StoreError(f"{task.columns} is cut short; remove the folder {task.columns.parent} and prepare again")
        file.truncate(start * frame_bytes)
        with open(task.columns, "rb") as part:
            shutil.copyfileobj(part, file, 16 << 20)
        file.flush()
        os.fsync(file.fileno())
        task.columns.unlink()
    elif file.seek(0, os.SEEK_END) < (start + count) * frame_bytes:
        raise StoreError(f"{task.columns} is missing; remove the folder {task.columns.parent} and prepare again")


def _summary(store: Store) -> str:
    sup = int(store.table["is_sup"].sum())
    source = store.header["source"]
    skipped, shortened = source["skipped"], source.get("shortened", 0)
    return (f"{store.path}: {len(store) - sup:,} training and {sup:,} supplemental sequences, "
            f"{store.header['frame_count']:,} frames in {store.array.nbytes / 1e6:,.0f} MB of {store.header['dtype']}, "
            f"from {source['kind']} files; {skipped:,} skipped"
            + (f", {shortened:,} read without doubled rows" if shortened else "")
            + (f", listed in {store.path / SKIPPED}" if skipped or shortened else ""))
