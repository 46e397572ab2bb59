"""The fingerprint of a stage: the parameters that decide its result, the content of its inputs, and the code that it runs.

`made_from(stage, ...)` is stored beside the results; `difference` describes what has changed since.
"""

import ast
import hashlib
import json
import os
from collections import deque
from functools import lru_cache
from pathlib import Path

from aslutils.run.place import KIT
from aslutils.run.stages import TRAININGS
from aslutils.system import versions
from aslutils.system.inputs import read_json
from aslutils.system.parameters import decisive

DATA = (".css", ".md", ".txt")      # what modules read from beside them
NO_RESULT = ("aslutils.plots",)    # imported by every notebook, but does not change any result


def made_from(stage: str, parameters: dict, inputs: list[Path], folder: Path) -> dict[str, dict]:
    """Everything that decides the outputs of a stage of the run in `folder`: parameters, inputs and code, each a dict of names.

    For trainings, code is represented by the versions of their outputs, so that a fixed line does not discard hours of work;
    their checkpoints have their own checks. For other stages, all modules count that the notebook imports, directly or not.
    """
    code = ({"training": versions.TRAINING, "store": versions.STORE, "demo": versions.DEMO} if stage in TRAININGS else
            {str(path.relative_to(KIT)): _digest(path.read_bytes()) for path in modules(stage)}
            | {f"notebooks/{stage}.ipynb": _digest(_source(stage).encode())})
    plain = json.loads(json.dumps(decisive(parameters), default=str))          # as it will be read back
    return {"parameters": plain, "inputs": {os.path.relpath(path, folder): _content(path) for path in inputs}, "code": code}


def difference(known: dict, now: dict) -> str:
    """What has changed since a stage was run, in words; "" if nothing has."""
    if set(known) != set(now):
        return "it was made by an earlier version of the kit"
    changed = [(part, name) for part in now for name in {**known[part], **now[part]}
               if known[part].get(name) != now[part].get(name)]
    if not changed:
        return ""
    part, name = changed[0]
    more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
    return (f"{name} is {now[part].get(name)!r}, was {known[part].get(name)!r}" if part == "parameters" else
            f"{name} has changed") + more


def modules(stage: str) -> list[Path]:
    """The kit's files that a stage's notebook imports, directly or indirectly, except those that change no result."""
    found, waiting = set(), deque([_source(stage)])
    while waiting:
        for name in _imported(waiting.popleft()):
            folder = KIT.joinpath(*name.split("."))
            for path in (folder.with_suffix(".py"), folder / "__init__.py"):
                if path.is_file() and path not in found and not name.startswith(NO_RESULT):
                    found.add(path)
                    waiting.append(path.read_text(encoding="utf-8"))
    beside = {path for folder in {module.parent for module in found} for path in folder.iterdir() if path.suffix in DATA}
    return sorted(found | beside)


def _source(stage: str) -> str:
    """The code of a stage's notebook without its parameters cell: parameters count by their values."""
    cells = read_json(KIT / "notebooks" / f"{stage}.ipynb")["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells
                     if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []))


@lru_cache(maxsize=256)
def _imported(source: str) -> set[str]:
    """All names that a Python source imports from the kit, including modules."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    names |= {name.rpartition(".")[0] for name in names}                     # the packages that hold them
    return {name for name in names if name.partition(".")[0] == "aslutils"}


def _content(path: Path) -> str:
    """A file's digest; for a folder (the user's data), a digest of the names, sizes and times of its files."""
    if path.is_dir():
        found = sorted(Path(place, name) for place, _, names in os.walk(path, followlinks=True) for name in names)
        found = [file for file in found if file.is_file()]
        states = [(str(file.relative_to(path)), file.stat()) for file in found]
        return _digest(json.dumps([(name, state.st_size, state.st_mtime_ns) for name, state in states]).encode())
    if not path.is_file():
        return "absent"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
