"""What a preparation reads: competition files or the published preprocessed arrays, found and listed.

Each is one folder:

- competition: `train.csv`, `train_landmarks/*.parquet` and, if wanted, `supplemental_metadata.csv`,
  `supplemental_landmarks/*.parquet`;
- npy: `<file_id>/<sequence_id>.npy`, float32 (frames, 390), in the folder itself or up to two folders down, and `train.csv`
  in the folder, beside the arrays or in the folder above. The published supplemental set is found as a sub-folder, or as a
  neighbour whose name says "supp", with `supplemental_metadata.csv` in any of those places.

Either table may have one column more, `shown`: for each frame of a sequence the character that it shows, `·` where it shows none;
empty where that is not known, as of all real recordings.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from aslutils.system.errors import UserError
from aslutils.system.inputs import JSON_LIMIT, read_rows, read_text
from aslutils.task.arguments import NAME, selected_columns
from aslutils.task.landmarks import COLUMNS
from aslutils.task.sequences import whole_numbers
from aslutils.task.text import encode_shown, unknown_characters

TRAIN, SUPPLEMENTAL = "train.csv", "supplemental_metadata.csv"
IDENTITY = ["file_id", "sequence_id"]             # together they identify a sequence: a sequence_id may occur in several files
REQUIRED = [*IDENTITY, "participant_id", "phrase"]
SHOWN = "shown"                                   # a column that made-up data have: what each frame shows


class DataError(UserError):
    """Input that cannot be read; the message names the file and says what to do."""


@dataclass(frozen=True)
class Source:
    """One unit of work: a parquet file, or a folder of arrays, and which of its sequences are wanted.

    name: its name in messages; path: where it is; kind: "competition" or "npy"; size: bytes (parquet) or entries
    (npy), None when it is absent; rows: the corpus rows it holds; sequence_ids: those rows' sequences.
    """

    name: str
    path: Path
    kind: str
    size: int | None
    rows: list[int] = field(repr=False)
    sequence_ids: list[int] = field(repr=False)


def find_kind(data) -> str:
    """Which layout `data` has: "competition" or "npy". Raises DataError when it is neither, saying what was looked for."""
    data = Path(data)
    if not data.is_dir():
        raise DataError(f"there is no folder {data}; name the folder that holds {TRAIN}")
    if any((data / "train_landmarks").glob("*.parquet")):
        if not (data / TRAIN).is_file():
            raise DataError(f"{data} has train_landmarks but no {TRAIN}; put the competition's {TRAIN} beside it")
        return "competition"
    if _array_folders(data):
        if _find_table(data, TRAIN) is None:
            raise DataError(f"{data} holds preprocessed arrays but no {TRAIN}; put the competition's {TRAIN} into it")
        return "npy"
    inside = ", ".join(sorted(entry.name for entry in data.iterdir())[:8]) or "nothing"
    raise DataError(f"{data} holds neither the competition's files ({TRAIN}, train_landmarks/*.parquet) nor the published "
                    f"preprocessed ones (<file_id>/<sequence_id>.npy beside {TRAIN}); it holds {inside}")


def read_corpus(data) -> tuple[pd.DataFrame, list[Source], str]:
    """Read everything in `data` but the landmarks.

    Returns the table of all rows of both CSV files, training rows first, with file_id, sequence_id, participant_id, phrase,
    is_sup, reason ("" or why the sequence cannot be used) and, if one of the files has it, shown; the sources in corpus order;
    and a fingerprint of the input (the CSV files' bytes, the landmark files' names and sizes). Raises DataError.
    """
    data = Path(data)
    kind = find_kind(data)
    tables = [(data / name if kind == "competition" else _find_table(data, name), is_sup)
              for name, is_sup in ((TRAIN, False), (SUPPLEMENTAL, True))]
    tables = [(path, is_sup) for path, is_sup in tables if path is not None and path.is_file()]
    table = pd.concat([_read_table(path, is_sup) for path, is_sup in tables], ignore_index=True)
    _only_once(table, IDENTITY, f"its {' and '.join(IDENTITY)} occur in {TRAIN} already; that row is kept")
    if SHOWN in table:
        table[SHOWN] = table[SHOWN].fillna("")
    sources = _competition_sources(data, table) if kind == "competition" else _npy_sources(data, table)
    digest = hashlib.sha256()
    for path, _ in tables:
        digest.update(path.read_bytes())
    digest.update(repr([(source.name, source.size) for source in sources]).encode())
    return table.drop(columns="path"), sources, digest.hexdigest()[:32]


def read_sequences(path: Path, is_sup: bool = False) -> pd.DataFrame:
    """A CSV file of sequences: path (of the landmark file, below the data folder), file_id, sequence_id, participant_id, phrase
    and, if it has it, shown.

    The index is the line number. Raises DataError naming the line, or the column, that is not as expected.
    """
    folder = "supplemental_landmarks" if is_sup else "train_landmarks"
    try:
        table = read_rows(path, tuple(REQUIRED), ("path", SHOWN))
        for column in REQUIRED[:3]:
            table[column] = whole_numbers(table[column].tolist(), column, lambda index: f"{path}, line {table.index[index]}")
    except UserError as error:
        raise DataError(str(error)) from error
    if "path" not in table:
        table["path"] = ""
    table["path"] = table["path"].where(table["path"] != "", folder + "/" + table["file_id"].astype(str) + ".parquet")
    for name, line in zip(table["path"], table.index):
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name or len(name) > 200:
            raise DataError(f"{path}, line {line}: path is {name!r}, expected a file below {path.parent}, such as "
                            f"{folder}/1.parquet")
    for line, frames in table.get(SHOWN, pd.Series(dtype=str)).items():
        try:
            encode_shown(frames)
        except UserError as error:
            raise DataError(f"{path}, line {line}: shown: {error}") from error
    return table[[column for column in ("path", *REQUIRED, SHOWN) if column in table]]


def _read_table(path: Path, is_sup: bool) -> pd.DataFrame:
    """One CSV file with the reason why a row cannot be used, "" where it can."""
    table = read_sequences(path, is_sup).reset_index(drop=True)
    table["is_sup"] = is_sup
    table["reason"] = [_phrase_fault(phrase) for phrase in table["phrase"]]
    for names in (IDENTITY, ["path", "sequence_id"]):
        _only_once(table, names, f"its {' and '.join(names)} occur twice in {path.name}; the first row is kept")
    return table


def _only_once(table: pd.DataFrame, names: list[str], reason: str) -> None:
    """Give usable rows that repeat a usable one, by these columns, the reason."""
    usable = table[table["reason"] == ""]
    table.loc[usable.index[usable[names].duplicated()], "reason"] = reason


def _phrase_fault(phrase: str) -> str:
    if not phrase.strip():
        return "empty phrase"
    unknown = unknown_characters(phrase)
    return f"the phrase {phrase!r} holds {unknown!r}, not among the 59 characters" if unknown else ""


def _competition_sources(data: Path, table: pd.DataFrame) -> list[Source]:
    return _group(table, table["path"], "competition", lambda name: data / name, lambda path: sum(
        part.stat().st_size for part in ([path] if path.is_file() else path.glob("*.parquet"))))


def _npy_sources(data: Path, table: pd.DataFrame) -> list[Source]:
    folders = _array_folders(data)
    for arguments in (place / NAME for folder in folders for place in (folder, folder.parent)):
        if arguments.is_file() and selected_columns(read_text(arguments, JSON_LIMIT), arguments) != COLUMNS:
            raise DataError(f"{arguments} names other columns, or the same in another order, than this kit's; "
                            "prepare from the competition's parquet files instead")
    found = {entry.name: entry for folder in reversed(folders) for entry in folder.iterdir() if entry.name.isdigit()}
    return _group(table, table["file_id"].astype(str), "npy", lambda name: found.get(name, data / name),
                  lambda path: sum(entry.stat().st_size for entry in path.iterdir()))


def _group(table, names, kind, locate, size) -> list[Source]:
    """One source for each distinct name, in order of first appearance; the rows of absent ones get a reason."""
    sources = []
    for name, rows in table.groupby(np.asarray(names), sort=False).indices.items():
        path, usable = Path(os.path.realpath(locate(name))), rows[table["reason"].to_numpy()[rows] == ""]
        if path.exists():
            ids = table["sequence_id"].to_numpy()[usable]
            sources.append(Source(name, path, kind, size(path), usable.tolist(), ids.tolist()))
        else:
            table.loc[usable, "reason"] = f"its file {name} is absent"
            sources.append(Source(name, path, kind, None, [], []))
    return sources


def _array_folders(data: Path) -> list[Path]:
    """The folders that hold `<file_id>/<sequence_id>.npy`: `data`, two levels below it, and neighbours named "supp...".."""
    def below(folder):
        return [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.isdigit()]

    def holds_arrays(folder):
        first = next((entry for entry in folder.iterdir() if entry.name.isdigit() and entry.is_dir()), None)
        return first is not None and any(first.glob("*.npy"))

    here = [data, *below(data)]
    here += [inner for folder in here[1:] for inner in below(folder)]
    found = [folder for folder in here if holds_arrays(folder)]
    if found:
        neighbours = [folder for folder in below(data.resolve().parent)
                      if "supp" in folder.name and folder != data.resolve()]
        found += [folder for neighbour in neighbours for folder in (neighbour, *below(neighbour))
                  if holds_arrays(folder) and folder not in found]
    return found


def _find_table(data: Path, name: str) -> Path | None:
    arrays = _array_folders(data)
    places = [data, *arrays, *(folder.parent for folder in arrays), data.resolve().parent]
    return next((place / name for place in places if (place / name).is_file()), None)
