"""Landmark tables in parquet files: which files there are, and whether their columns are what they should be."""

import re
from pathlib import Path

import numpy as np

from aslutils.system.errors import UserError
from aslutils.system.inputs import regular_file
from aslutils.task.sequences import FRAME, check_names, whole_numbers


def parquet_parts(path) -> list[Path]:
    """The files of a landmark table: `path`, or the parts in it if it is a folder, as Spark and dask write them, by number.

    Raises FileNotFoundError, or UserError for a folder without parts or a path that is no file.
    """
    path = Path(path)
    if not path.is_dir():
        return [regular_file(path)]
    parts = sorted((part for part in path.glob("*.parquet") if part.name[0] not in "._"), key=lambda part: [
        int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", part.name)])       # part.2 before part.10
    if not parts:
        raise UserError(f"{path} is a folder without .parquet files")
    return [regular_file(part) for part in parts]


def check_schema(schema, columns: list[str], required: tuple[str, ...] = ()) -> None:
    """Raise UserError if a pyarrow schema lacks one of the columns, has it twice, or holds something else than numbers in it."""
    from pyarrow import types

    check_names(schema.names, columns, required)
    for name in columns:
        kind = schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind)):
            shown = str(kind) if len(str(kind)) < 40 else f"{str(kind)[:35]} ..."
            raise UserError(f"its column {name} holds {shown}, expected numbers")


def joined(pieces: list[np.ndarray | None], parts: list[Path], name: str) -> np.ndarray | None:
    """A column of all parts; None if no part has it. Raises UserError naming a part that lacks what others have."""
    lacking = [part.name for piece, part in zip(pieces, parts) if piece is None]
    if lacking and len(lacking) < len(pieces):
        raise UserError(f"its part {lacking[0]} lacks the column {name}, which other parts have")
    return None if lacking else np.concatenate(pieces)


def numbers(values, name: str, first: int = 0) -> np.ndarray:
    """A pyarrow column `sequence_id` as int64, or `frame` as numbers, NaN where it is empty.

    first: how many rows come before it. Raises UserError naming the row of a value that is not a number.
    """
    from pyarrow import types

    if name == FRAME and (types.is_floating(values.type) or values.null_count and types.is_integer(values.type)):
        return values.cast("float64").to_numpy()
    if types.is_integer(values.type) and not values.null_count:
        values = values.to_numpy()
    elif types.is_dictionary(values.type):
        values = values.cast(values.type.value_type).to_pylist()
    else:
        values = values.to_pylist()
    return whole_numbers(values, name, lambda index: f"row {first + index + 1}")
