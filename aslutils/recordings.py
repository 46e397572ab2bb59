"""A recording in whatever form people have it, as the array that a model reads. Needs numpy alone.

Arrays, tables in competition columns, files of either, MediaPipe Holistic results; pandas and pyarrow are imported only for a
parquet file.
"""

from itertools import permutations
from pathlib import Path

import numpy as np

from aslutils.landmarks import ALL_COLUMNS, HOLISTIC

POINTS = sum(HOLISTIC.values())    # 543
PLACE = {column: place for place, column in enumerate(ALL_COLUMNS)}
LANDMARK_FILES = (".parquet", ".npy")
REFINED = {"face": 478}            # MediaPipe's refined face mesh adds 10 iris landmarks behind the 468


def as_columns(landmarks, columns: list[str], sequence_id: int | None = None) -> np.ndarray:
    """A recording as float32 (T, len(columns)), NaN where not seen.

    landmarks: an array (T, len(columns)), already in that order; an array (T, 543, 3) in MediaPipe Holistic's order (face 468,
    left hand 21, pose 33, right hand 21; x, y, z); a DataFrame with competition columns; a `.parquet` or `.npy` file of
    those; or a list of MediaPipe Holistic results. columns: names such as x_face_0. sequence_id: which recording of a
    DataFrame or parquet file. Raises FileNotFoundError, or ValueError saying what was expected.
    """
    if isinstance(landmarks, str | Path):
        landmarks = _read_file(Path(landmarks), columns, sequence_id)
    if hasattr(landmarks, "columns"):
        return _from_table(landmarks, columns, sequence_id)
    if isinstance(landmarks, list | tuple) and all(hasattr(result, "pose_landmarks") for result in landmarks):
        landmarks = holistic(landmarks)
    array = np.asarray(landmarks, np.float32)
    if array.ndim == 3 and array.shape[1:] == (POINTS, 3):
        _check_order(array)
        picked = [PLACE[column] for column in columns]
        return array.transpose(0, 2, 1).reshape(len(array), len(ALL_COLUMNS))[:, picked]
    if array.ndim == 2 and array.shape[1] == len(columns):
        return array
    raise ValueError(f"landmarks of the shape {array.shape}; expected (frames, {len(columns)}), or (frames, {POINTS}, 3) with "
                     "face, left hand, pose and right hand")


def is_landmark_file(path) -> bool:
    """Whether a file's name says that it holds landmarks; another one is taken for a video."""
    return Path(path).suffix in LANDMARK_FILES


def recordings_in(path: Path) -> list[int | None]:
    """The sequence_ids of a parquet file's recordings; [None] for a file that is one recording."""
    if path.suffix != ".parquet":
        return [None]
    import pyarrow.parquet as parquet

    if "sequence_id" not in _parquet_columns(path):
        return [None]
    return parquet.read_table(path, columns=["sequence_id"])["sequence_id"].unique().to_pylist()


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
                    raise ValueError(f"a result has {len(found)} {part} landmarks; MediaPipe Holistic gives {count}")
                frame[start:start + count] = [(point.x, point.y, point.z) for point in found[:count]]
            start += count
    return frames


def _check_order(frames: np.ndarray) -> None:
    """Raise ValueError when (T, 543, 3) landmarks stand in another order: parts are seen or missing as a whole."""
    missing = np.isnan(frames).any(axis=2)
    ours = tuple(HOLISTIC)
    fitting = [order for order in permutations(ours) if _whole(missing, order)]
    if not fitting:
        raise ValueError("landmarks are missing singly, but MediaPipe Holistic sees a part whole or not at all; "
                         f"expected {', '.join(ours)}, each landmark with its x, y and z")
    if ours not in fitting:
        found = " or ".join(", ".join(order) for order in fitting[:3])
        raise ValueError(f"landmarks are missing as if their order were {found}; expected {', '.join(ours)}: reorder them")


def _whole(missing: np.ndarray, order) -> bool:
    """Whether each part of this order is missing in whole frames only."""
    ends = np.cumsum([HOLISTIC[part] for part in order])[:-1]
    return all((part.all(axis=1) == part.any(axis=1)).all() for part in np.split(missing, ends, axis=1))


def _read_file(path: Path, columns: list[str], sequence_id):
    """A `.npy` file's array, or a parquet file's table of the one recording."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not is_landmark_file(path):
        raise ValueError(f"{path} is neither .parquet nor .npy; aslutils.video.read_clip reads a video")
    if path.suffix == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} is no .npy file of numbers, or is cut short: {error}") from error
    import pyarrow.parquet as parquet

    names = _parquet_columns(path)
    lacking = [column for column in columns if column not in names]
    if lacking:
        raise ValueError(f"{path} lacks the column {lacking[0]} ({len(lacking)} of {len(columns)}); "
                         "the competition's columns are x_face_0 .. z_right_hand_20")
    identity = ["sequence_id"] if "sequence_id" in names else []
    filters = [("sequence_id", "==", sequence_id)] if identity and sequence_id is not None else None
    return parquet.read_table(path, columns=[*columns, *identity], filters=filters).to_pandas()


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow.parquet as parquet

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return parquet.read_schema(path).names
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is no parquet file, or is damaged: {error}") from error


def _from_table(table, columns: list[str], sequence_id) -> np.ndarray:
    """The model's columns of one recording of a DataFrame in competition columns."""
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        raise ValueError(f"the table lacks the column {lacking[0]} ({len(lacking)} of {len(columns)}); "
                         "the competition's columns are x_face_0 .. z_right_hand_20")
    if "sequence_id" in table.columns:
        table = table.set_index("sequence_id")
    if table.index.name == "sequence_id":
        held = table.index.unique()
        if sequence_id is None and len(held) > 1:
            raise ValueError(f"{len(held)} recordings, sequence_id {held[0]} first; say which sequence_id to read")
        if sequence_id is not None:
            if sequence_id not in held:
                raise ValueError(f"no recording has the sequence_id {sequence_id}; there are {held[:3].tolist()} ...")
            table = table.loc[[sequence_id]]
    return table[columns].to_numpy(np.float32)
