"""The folder of a run, and what earlier kernels left of it: how a stage goes on where another session stopped.

On Kaggle a finished kernel's output, attached to the next one, is a read-only folder that holds `<run>/` as the kernel left it.
`adopt` brings that into the new kernel's working folder: the landmark store as a link (15 GB, read in place, and the
working folder ends at 20 GB), everything else, some 100 MB, as a copy that a training can go on in.
"""

import atexit
import os
import re
import shutil
import uuid
from pathlib import Path

from aslutils.run.place import attached, where
from aslutils.system.files import write_json

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SESSION = "session.json"            # how the last stage in a run's folder ended; see end_session
STORE = "store"
SHARED = ("round1", "round2")       # folders that several kernels fill side by side, a fold or a seed each


def run_folder(run: str, *, root=None) -> Path:
    """`datamount/<run>` at home, `/kaggle/working/<run>` on Kaggle (root: as in `where`); it need not exist yet.

    Raises ValueError for a name that is not one folder's name.
    """
    if not isinstance(run, str) or not RUN.fullmatch(run):
        raise ValueError(f"run {run!r} is no name for a folder: letters, digits, '.', '_', '-', beginning with a letter or digit")
    return where(root).outputs / run


def earlier_outputs(run: str, *, root=None) -> list[Path]:
    """The `<run>/` folders in the attached outputs of earlier kernels, in both of Kaggle's layouts; [] at home."""
    place, name = where(root), run_folder(run, root=root).name
    return [source / name for source in attached(place.inputs) if (source / name).is_dir()] if place.on_kaggle else []


def end_session(run: str, stage: str, *, finished: bool, root=None) -> Path:
    """Leave word of how a stage ended; `kernels --push` reads it, and goes on in a new session where `finished` is False.

    A store that was read in place stays open, but its link is taken away: see `_link`.
    """
    _unlink()
    folder = run_folder(run, root=root)
    epochs = sum(_epochs(history.parent) for round_ in SHARED for history in folder.glob(f"{round_}/*/history.csv"))
    return write_json(folder / SESSION, {"stage": stage, "finished": finished, "progress": f"{epochs} epochs"})


def adopt(run: str, *, root=None) -> list[str]:
    """Bring what earlier kernels left of `run` into its folder; returns a line for each thing brought, to print.

    What the run's folder already holds stays as it is. Where two outputs hold the same thing, the one that came further wins.
    Does nothing at home. Raises OSError when the copies do not fit.
    """
    folder = run_folder(run, root=root)
    wanted = {}                                                  # "round2/seed1" -> where it came furthest
    for earlier in earlier_outputs(run, root=root):
        for part in _parts(earlier):
            name = str(part.relative_to(earlier))
            if not os.path.lexists(folder / name) and (name not in wanted or _how_far(part) > _how_far(wanted[name])):
                wanted[name] = part
    linked = {name for name, part in wanted.items() if name == STORE and _complete(part)}
    _check_space(folder, [part for name, part in wanted.items() if name not in linked])
    lines = []
    for name, part in sorted(wanted.items()):
        if name in linked:
            _link(part, folder / name)
            lines.append(f"{name}: read in place from {part}; attach that output to later sessions too")
        else:
            _copy(part, folder / name)
            lines.append(f"{name}: copied from {part}")
    return lines


def _parts(earlier: Path) -> list[Path]:
    """What is adopted as a whole: the run's files and folders, one level deeper where kernels share a folder."""
    parts = [inner for path in earlier.iterdir() for inner in (path.iterdir() if path.name in SHARED else [path])]
    return [path for path in parts if path.name != SESSION and not path.name.endswith(".part")]     # .part: a copy cut off


def _how_far(part: Path) -> tuple:
    """What orders two copies of one thing: a finished training, then its epochs, then the newest file."""
    newest = max(path.stat().st_mtime for path in [part, *part.rglob("*")])
    return (part / "checkpoint.pt").is_file(), _epochs(part), newest


def _epochs(training: Path) -> int:
    """The epochs that a training's history tells of; 0 without one."""
    history = training / "history.csv"
    return max(0, history.read_bytes().count(b"\n") - 1) if history.is_file() else 0


def _complete(store: Path) -> bool:
    """Whether the preparation of a store came to its end; one cut off is copied, to go on in."""
    from aslutils.data.store import HEADER
    return (store / HEADER).is_file()


def _check_space(folder: Path, parts) -> None:
    needed = sum(path.stat().st_size for part in parts for path in [part, *part.rglob("*")] if path.is_file())
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(28, f"{folder}: the earlier outputs of this run take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
                          "attach only the outputs that this stage needs")


_links: list[tuple[int, Path]] = []                              # made by which process


def _link(target: Path, link: Path) -> None:
    """Link a folder until the stage ends: Kaggle would save what it leads to a second time.

    The process's end would be too late: Jupyter kills a kernel that has started processes before it comes to its atexit.
    """
    link.symlink_to(target, target_is_directory=True)
    _links.append((os.getpid(), link))


@atexit.register                                                 # for a notebook that fails
def _unlink() -> None:
    for owner, link in _links:
        if os.getpid() == owner and link.is_symlink():           # a forked worker's end is not the notebook's
            link.unlink()
    _links.clear()


def _copy(part: Path, target: Path) -> None:
    """Copy a file or a folder, writable, and whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        for path in [part, *part.rglob("*")]:
            copied = temporary / path.relative_to(part) if path != part else temporary
            if path.is_dir():
                copied.mkdir(parents=True)
            else:
                shutil.copyfile(path, copied)                    # not copy: the inputs' read-only modes would come along
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
