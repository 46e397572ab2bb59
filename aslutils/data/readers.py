"""From one input file to columns and its sequences' entries in a store's table, in 1.5 times the time that decoding takes.

A landmark file holds 160,000 frames or more. Its columns are decoded a few at a time: all 390 at once would keep 390
dictionaries and pages in memory (0.9 GB measured) and take twice as long. Frames are therefore assembled column by column, and
each sequence's statistics are accumulated on the way. Memory costs more time than arithmetic, hence pieces that fit the cache.
"""

from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from aslutils.data.sources import DataError, Source
from aslutils.system.errors import UserError
from aslutils.system.inputs import read_array
from aslutils.task.landmarks import COLUMNS, HANDS, LANDMARKS
from aslutils.task.parquet import check_schema, joined, numbers, parquet_parts
from aslutils.task.preprocess import as_landmarks, as_statistics, statistics
from aslutils.task.sequences import FRAME, ID, Rows, rows_of_sequences

BLOCK = 5                         # columns decoded at a time; more is slower, as decoded values then leave the cache
WINDOW = 180 << 20                # bytes of frames assembled at a time, 240,000 frames of float16; longer row groups are split
TILE = 1 << 14                    # frames of a block of columns processed at a time
TURN = 1024, 13                   # frames and columns transposed at a time
X_OF_HANDS = np.isin(np.arange(len(COLUMNS)), HANDS)
LARGEST = float(np.finfo(np.float16).max)


def write_frames(source: Source, dtype: str, file) -> list[dict]:
    """Write a source's wanted frames, rows of 390 columns, to `file`.

    Returns a dict for each wanted sequence: sequence_id and either reason (why it was left out) or start and length (its rows in
    `file`), hand_frames and statistics (float32 (2, 3)). Coordinates that float16 cannot hold count as not seen. Raises
    DataError when the whole source cannot be read.
    """
    return (_write_parquet if source.kind == "competition" else _write_arrays)(source, dtype, file)


def _write_arrays(source: Source, dtype: str, file) -> list[dict]:
    return _write_sequences(((sequence_id, _load_array(source, sequence_id)) for sequence_id in source.sequence_ids), dtype, file)


def _write_sequences(sequences, dtype: str, file) -> list[dict]:
    """Write (sequence_id, float32 (T, 390), which is changed, or the reason why it is left out) one after the other."""
    records, start = [], 0
    for sequence_id, values in sequences:
        if isinstance(values, str):
            records.append({"sequence_id": sequence_id, "reason": values})
            continue
        values[np.abs(values) > LARGEST] = np.nan
        hand_frames = int((~np.isnan(values[:, HANDS])).any(1).sum())
        records.append({"sequence_id": sequence_id, "start": start, "length": len(values), "hand_frames": hand_frames,
                        "statistics": statistics(as_landmarks(values))})
        file.write(np.ascontiguousarray(values, dtype))
        start += len(values)
    return records


def _load_array(source: Source, sequence_id: int) -> np.ndarray | str:
    """A published array as float32 (T, 390), a copy, or the reason why it cannot be used."""
    name = f"{source.name}/{sequence_id}.npy"
    try:
        values = read_array(source.path / f"{sequence_id}.npy")
    except FileNotFoundError:
        return f"{name} is absent"
    except UserError as error:
        return str(error).replace(str(source.path), source.name)
    if values.ndim != 2 or values.shape[1] != len(COLUMNS) or values.dtype.kind != "f":
        return f"{name} holds {values.dtype} {values.shape}, expected float32 (frames, {len(COLUMNS)})"
    return values.astype(np.float32) if len(values) else f"{name} has no frames"


def _write_parquet(source: Source, dtype: str, file) -> list[dict]:
    groups = _open(source)
    with _naming(source):
        ids, places = (_rows(groups, name) for name in (ID, FRAME))
    sequences = rows_of_sequences(ids, places)
    if _in_order(sequences, len(ids)):
        return _write_runs(groups, ids, source, dtype, file)
    return _write_ordered(groups, sequences, source, dtype, file)


def _in_order(sequences: Rows, count: int) -> bool:
    """Whether every row is used and the sequences lie in the file as they are to be read, one after the other."""
    order = np.concatenate([*sequences.rows.values(), np.zeros(0, int)])
    return len(order) == count and (order == np.arange(count)).all()


def _write_ordered(groups: list["Group"], sequences: Rows, source: Source, dtype: str, file) -> list[dict]:
    """A file with rows to sort, or to leave out: all its columns are decoded before the first sequence is written."""
    wanted = [sequence_id for sequence_id in source.sequence_ids if sequence_id in sequences.rows]
    rows = np.concatenate([*(sequences.rows[sequence_id] for sequence_id in wanted), np.zeros(0, int)])
    values = np.empty((len(rows), len(COLUMNS)), np.float32)
    for column, name in enumerate(COLUMNS):
        values[:, column] = np.concatenate([read_columns(group, [name], source)[0] for group in groups])[rows]
    stops = np.cumsum([len(sequences.rows[sequence_id]) for sequence_id in wanted])
    found = dict(zip(wanted, np.split(values, stops[:-1])))
    absent = {sequence_id: f"{reason} ({source.name})" for sequence_id, reason in sequences.unusable.items()}
    records = _write_sequences(((sequence_id, found.get(sequence_id, absent.get(sequence_id, f"not in {source.name}")))
                                for sequence_id in source.sequence_ids), dtype, file)
    return [{**record, "note": sequences.notes.get(record["sequence_id"], "")} for record in records]


def _write_runs(groups: list["Group"], ids: np.ndarray, source: Source, dtype: str, file) -> list[dict]:
    runs = Runs(ids, source)
    sums, hand_frames, first = np.zeros((len(runs.ids), 3, 3)), np.zeros(len(runs.ids), np.int64), 0
    stretch = len(memory(dtype)) // len(COLUMNS)
    for group in groups:
        for begin in range(0, group.rows, stretch):
            window = slice(begin, min(begin + stretch, group.rows))
            here, starts = runs.within(first + window.start, first + window.stop)
            if runs.wanted[here].any():
                columns, seen, moments = decode(group, window, source, dtype, starts)
                sums[here] += moments
                hand_frames[here] += np.add.reduceat(seen, starts, dtype=np.int64)
                _write_rows(columns, runs.wanted[here], starts, file)
        first += group.rows
    known = statistics_of(sums)
    starts = np.cumsum(runs.lengths * runs.wanted) - runs.lengths
    return runs.left_out + [
        {"sequence_id": runs.ids[run], "start": int(starts[run]), "length": int(runs.lengths[run]),
         "hand_frames": int(hand_frames[run]), "statistics": known[run]} for run in np.flatnonzero(runs.wanted)]


@contextmanager
def _naming(source: Source):
    """Turn pyarrow's errors into a DataError that names the file and says what to do."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name} cannot be read as parquet ({error}); it is cut short or damaged: download it again, "
                        "or leave its rows out of the CSV file") from error
    except UserError as error:
        raise DataError(f"{source.name}: {error}") from error


class Group(NamedTuple):
    """A row group of a landmark file, or of one of its parts if it is a folder of files."""

    file: parquet.ParquetFile
    part: Path
    number: int
    rows: int

    def read(self, names: list[str]) -> pa.Table:
        return self.file.read_row_group(self.number, columns=names, use_threads=False)


def _open(source: Source) -> list[Group]:
    """The row groups of a source, whose columns have been checked."""
    with _naming(source):
        files = [(parquet.ParquetFile(part), part) for part in parquet_parts(source.path)]
        for file, _ in files:
            check_schema(file.schema_arrow, COLUMNS, (ID,))
        return [Group(file, part, number, file.metadata.row_group(number).num_rows)
                for file, part in files for number in range(file.num_row_groups)]


def _rows(groups: list[Group], name: str) -> np.ndarray | None:
    """The column `sequence_id` or `frame` of all rows; None if there is none."""
    pieces, first = [], 0
    for group in groups:
        known = name in group.file.schema_arrow.names
        pieces.append(numbers(group.read([name])[name], name, first) if known else None)
        first += group.rows
    return joined(pieces, [group.part for group in groups], name) if groups else np.zeros(0, np.int64)


class Runs:
    """Which frames of a landmark file belong together: one run for each stretch of frames with the same sequence_id.

    ids, starts, lengths: of each run; wanted: whether its frames are kept; left_out: why wanted sequences are not.
    """

    def __init__(self, sequence_ids: np.ndarray, source: Source):
        self.starts = np.flatnonzero(np.diff(sequence_ids, prepend=sequence_ids[:1] - 1))
        self.lengths = np.diff(self.starts, append=len(sequence_ids))
        self.ids = sequence_ids[self.starts].tolist()
        asked, held = set(source.sequence_ids), set(self.ids)
        self.wanted = np.array([sequence_id in asked for sequence_id in self.ids], bool)
        self.left_out = [{"sequence_id": sequence_id, "reason": f"not in {source.name}"}
                         for sequence_id in source.sequence_ids if sequence_id not in held]

    def within(self, begin: int, end: int) -> tuple[slice, np.ndarray]:
        """The runs that have frames in begin..end, and where each starts, counted from `begin`."""
        runs = slice(int(np.searchsorted(self.starts, begin, "right")) - 1, int(np.searchsorted(self.starts, end)))
        return runs, np.maximum(self.starts[runs] - begin, 0)


class Moments:
    """Count, sum and sum of squares of the seen values of each frame of one coordinate, added a few columns at a time.

    Values are centred on a seen value of their frame, so that float32 is precise enough for the sums.
    """

    def __init__(self, length: int):
        self.total, self.squares = np.zeros((2, length), np.float32)
        self.centre = np.full(length, np.nan, np.float32)                    # NaN until a value is seen
        self.count = np.zeros(length, np.uint8)                              # up to 130

    def add_(self, window: slice, values: np.ndarray, missing: np.ndarray) -> None:
        """Add columns of a window of frames, float32 (columns, n), changed in place; missing: where not seen."""
        centre = self.centre[window]
        lacking = np.flatnonzero(np.isnan(centre))
        centre[lacking] = np.fmax.reduce(values.take(lacking, 1))
        values -= centre
        if missing.any():
            keep = missing.astype(np.int32)                                  # all bits where seen, none where not
            keep -= 1
            keep &= values.view(np.int32)
            values = keep.view(np.float32)
        self.total[window] += np.add.reduce(values)
        self.squares[window] += np.einsum("ij,ij->j", values, values)
        self.count[window] += np.uint8(len(values)) - np.add.reduce(missing.view(np.uint8), dtype=np.uint8)

    def of_runs(self, starts: np.ndarray) -> np.ndarray:
        """float64 (runs, 3): count, sum and sum of squares of each of the runs of frames that begin at `starts`."""
        count, total, centre = self.count.astype(np.float64), self.total.astype(np.float64), np.nan_to_num(self.centre)
        squares = self.squares + centre * (2 * total + count * centre)
        return np.add.reduceat([count, total + count * centre, squares], starts, axis=1).T


def decode(group: Group, window: slice, source: Source, dtype: str, starts: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode a window of a row group, in which runs begin at `starts`.

    Returns its columns, (390, n) in the store's dtype; in which frames a hand is seen, bool (n,); and its runs' moments, float64
    (runs, 3 coordinates, 3).
    """
    length = window.stop - window.start
    columns = memory(dtype)[:len(COLUMNS) * length].reshape(len(COLUMNS), length)
    seen, sums = np.zeros(length, bool), []
    for first in range(0, len(COLUMNS), len(LANDMARKS)):
        moments = Moments(length)
        for begin in range(first, first + len(LANDMARKS), BLOCK):
            block = slice(begin, begin + BLOCK)
            hands = X_OF_HANDS[block]
            decoded = [values[window] for values in read_columns(group, COLUMNS[block], source)]
            for start in range(0, length, TILE):
                tile = slice(start, start + TILE)
                values = np.concatenate([column[tile] for column in decoded]).reshape(BLOCK, -1)
                missing = np.isnan(values)
                if np.fmax.reduce(values, None) > LARGEST or np.fmin.reduce(values, None) < -LARGEST:
                    missing |= np.abs(values) > LARGEST
                    values[missing] = np.nan
                if hands.any():
                    seen[tile] |= ~missing[hands].all(0)
                if dtype == "float16":
                    half(values, columns[block, tile])
                else:
                    columns[block, tile] = values
                moments.add_(tile, values, missing)
        sums.append(moments.of_runs(starts))
    return columns, seen, np.stack(sums, 1)


def statistics_of(sums: np.ndarray) -> np.ndarray:
    """What `preprocess.statistics` gives, float32 (n, 2, 3), from counts, sums and sums of squares, (n, 3 coordinates, 3)."""
    count, total, squares = np.moveaxis(sums, 2, 0)
    count = np.maximum(count, 1)
    mean = total / count
    return as_statistics(mean, squares / count - mean**2).swapaxes(0, 1)


@lru_cache(maxsize=1)
def memory(dtype: str) -> np.ndarray:
    """A buffer for one window, kept for the next file: allocating it costs as much time as all arithmetic here."""
    return np.empty(WINDOW // np.dtype(dtype).itemsize, dtype)


def read_columns(group: Group, names: list[str], source: Source) -> list[np.ndarray]:
    """Columns of a row group, float32, null as NaN; users' own files may hold float64, or nothing but null."""
    with _naming(source):
        block = group.read(names)
        return [block[name].cast(pa.float32(), safe=False).to_numpy() for name in names]


def half(values: np.ndarray, out: np.ndarray) -> None:
    """Write float32 `values`, up to 65504, to the float16 `out`, rounded to nearest even: as numpy does, three times as fast."""
    bits = (values * np.float32(2.0**-112)).view(np.uint32)                  # now exponents are float16's
    rounded = bits >> np.uint32(13)
    rounded &= np.uint32(1)
    rounded += bits
    rounded += np.uint32(0xFFF)
    rounded >>= np.uint32(13)
    magnitude = rounded.astype(np.uint16)                                    # the rest in half the bytes
    magnitude &= np.uint16(0x7FFF)
    bits >>= np.uint32(16)
    sign = bits.astype(np.uint16)
    sign &= np.uint16(0x8000)
    np.bitwise_or(magnitude, sign, out=out.view(np.uint16))


def _write_rows(columns: np.ndarray, wanted: np.ndarray, starts: np.ndarray, file) -> None:
    """Write the frames of the wanted runs, transposed from columns (390, n) to rows."""
    stops = np.append(starts[1:], columns.shape[1])
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))     # neighbouring wanted runs go together
    length, width = TURN
    rows = np.empty((length, len(columns)), columns.dtype)
    for first, beyond in edges.reshape(-1, 2):
        for begin in range(starts[first], stops[beyond - 1], length):
            tile = columns[:, begin:min(begin + length, stops[beyond - 1])].T
            for column in range(0, len(columns), width):
                rows[:len(tile), column:column + width] = tile[:, column:column + width]
            file.write(rows[:len(tile)])
