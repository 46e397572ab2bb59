"""Atomic file writes, and locks so that no two processes write to one folder at once."""

import errno
import json
import os
import platform
import shutil
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
    Raises OSError with the file's name, and what to do if there is no space left.
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
    except OSError as error:
        if str(error.filename) == str(temporary):
            error.filename = str(path)                          # the name that the user knows
        raise
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


def write_table(path, table) -> Path:
    """Write a pandas table as CSV atomically, without its index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
    return Path(path)
