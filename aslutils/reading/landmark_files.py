"""Convert a sequence from any supported form to the array that a model reads. Needs only numpy.

Forms: arrays, tables in competition columns, files of either, MediaPipe Holistic results. Only parquet files need pyarrow.
"""

import warnings
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import numpy as np

from aslutils.system.errors import MissingPackage, UserError
from aslutils.system.inputs import read_array, regular_file
from aslutils.task.landmarks import ALL_COLUMNS, HOLISTIC
from aslutils.task.parquet import check_schema, joined, numbers, parquet_parts
from aslutils.task.sequences import FRAME, ID, check_names, rows_of_sequences, whole_numbers

POINTS = sum(HOLISTIC.values())    # 543
PLACE = {column: place for place, column in enumerate(ALL_COLUMNS)}
LANDMARK_FILES = (".parquet", ".npy")
REFINED = {"face": 478}            # MediaPipe's refined face mesh adds 10 iris landmarks after the 468


def as_columns(landmarks, columns: list[str], sequence_id: int | None = None) -> np.ndarray:
    """A sequence as float32 (T, len(columns)), NaN where not seen.

    landmarks: an array (T, len(columns)) already in that order; an array (T, 543, 3) in MediaPipe Holistic's order (face 468,
    left hand 21, pose 33, right hand 21; x, y, z); a DataFrame with competition columns; a `.parquet` or `.npy` file of
    those; or a list of MediaPipe Holistic results. columns: names such as x_face_0. sequence_id: which sequence of a
    DataFrame or parquet file. Raises as `sequences_in` does for a file, and ValueError stating what was expected.
    """
    if sequence_id is not None:
        sequence_id = int(whole_numbers([sequence_id], ID, lambda index: "what is asked for")[0])
    if isinstance(landmarks, str | Path):
        found = sequences_in(landmarks, columns, None if sequence_id is None else [sequence_id])
        if len(found) > 1:
            raise UserError(f"{landmarks} holds {len(found)} sequences, sequence_id {next(iter(found))} first; "
                             "say which sequence_id to read")
        if not found:
            raise UserError(f"{landmarks} holds no sequence" + (f" {sequence_id}" if sequence_id is not None else ""))
        return found.popitem()[1]
    if hasattr(landmarks, "to_pandas"):                                      # a table of pyarrow or polars
        landmarks = landmarks.to_pandas()
    if hasattr(landmarks, "columns"):
        return _from_table(landmarks, columns, sequence_id)
    if sequence_id is not None:
        raise UserError(f"{ID} {sequence_id} is asked for, but an array is one sequence, without an id: leave it out")
    if isinstance(landmarks, list | tuple) and all(hasattr(result, "pose_landmarks") for result in landmarks):
        landmarks = holistic(landmarks)
    expected = (f"expected (frames, {len(columns)}), or (frames, {POINTS}, 3) with face, left hand, pose and right hand, or a "
                "list of Holistic results")
    try:
        if isinstance(landmarks, np.ma.MaskedArray):
            landmarks = landmarks.astype(np.float32).filled(np.nan)
        array = np.asarray(landmarks, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"the landmarks are not an array of numbers ({error}); {expected}") from error
    if array.ndim == 3 and array.shape[1:] == (POINTS, 3):
        _check_order(array)
        picked = [PLACE[column] for column in columns]
        return array.transpose(0, 2, 1).reshape(len(array), len(ALL_COLUMNS))[:, picked]
    if array.ndim == 2 and array.shape[1] == len(columns):
        return array
    flat = array.ndim == 3 and array.shape[2] == 2
    raise UserError(f"the landmarks have the shape {array.shape}; {expected}"
                    + (". The depth z is needed: handshapes differ in it" if flat else ""))


def is_video(path) -> bool:
    """Whether a file may be a video: neither one of the kit's landmark files nor text or a packed file, by its first bytes.

    Raises as `regular_file` does.
    """
    path = Path(path)
    if path.is_dir():
        return False
    with open(regular_file(path), "rb") as file:
        beginning = file.read(64)
    return not (path.suffix.lower() in LANDMARK_FILES or _other_than_video(beginning))


def _other_than_video(beginning: bytes) -> str:
    """What a file is by its first bytes, if it is surely no video; "" otherwise."""
    known = {b"PAR1": "a parquet file", b"\x93NUMPY": "a .npy file", b"PK\x03\x04": "a zip or .npz archive",
             b"\x1f\x8b": "a gzip file", b"\x89HDF": "an HDF5 file", b"ARROW1": "an Arrow file",
             **{bytes([0x80, protocol]): "a pickle" for protocol in range(2, 6)},
             b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text"}
    found = next((words for magic, words in known.items() if beginning.startswith(magic)), "")
    if beginning[4:8] == b"TFL3":
        return "a TFLite model"
    printable = all(byte >= 32 or byte in b"\t\n\r" for byte in beginning)
    return found or ("an empty file" if not beginning else "a text file" if printable else "")


def sequences_in(path, columns: list[str], sequences: list[int] | None = None) -> dict[int | None, np.ndarray]:
    """A landmark file's sequences: sequence_id -> float32 (T, len(columns)), NaN where not seen.

    path: a `.parquet` file in competition columns or a folder of such parts, or a `.npy` file; a file without sequence_ids is
    one sequence, under None. Rows are sorted by the column `frame` if there is one; of doubled ones the first is kept, with a
    warning. sequences: the sequence_ids to read; absent ones are ignored; default: all. Raises FileNotFoundError,
    ImportError without pyarrow, or UserError naming the file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_dir():
        regular_file(path)
        if path.suffix.lower() not in LANDMARK_FILES:
            with open(path, "rb") as file:
                what = _other_than_video(file.read(64)) or "a video, or an unknown file"
            raise UserError(f"{path} is {what}; expected a .parquet file in the competition's columns, a folder of such parts, "
                            f"or a .npy file of an array (frames, {len(columns)})")
    if path.is_dir() or path.suffix.lower() == ".parquet":
        return _from_parquet(path, columns, sequences)
    if sequences is not None:
        raise UserError(f"{path} holds one sequence, without an id, but {ID} {sequences[0]} is asked for: leave it out")
    values = read_array(path)
    with _naming(path):
        return {None: as_columns(values, columns)}


@contextmanager
def _naming(path: Path):
    """Turn errors that say what is wrong with a file's content into ones that name the file."""
    try:
        yield
    except (ValueError, OSError, NotImplementedError) as error:              # pyarrow's own are of these kinds
        raise UserError(f"{path} cannot be read: {error}") from error


def holistic(results) -> np.ndarray:
    """MediaPipe Holistic results, of the solutions or the tasks interface, as float32 (T, 543, 3); NaN where not seen."""
    frames = np.full((len(results), POINTS, 3), np.nan, np.float32)
    for frame, result in zip(frames, results):
        start = 0
        for part, count in HOLISTIC.items():
            found = getattr(result, f"{part}_landmarks", None)
            found = getattr(found, "landmark", found)
            if found:
                if len(found) not in (count, REFINED.get(part, count)):
                    raise UserError(f"a result has {len(found)} {part} landmarks; MediaPipe Holistic gives {count}")
                frame[start:start + count] = [(point.x, point.y, point.z) for point in found[:count]]
            start += count
    return frames


def _check_order(frames: np.ndarray) -> None:
    """Raise ValueError if (T, 543, 3) landmarks are in another order; a part is seen or missing as a whole."""
    missing = np.isnan(frames).any(axis=2)
    ours = tuple(HOLISTIC)
    fitting = [order for order in permutations(ours) if _whole(missing, order)]
    if not fitting:
        raise UserError("single landmarks are missing, but MediaPipe Holistic sees a part whole or not at all; "
                         f"expected {', '.join(ours)}, each landmark with its x, y and z")
    if ours not in fitting:
        found = " or ".join(", ".join(order) for order in fitting[:3])
        raise UserError(f"landmarks are missing as if their order were {found}; expected {', '.join(ours)}: reorder them")


def _whole(missing: np.ndarray, order) -> bool:
    """Whether, in this order, each part of a frame is either complete or missing."""
    ends = np.cumsum([HOLISTIC[part] for part in order])[:-1]
    return all((part.all(axis=1) == part.any(axis=1)).all() for part in np.split(missing, ends, axis=1))


def _from_parquet(path: Path, columns: list[str], sequences) -> dict[int | None, np.ndarray]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingPackage(f"reading {path} needs pyarrow ({error}): python -m pip install pyarrow") from error
    parts = parquet_parts(path)
    with _naming(path):
        ids, places = [], []
        before = 0
        for part in parts:
            schema = parquet.read_schema(part)
            check_schema(schema, columns, (ID,) if sequences is not None else ())
            for pieces, name in ((ids, ID), (places, FRAME)):
                read = parquet.read_table(part, columns=[name], partitioning=None)[name] if name in schema.names else None
                pieces.append(None if read is None else numbers(read, name, before))
            before += parquet.read_metadata(part).num_rows
        chosen = _chosen(joined(ids, parts, ID), joined(places, parts, FRAME), before, sequences, str(path))
        rows = np.concatenate([*chosen.values(), np.zeros(0, int)])
        values = np.empty((len(rows), len(columns)), np.float32)
        if not len(rows):
            return {name: values for name in chosen}
        tables = [parquet.read_table(part, columns=columns, use_threads=False, partitioning=None) for part in parts]
        for number, column in enumerate(columns):
            values[:, number] = np.concatenate([table[column].cast("float32", safe=False).to_numpy() for table in tables])[rows]
        ends = np.cumsum([len(rows) for rows in chosen.values()])
        return dict(zip(chosen, np.split(values, ends[:-1])))


def _chosen(ids, places, count: int, wanted, source: str) -> dict[int | None, np.ndarray]:
    """The rows of each (wanted) sequence in their order; without ids, of the one sequence, under None."""
    found = rows_of_sequences(np.zeros(count, np.int64) if ids is None else ids, places)
    chosen = {}
    for sequence in (*found.rows, *found.unusable):
        if ids is not None and wanted is not None and sequence not in wanted:
            continue
        if sequence in found.unusable:
            raise UserError(found.unusable[sequence] if ids is None else f"sequence {sequence}: {found.unusable[sequence]}")
        if sequence in found.notes and ids is None:
            raise UserError(f"{found.notes[sequence].partition(' (')[0]}, and there is no {ID}: if these are several sequences, "
                            f"add the column {ID}; if not, leave out the doubled rows")
        if sequence in found.notes:
            warnings.warn(f"{source}, sequence {sequence}: {found.notes[sequence]}", stacklevel=2)
        chosen[None if ids is None else sequence] = found.rows[sequence]
    return chosen if chosen or ids is not None else {None: np.zeros(0, int)}


def _from_table(table, columns: list[str], sequence_id) -> np.ndarray:
    """The model's columns of one sequence of a DataFrame in competition columns."""
    check_names(list(table.columns), columns)
    ids, places = (_level(table, name) for name in (ID, FRAME))
    if ids is None and sequence_id is not None:
        raise UserError(f"{ID} {sequence_id} is asked for, but the table has no column or index level {ID}; "
                        f"its columns are {', '.join(map(str, list(table.columns)[:3]))} ...")
    if ids is not None:
        ids = whole_numbers(ids, ID)
        held = list(dict.fromkeys(ids.tolist()))
        if sequence_id is None and len(held) > 1:
            raise UserError(f"{len(held)} sequences, sequence_id {held[0]} first; say which sequence_id to read")
        if sequence_id is not None and sequence_id not in held:
            raise UserError(f"no sequence has the sequence_id {sequence_id}; there are {str(held[:3])[1:-1]} ...")
    if places is not None and np.asarray(places).dtype.kind not in "iuf":
        places = whole_numbers(places, FRAME)
    try:
        values = table[columns].to_numpy(np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"the landmarks are not numbers: {error}") from error
    chosen = _chosen(ids, places, len(values), None if sequence_id is None else [sequence_id], "the table")
    return values[next(iter(chosen.values()), np.zeros(0, int))]


def _level(table, name: str) -> np.ndarray | None:
    """The column or index level `name` of a DataFrame; None if it has neither."""
    if name in table.columns:
        return table[name].to_numpy()
    return table.index.get_level_values(name).to_numpy() if name in table.index.names else None
