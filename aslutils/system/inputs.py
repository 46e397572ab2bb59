"""Reading files that may be anything: only regular ones, no more than they hold, with one line for what is wrong."""

import csv
import io
import json
import math
import os
import stat
import sys
from pathlib import Path

from aslutils.system.errors import UserError

JSON_LIMIT, TABLE_LIMIT = 64 << 20, 1 << 30       # bytes of a JSON file and of a CSV file that are still read


def regular_file(path, limit: int | None = None) -> Path:
    """`path`, if it is a file that can be read to its end: a pipe or a device never ends. Links are followed.

    limit: bytes that it may have. Raises FileNotFoundError, or UserError saying what it is instead.
    """
    path = Path(path)
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except ValueError as error:                   # a zero byte in the name
        raise UserError(f"{str(path)!r} is not the name of a file: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise UserError(f"{path} is {kinds.get(stat.S_IFMT(found.st_mode), 'a device')}, expected a file")
    if limit is not None and found.st_size > limit:
        raise UserError(f"{path} has {found.st_size / 1e6:,.0f} MB, expected at most {limit / 1e6:,.0f}: is it the right file?")
    return path


def read_text(path, limit: int) -> str:
    """A UTF-8 text file of at most `limit` bytes, without its byte order mark. Raises as `regular_file`, or UserError."""
    content = regular_file(path, limit).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = "UTF-16 text, such as Excel's 'Unicode text'" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8 text"
        raise UserError(f"{path} is {what} (byte {error.start + 1}); save it as UTF-8 (in Excel: CSV UTF-8)") from error


def parse_json(text: str | bytes, source) -> dict:
    """A JSON object from text. Raises UserError, naming the source, if it is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{source} is not JSON: {why}") from error
    if not isinstance(value, dict):
        shown = json.dumps(value)
        raise UserError(f'{source} holds {shown if len(shown) < 40 else shown[:35] + " ..."}, expected {{"name": value, ...}}')
    return value


def read_json(path) -> dict:
    """The object in a JSON file. Raises UserError if it is something else, as `read_text` does."""
    return parse_json(read_text(path, JSON_LIMIT), path)


def read_table(path, **options):
    """A CSV file of the kit's own as a pandas table; options: of `pandas.read_csv`. Raises UserError if it is not CSV."""
    import pandas as pd

    try:
        return pd.read_csv(regular_file(path), **options)
    except ValueError as error:
        raise UserError(f"{path} is not a CSV file: {error}") from error


def read_rows(path, required: tuple[str, ...], optional: tuple[str, ...] = ()):
    """Columns of a user's CSV file as a pandas table of texts, indexed by line number; absent optional columns are left out.

    Raises UserError naming the line, or the column, that is not as expected.
    """
    import pandas as pd

    lines = csv.reader(io.StringIO(read_text(path, TABLE_LIMIT), newline=""), strict=True)
    rows, numbers = [], []
    try:
        header = next((row for row in lines if row), [])
        for row in lines:
            if len(row) == len(header):
                rows.append(row)
                numbers.append(lines.line_num)
            elif row:
                raise UserError(f"{path}, line {lines.line_num}: {len(row)} fields, expected {len(header)} as in the header"
                                + ("; is there a comma too many at its end?" if row[-1] == "" else ""))
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: {error}; is it a CSV file?") from error
    header = [name.strip() for name in header]
    missing = [name for name in required if name not in header]
    if missing:
        raise UserError(f"{path} lacks the column {', '.join(missing)}; it has {_shown(header)}")
    wanted = [name for name in (*required, *optional) if name in header]
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise UserError(f"{path} has the column {twice[0]} twice; keep one of them")
    places = [header.index(name) for name in wanted]
    return pd.DataFrame({name: pd.Series([row[place] for row in rows], numbers, str) for name, place in zip(wanted, places)})


def _shown(names: list[str]) -> str:
    words = ", ".join(names[:8]) or "none"
    return words if len(words) <= 100 else f"{words[:95]} ..."


def read_array(path):
    """The array in a `.npy` file of numbers, if the file holds as much as its header promises; no code from it is run.

    Raises as `regular_file`, or UserError saying what is wrong.
    """
    import numpy as np
    from numpy.lib import format as npy

    with open(regular_file(path), "rb") as file:
        held = os.fstat(file.fileno()).st_size
        try:
            readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape, transposed, dtype = readers[npy.read_magic(file)](file)
        except Exception as error:                # a damaged header fails anywhere in numpy's reader, with any error
            raise UserError(f"{path} is cut short, damaged or not a .npy file of numbers: {_one_line(error)}") from error
        size = math.prod(filter(None, shape)) * dtype.itemsize               # without zeros: numpy counts so
        if dtype.kind not in "fiu" or min(shape, default=0) < 0 or len(shape) > 32 or size > sys.maxsize:
            raise UserError(f"{path} holds {dtype} {str(shape)[:60]}, expected an array of numbers")
        promised, held = math.prod(shape) * dtype.itemsize, held - file.tell()
        if promised != held:
            raise UserError(f"{path} is cut short or damaged: its header promises {dtype} {shape}, {promised:,} bytes; it holds "
                            f"{held:,}")
        values = np.fromfile(file, dtype, math.prod(shape))
    return values.reshape(shape[::-1]).T if transposed else values.reshape(shape)


def _one_line(error: BaseException) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 200 else f"{words[:195]} ..."
