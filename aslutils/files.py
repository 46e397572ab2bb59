"""Writing files so that no reader ever sees half of one."""

import json
import os
import uuid
from contextlib import contextmanager
from pathlib import Path


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
        if error.errno == 28:                     # ENOSPC
            raise OSError(28, f"no space left while writing {path}; free some and start again, nothing was lost") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


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
