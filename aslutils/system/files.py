"""Writing files so that no reader ever sees half of one, and folders so that no two processes write one at once."""

import errno
import json
import os
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:                               # not on this platform: there `locked` excludes nobody
    fcntl = None

LOCK = ".lock"                                    # stays in its folder: whoever waits for it must find the same file
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)             # the disk's end, a user's, a process's


@contextmanager
def atomic(path):
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    The file's bytes are on disk before the rename, so a crash or a full disk leaves the old file whole.
    Raises OSError with the file's name and what to do when there is no space left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise OSError(error.errno, f"no space left while writing {path}; free some and start again, nothing was lost"
                          ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(folder, refusal: Callable[[str], Exception]):
    """Hold `folder` for this process; the system lets go of it even when the process is killed.

    Raises `refusal(process)` when another process, told by its number, holds it.
    """
    with open(Path(folder) / LOCK, "a+") as file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise refusal(file.read().strip() or "unknown") from error
            os.register_at_fork(after_in_child=file.close)       # a loader's worker may outlive a killed training
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


def read_json(path):
    """The value in a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_table(path, table) -> Path:
    """Write a pandas table as CSV atomically, without its index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
    return Path(path)
