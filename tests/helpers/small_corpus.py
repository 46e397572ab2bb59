"""Small corpora in the layouts that a preparation reads, made in milliseconds for tests."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS, HOLISTIC

WHERE = np.array([ALL_COLUMNS.index(column) for column in COLUMNS])
PHRASES = ("3 creekhouse", "www.rhein-main.de", "+44-20-7946", "988 franklin lane", "a.com/b", "+1-555-0100")


def made_values(length: int, seed: int) -> np.ndarray:
    """A made-up sequence, float32 (length, 1629): a random walk, the left hand never seen, the right one on and off."""
    rng = np.random.default_rng(seed)
    values = (0.5 + 0.02 * rng.standard_normal((length, len(ALL_COLUMNS))).cumsum(0)).astype(np.float32)
    values[:, ["left_hand" in column for column in ALL_COLUMNS]] = np.nan
    hidden = np.arange(length) // 3 % 2 == seed % 2
    values[np.ix_(hidden, ["right_hand" in column for column in ALL_COLUMNS])] = np.nan
    return values


def corpus_rows(files: int = 3, sequences: int = 6, supplemental: int = 1, participants: int = 3) -> pd.DataFrame:
    """One row a sequence as the CSV files have them, and its length; file 100, 101, ... with ids 1000, 1001, ..."""
    rows = []
    for number in range(files + supplemental):
        folder = "train_landmarks" if number < files else "supplemental_landmarks"
        for place in range(sequences):
            sequence = number * sequences + place
            rows.append({"path": f"{folder}/{100 + number}.parquet", "file_id": 100 + number, "sequence_id": 1000 + sequence,
                         "participant_id": sequence % participants, "phrase": PHRASES[(sequence // participants) % len(PHRASES)],
                         "length": 4 + sequence * 7 % 23, "is_sup": number >= files})
    return pd.DataFrame(rows)


def write_tables(folder: Path, rows: pd.DataFrame) -> None:
    columns = [name for name in ("path", "file_id", "sequence_id", "participant_id", "phrase", "shown") if name in rows]
    rows.loc[~rows["is_sup"], columns].to_csv(folder / "train.csv", index=False)
    rows.loc[rows["is_sup"], columns].to_csv(folder / "supplemental_metadata.csv", index=False)


def write_competition(folder: Path, rows: pd.DataFrame | None = None, group: int = 50) -> pd.DataFrame:
    """A competition folder whose parquet files have row groups of `group` frames; returns its rows."""
    rows = corpus_rows() if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder, rows)
    for path, part in rows.groupby("path", sort=False):
        write_landmarks(folder / path, part, group)
    return rows


def write_landmarks(path: Path, rows: pd.DataFrame, group: int = 50) -> None:
    """One landmark file of the competition's layout: nulls for NaN, sequence_id last, as pandas writes its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.concatenate([made_values(row.length, row.sequence_id) for row in rows.itertuples()])
    ids = np.repeat(rows["sequence_id"].to_numpy(), rows["length"])
    frame = np.concatenate([np.arange(count) for count in rows["length"]]).astype(np.int16)
    table = pa.table({"frame": frame, **{name: pa.array(column, from_pandas=True) for name, column in zip(ALL_COLUMNS, values.T)},
                      "sequence_id": ids})
    parquet.write_table(table, path, row_group_size=group)


def write_npy(folder: Path, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """The published preprocessed layout: train arrays in `folder`, the supplemental ones in its sub-folder."""
    rows = corpus_rows() if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder, rows)
    for row in rows.itertuples():
        place = (folder / "supplemental" if row.is_sup else folder) / str(row.file_id)
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{row.sequence_id}.npy", made_values(row.length, row.sequence_id)[:, WHERE])
    return rows


def as_points(columns: pd.DataFrame) -> np.ndarray:
    """Competition columns as (T, 543, 3)."""
    return columns.to_numpy().reshape(-1, 3, sum(HOLISTIC.values())).transpose(0, 2, 1)


def as_results(columns: pd.DataFrame) -> list:
    """MediaPipe Holistic results: a part is None, or holds landmarks with x, y and z."""
    results = []
    for frame in as_points(columns):
        parts, start = {}, 0
        for part, count in HOLISTIC.items():
            points = frame[start:start + count]
            found = SimpleNamespace(landmark=[SimpleNamespace(x=x, y=y, z=z) for x, y, z in points.tolist()])
            parts[f"{part}_landmarks"] = None if np.isnan(points).all() else found
            start += count
        results.append(SimpleNamespace(**parts))
    return results
