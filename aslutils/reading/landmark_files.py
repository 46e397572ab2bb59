"""Convert a sequence from any supported form to the array that a model reads. Needs only numpy.

Forms: arrays, tables in competition columns, files of either, MediaPipe Holistic results. Only parquet files need pyarrow.
"""

from itertools import permutations
from pathlib import Path

import numpy as np

from aslutils.system.errors import MissingPackage, UserError
from aslutils.task.landmarks import ALL_COLUMNS, HOLISTIC

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
    if isinstance(landmarks, str | Path):
        found = sequences_in(landmarks, columns, None if sequence_id is None else [sequence_id])
        if len(found) > 1:
            raise UserError(f"{landmarks} holds {len(found)} sequences, sequence_id {next(iter(found))} first; "
                             "say which sequence_id to read")
        if not found:
            raise UserError(f"{landmarks} holds no sequence" + (f" {sequence_id}" if sequence_id is not None else ""))
        return found.popitem()[1]
    if hasattr(landmarks, "columns"):
        return _from_table(landmarks, columns, sequence_id)
    if isinstance(landmarks, list | tuple) and all(hasattr(result, "pose_landmarks") for result in landmarks):
        landmarks = holistic(landmarks)
    expected = (f"expected (frames, {len(columns)}), or (frames, {POINTS}, 3) with face, left hand, pose and right hand, or a "
                "list of Holistic results")
    try:
        array = np.asarray(landmarks, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"the landmarks are not an array of numbers ({error}); {expected}") from error
    if array.ndim == 3 and array.shape[1:] == (POINTS, 3):
        _check_order(array)
        picked = [PLACE[column] for column in columns]
        return array.transpose(0, 2, 1).reshape(len(array), len(ALL_COLUMNS))[:, picked]
    if array.ndim == 2 and array.shape[1] == len(columns):
        return array
    raise UserError(f"the landmarks have the shape {array.shape}; {expected}")


def is_landmark_file(path) -> bool:
    """Whether a file is a landmark file by its suffix; any other file is taken to be a video."""
    return Path(path).suffix in LANDMARK_FILES


def sequences_in(path, columns: list[str], sequences: list[int] | None = None) -> dict[int | None, np.ndarray]:
    """A landmark file's sequences: sequence_id -> float32 (T, len(columns)), NaN where not seen.

    path: a `.parquet` file in competition columns, or a `.npy` file; a file without sequence_ids is one sequence, under None.
    sequences: the sequence_ids to read; absent ones are ignored; default: all. Raises FileNotFoundError, ImportError
    without pyarrow, or ValueError naming the file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not is_landmark_file(path):
        raise UserError(f"{path} is neither .parquet nor .npy; aslutils.reading.video.read_clip reads a video")
    try:
        if path.suffix == ".npy":
            return {None: as_columns(np.load(path, allow_pickle=False), columns)}
        return _from_parquet(path, columns, sequences)
    except MissingPackage:
        raise
    except (ValueError, OSError, EOFError) as error:
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
    names = parquet.read_schema(path).names
    _check_columns(names, columns)
    identity = ["sequence_id"] if "sequence_id" in names else []
    filters = [("sequence_id", "in", sequences)] if identity and sequences is not None else None
    table = parquet.read_table(path, columns=[*columns, *identity], filters=filters, use_threads=False)
    values = np.empty((len(table), len(columns)), np.float32)
    for number, column in enumerate(columns):
        values[:, number] = table[column].to_numpy()
    if not identity:
        return {None: values}
    ids = table["sequence_id"].to_numpy()
    return {sequence: values[ids == sequence] for sequence in table["sequence_id"].unique().to_pylist()}


def _from_table(table, columns: list[str], sequence_id) -> np.ndarray:
    """The model's columns of one sequence of a DataFrame in competition columns."""
    _check_columns(table.columns, columns)
    if "sequence_id" in table.columns:
        table = table.set_index("sequence_id")
    if table.index.name == "sequence_id":
        held = table.index.unique()
        if sequence_id is None and len(held) > 1:
            raise UserError(f"{len(held)} sequences, sequence_id {held[0]} first; say which sequence_id to read")
        if sequence_id is not None:
            if sequence_id not in held:
                raise UserError(f"no sequence has the sequence_id {sequence_id}; there are {held[:3].tolist()} ...")
            table = table.loc[[sequence_id]]
    return table[columns].to_numpy(np.float32)


def _check_columns(names, columns: list[str]) -> None:
    lacking = [column for column in columns if column not in names]
    if lacking:
        raise UserError(f"the column {lacking[0]} is missing ({len(lacking)} of {len(columns)}); the competition's columns are "
                         "x_face_0 .. z_right_hand_20")
