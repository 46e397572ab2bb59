"""From one input file to frames and what a store's table says of its sequences, at nearly the speed of decoding it.

A landmark file holds 160,000 frames or more, and its columns are best decoded a few at a time: all 390 at once would keep 390
dictionaries and pages in memory (0.9 GB measured), and take twice as long. So frames are put together column by column, and each
sequence's statistics are summed up on the way.
"""

from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from aslutils.landmarks import COLUMNS, HANDS, LANDMARKS
from aslutils.preprocess import as_frames, as_statistics, statistics
from aslutils.sources import DataError, Source

BLOCK = 13                        # columns decoded at a time
WINDOW = 1 << 18                  # frames put together at a time: 200 MB of float16; longer row groups are decoded in stretches
TILE = 1024                       # frames turned from columns to rows at a time, small enough for the cache
X_OF_HANDS = set(HANDS.tolist())  # columns
LARGEST = float(np.finfo(np.float16).max)


def write_frames(source: Source, dtype: str, file) -> list[dict]:
    """Write a source's wanted frames, rows of 390 columns, to `file`; what became of each wanted sequence.

    Each is a dict: sequence_id and either reason (why it was left out) or start and frames (its rows in `file`), hand_frames and
    statistics (float32 (2, 3)). Coordinates that float16 cannot hold count as not seen. Raises DataError when the
    whole source cannot be read.
    """
    return (_write_parquet if source.kind == "competition" else _write_arrays)(source, dtype, file)


def _write_arrays(source: Source, dtype: str, file) -> list[dict]:
    records, start = [], 0
    for sequence_id in source.sequence_ids:
        values = _load_array(source, sequence_id)
        if isinstance(values, str):
            records.append({"sequence_id": sequence_id, "reason": values})
            continue
        values[np.abs(values) > LARGEST] = np.nan
        hand_frames = int((~np.isnan(values[:, HANDS])).any(1).sum())
        records.append({"sequence_id": sequence_id, "start": start, "frames": len(values), "hand_frames": hand_frames,
                        "statistics": statistics(as_frames(values))})
        file.write(np.ascontiguousarray(values, dtype))
        start += len(values)
    return records


def _load_array(source: Source, sequence_id: int) -> np.ndarray | str:
    """A published array as float32 (T, 390), a copy, or why there is none."""
    name = f"{source.name}/{sequence_id}.npy"
    try:
        values = np.load(source.path / f"{sequence_id}.npy", allow_pickle=False)
    except FileNotFoundError:
        return f"{name} is absent"
    except (ValueError, EOFError) as error:
        return f"{name} is not readable ({error})"
    if values.ndim != 2 or values.shape[1] != len(COLUMNS) or values.dtype.kind != "f":
        return f"{name} holds {values.dtype} {values.shape}, expected float32 (frames, {len(COLUMNS)})"
    return values.astype(np.float32) if len(values) else f"{name} holds no frame"


def _write_parquet(source: Source, dtype: str, file) -> list[dict]:
    with _open(source) as landmarks:
        with _naming(source):
            sequence_ids = landmarks.read(["sequence_id"], use_threads=False)["sequence_id"].to_numpy()
        runs = Runs(sequence_ids, source)
        moments, hand_frames, first = Moments(len(runs.ids)), np.zeros(len(runs.ids), np.int64), 0
        for group in range(landmarks.num_row_groups):
            rows = landmarks.metadata.row_group(group).num_rows
            for begin in range(0, rows, WINDOW):
                window = slice(begin, min(begin + WINDOW, rows))
                here, starts = runs.within(first + window.start, first + window.stop)
                if runs.wanted[here].any():
                    columns, seen = _decode(landmarks, group, window, source, dtype, moments, here, starts)
                    hand_frames[here] += np.add.reduceat(seen, starts, dtype=np.int64)
                    _write_rows(columns, runs.wanted[here], starts, file)
            first += rows
    known = moments.statistics()
    starts = np.cumsum(runs.lengths * runs.wanted) - runs.lengths
    return runs.left_out + [
        {"sequence_id": runs.ids[run], "start": int(starts[run]), "frames": int(runs.lengths[run]),
         "hand_frames": int(hand_frames[run]), "statistics": known[run]} for run in np.flatnonzero(runs.wanted)]


@contextmanager
def _naming(source: Source):
    """Let what pyarrow cannot read name its file and say what to do."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name} cannot be read as parquet ({error}); it is cut short or damaged: download it again, "
                        "or leave its rows out of the CSV file") from error


def _open(source: Source) -> parquet.ParquetFile:
    with _naming(source):
        file = parquet.ParquetFile(source.path)
    present = set(file.schema_arrow.names)
    lacking = [column for column in ("sequence_id", *COLUMNS) if column not in present]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise DataError(f"{source.name} lacks the column {lacking[0]}{more}; is this the asl-fingerspelling data?")
    return file


class Runs:
    """Which frames of a landmark file belong together: one run for each stretch of frames with the same sequence_id.

    ids, starts, lengths: of each run; wanted: whether its frames are kept; left_out: why wanted sequences are not.
    """

    def __init__(self, sequence_ids: np.ndarray, source: Source):
        self.starts = np.flatnonzero(np.diff(sequence_ids, prepend=sequence_ids[:1] - 1))
        self.lengths = np.diff(self.starts, append=len(sequence_ids))
        self.ids = sequence_ids[self.starts].tolist()
        often = dict(zip(*(values.tolist() for values in np.unique(self.ids, return_counts=True))))
        whole = {sequence_id for sequence_id in source.sequence_ids if often.get(sequence_id) == 1}
        self.wanted = np.array([sequence_id in whole for sequence_id in self.ids], bool)
        self.left_out = [{"sequence_id": sequence_id, "reason": ("its frames are scattered over " if sequence_id in often else
                                                                 "not in ") + source.name}
                         for sequence_id in source.sequence_ids if sequence_id not in whole]

    def within(self, begin: int, end: int) -> tuple[slice, np.ndarray]:
        """The runs that have frames in begin..end, and where in there each starts."""
        runs = slice(int(np.searchsorted(self.starts, begin, "right")) - 1, int(np.searchsorted(self.starts, end)))
        return runs, np.maximum(self.starts[runs] - begin, 0)


class Moments:
    """Count, sum and sum of squares of the seen values of many sequences, by coordinate, from columns given in any order."""

    def __init__(self, sequences: int):
        self.count, self.total, self.squares = np.zeros((3, sequences, 3))

    def add(self, coordinate: int, runs: slice, starts: np.ndarray, values: np.ndarray, missing: np.ndarray) -> None:
        """Add a column's `values`, float32 (n,), of which runs begin at `starts`; missing: which of them were not seen.

        They are centred on the first that was seen, so that float32 will do for their squares.
        """
        centre = values[missing.argmin()]
        centre = np.float32(0) if np.isnan(centre) else centre               # nothing was seen at all
        count = np.append(starts[1:], len(values)) - starts
        centred = values - centre
        if missing.any():
            np.copyto(centred, 0, where=missing)
            count -= np.add.reduceat(missing, starts, dtype=np.int64)
        total = np.add.reduceat(centred, starts).astype(np.float64)
        squares = np.add.reduceat(np.square(centred, out=centred), starts).astype(np.float64)
        centre = float(centre)
        self.count[runs, coordinate] += count
        self.total[runs, coordinate] += total + count * centre
        self.squares[runs, coordinate] += squares + centre * (2 * total + count * centre)

    def statistics(self) -> np.ndarray:
        """float32 (sequences, 2, 3): what `preprocess.statistics` gives for each."""
        count = np.maximum(self.count, 1)
        mean = self.total / count
        return as_statistics(mean, self.squares / count - mean**2).swapaxes(0, 1)


def _decode(file: parquet.ParquetFile, group: int, window: slice, source: Source, dtype: str, moments: Moments,
            runs: slice, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A stretch of a row group as columns, (390, n) in the store's dtype, and in which frames a hand is seen, bool (n,)."""
    frames = window.stop - window.start
    columns = _memory(dtype)[:len(COLUMNS) * frames].reshape(len(COLUMNS), frames)
    seen = np.zeros(frames, bool)
    for begin in range(0, len(COLUMNS), BLOCK):
        for position, values in enumerate(_columns(file, group, COLUMNS[begin:begin + BLOCK], source), begin):
            values = values[window]
            missing = np.isnan(values)
            wild = np.abs(values) > LARGEST
            if wild.any():
                values, missing = np.where(wild, np.float32(np.nan), values), missing | wild
            moments.add(position // len(LANDMARKS), runs, starts, values, missing)
            if dtype == "float16":
                half(values, columns[position])
            else:
                columns[position] = values
            if position in X_OF_HANDS:
                seen |= ~missing
    return columns, seen


@lru_cache(maxsize=1)
def _memory(dtype: str) -> np.ndarray:
    """Room for one window, kept for the next file: fresh memory costs as much time as all arithmetic here."""
    return np.empty(len(COLUMNS) * WINDOW, dtype)


def _columns(file: parquet.ParquetFile, group: int, names: list[str], source: Source) -> list[np.ndarray]:
    """Columns of a row group as pyarrow decodes them, float32, null as NaN."""
    with _naming(source):
        block = file.read_row_group(group, columns=names, use_threads=False)
    return [block[name].to_numpy() for name in names]


def half(values: np.ndarray, out: np.ndarray) -> None:
    """Put float32 `values`, up to 65504, into the float16 `out`, rounded to nearest even: as numpy does, three times as fast."""
    bits = (values * np.float32(2.0**-112)).view(np.uint32)                  # now exponents are float16's
    kept = bits >> np.uint32(13)
    kept &= np.uint32(1)
    kept += np.uint32(0xFFF)
    bits += kept                                                             # rounds away the last 13 bits
    bits >>= np.uint32(13)
    np.bitwise_and(bits, np.uint32(0x7FFF), out=kept)
    bits >>= np.uint32(3)
    bits &= np.uint32(0x8000)                                                # the sign
    np.bitwise_or(kept, bits, out=out.view(np.uint16), casting="unsafe")


def _write_rows(columns: np.ndarray, wanted: np.ndarray, starts: np.ndarray, file) -> None:
    """Write the frames of the wanted runs, turned from columns (390, n) to rows."""
    stops = np.append(starts[1:], columns.shape[1])
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))     # neighbouring wanted runs go together
    for first, beyond in edges.reshape(-1, 2):
        for begin in range(starts[first], stops[beyond - 1], TILE):
            tile = columns[:, begin:min(begin + TILE, stops[beyond - 1])]
            rows = np.empty(tile.shape[::-1], columns.dtype)
            for column in range(0, len(columns), 16):                        # twice as fast as all columns at once
                rows[:, column:column + 16] = tile[column:column + 16].T
            file.write(rows)
