"""Which rows of a landmark table are a sequence, and in which order: one rule for preparation, recogniser and scorer."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import numpy as np

from aslutils.system.errors import UserError

ID, FRAME = "sequence_id", "frame"                # the columns that say which sequence a row belongs to, and its place there
LARGEST = 2**63 - 1                               # an id is an int64
EXACT = 2**53                                     # a float holds every whole number up to here


class Rows(NamedTuple):
    """Where the sequences of a table are."""

    rows: dict[int, np.ndarray]      # sequence_id -> its rows in their order, in order of first appearance
    notes: dict[int, str]            # sequence_id -> which rows were left out of it, and why
    unusable: dict[int, str]         # sequence_id -> why the order of its rows cannot be known; it is not in `rows`


def rows_of_sequences(ids: np.ndarray, frames=None) -> Rows:
    """Find the rows of each sequence, sorted by their place in it; of rows with the same place the first is kept.

    ids: int64 (n,), each row's sequence; frames: numbers (n,), each row's place in it, or None if the table does not say; then
    a sequence must lie in one piece.
    """
    notes, unusable = {}, {}
    order = np.arange(len(ids))
    if frames is None:
        begins = ids[np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1))]
        again, count = np.unique(begins, return_counts=True)
        unusable = dict.fromkeys(again[count > 1].tolist(), f"its rows are scattered, and no column {FRAME} tells their order")
    else:
        unknown = np.unique(ids[~np.isfinite(frames)])
        unusable = dict.fromkeys(unknown.tolist(), f"its column {FRAME} is empty or infinite in some rows")
        order = np.lexsort((frames, ids))
        same = [values[order][1:] == values[order][:-1] for values in (ids, frames)]
        twice = np.r_[False, same[0] & same[1]][:len(ids)]
        found, first, count = np.unique(ids[order[twice]], return_index=True, return_counts=True)
        for sequence, frame, rows in zip(found.tolist(), frames[order[twice]][first], count):
            notes[sequence] = f"{FRAME} {frame:g} occurs twice ({rows} such rows); the first row of each is kept"
        order = order[~twice]
    order = order[np.argsort(ids[order], kind="stable")]
    known, first = np.unique(ids, return_index=True)
    _, begins = np.unique(ids[order], return_index=True)
    pieces = np.split(order, begins[1:])
    rows = {int(known[place]): pieces[place] for place in np.argsort(first) if int(known[place]) not in unusable}
    return Rows(rows, {sequence: note for sequence, note in notes.items() if sequence in rows}, unusable)


def check_names(names: list[str], columns: list[str], required: tuple[str, ...] = ()) -> None:
    """Raise UserError if a table lacks one of these columns, or has one of them, or of its own two, twice."""
    count = Counter(names)
    lacking = [name for name in (*required, *columns) if not count[name]]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        advice = "is this the asl-fingerspelling data?"
        if ID in lacking and "__index_level_0__" in names:
            advice = "its index has no name: name it sequence_id"
        elif lacking == [name for name in columns if name.startswith("z_")]:
            advice = "record the depth z too: handshapes differ in it"
        raise UserError(f"it lacks the column {lacking[0]}{more}; {advice}")
    twice = [name for name in (ID, FRAME, *columns) if count[name] > 1]
    if twice:
        raise UserError(f"it has the column {twice[0]} twice; keep one of them")


def whole_numbers(values, column: str, row: Callable[[int], str] = lambda index: f"row {index + 1}") -> np.ndarray:
    """Whole numbers as int64, exactly: those of any numeric type, and those written as text.

    values: an array or a list; column: its name in errors; row: the name of an index in errors. Raises UserError naming the
    first value that is not a whole number or does not fit.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "i":
        return values.astype(np.int64)
    numbers = np.empty(len(values), np.int64)
    for index, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        try:
            numbers[index] = _whole(value)
        except ValueError as error:
            raise UserError(f"{row(index)}: {column} {error}") from None
    return numbers


def _whole(value) -> int:
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) is int and -LARGEST <= value <= LARGEST:
        return value
    if value is None or value == "" or str(value) in ("nan", "<NA>"):
        raise ValueError("is empty, expected a whole number")
    shown = repr(value) if len(repr(value)) <= 50 else f"{repr(value)[:45]} ..."
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal) or "_" in str(value):
            raise ValueError
        number = Decimal(value)
        if not number.is_finite() or -LARGEST <= number <= LARGEST and number != int(number):
            raise ValueError
    except (ValueError, InvalidOperation):
        raise ValueError(f"is {shown}, expected a whole number") from None
    if isinstance(value, float) and not -EXACT < number < EXACT:
        raise ValueError(f"is the float {shown}, which may stand for another number (exact below 2**53); store it as an integer")
    if not -LARGEST <= number <= LARGEST:
        raise ValueError(f"is {shown}, too large (at most 2**63 - 1)")
    return int(number)
