"""Atomic file writes, locks so that no two processes write to one folder at once, and careful reading of users' files."""

import csv
import errno
import io
import json
import math
import os
import platform
import shutil
import stat
import uuid
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from aslutils.system.errors import UserError

try:
    import fcntl
except ImportError:                               # not on this platform: `locked` has no effect there
    fcntl = None

LOCK = ".lock"                                    # never removed: all processes must lock the same file
JSON_LIMIT, TABLE_LIMIT = 64 << 20, 1 << 30       # bytes of a JSON file and of a CSV file that are still read
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)    # what file systems say that have no flock
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)             # disk full, user quota, process limit


@contextmanager
def space_for(path):
    """When the disk is full, raise an error that names the file and says that nothing was lost."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise OSError(error.errno, f"no space left while writing {path}; free some and start again, nothing was lost"
                          ) from error
        raise


def check_space(folder, needed: int, advice: str = "free some space") -> None:
    """Create `folder`, and raise OSError with the advice if its disk has fewer than `needed` bytes free."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; {advice}")


def writable(folder) -> Path:
    """Create `folder` if need be. Raises UserError naming what is in the way: a link to nothing, a file, missing rights."""
    folder = Path(folder)
    for place in (*reversed(folder.parents), folder):
        if place.is_symlink() and not place.exists():
            raise UserError(f"{place} is a link to {os.readlink(place)}, which does not exist: create it, or remove the link")
        if place.exists() and not place.is_dir():
            raise UserError(f"{place} is a file, but a folder is needed there: rename or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror}): change its rights, or link another folder "
                        "there") from error
    return folder


@contextmanager
def atomic(path):
    """A temporary path beside `path`, renamed to it if the block succeeds and removed if it raises.

    What a killed process left of the same file is removed too. The data is on disk before the rename, so a crash or a full disk
    leaves the old file intact.
    Raises OSError with the file's name and what to do if there is no space left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = f".{path.name}.{platform.node()}-"
    for half in path.parent.iterdir():
        number = half.name.removeprefix(mine).partition("-")[0]
        if half.name.startswith(mine) and half.name.endswith(".part") and number.isdigit() and not _runs(int(number)):
            half.unlink(missing_ok=True)
    temporary = path.with_name(f"{mine}{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    try:
        with space_for(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:                               # not ours
        pass
    return True


@contextmanager
def locked(folder, refusal: Callable[[str], Exception]):
    """Lock `folder` for this process; the system releases the lock even if the process is killed.

    Raises `refusal(process)`, with the process id, if another process holds the lock. Warns on a file system without locks.
    """
    with open(Path(folder) / LOCK, "a+") as file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise refusal(file.read().strip() or "unknown") from error
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                warnings.warn(f"{folder} lies on a file system without locks ({error.strerror}); take care that nothing else "
                              "writes to it", stacklevel=3)
            os.register_at_fork(after_in_child=file.close)       # a data loading worker may outlive a killed training
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def write_text(path, text: str) -> Path:
    """Write `text` to `path` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path, value) -> Path:
    """Write `value` as indented JSON atomically."""
    return write_text(path, json.dumps(value, indent=1, default=str) + "\n")


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
        if dtype.kind not in "fiu" or min(shape, default=0) < 0 or len(shape) > 32:
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


def write_table(path, table) -> Path:
    """Write a pandas table as CSV atomically, without its index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
    return Path(path)
