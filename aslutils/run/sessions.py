"""The folder of a run, and the outputs of earlier kernels: how a stage continues where another session stopped.

On Kaggle a finished kernel's output, attached to the next one, is a read-only folder that holds `<run>/` as the kernel left it.
`adopt` brings it into the new kernel's working folder: the landmark store as a link (15 GB, read in place, since the working
folder is limited to 20 GB), everything else, about 100 MB, as a copy in which a training can resume.
"""

import atexit
import os
import shutil
import uuid
from pathlib import Path

from aslutils.run.place import attached, where
from aslutils.system.errors import UserError
from aslutils.system.files import check_space, write_json
from aslutils.system.inputs import read_json
from aslutils.system.names import check_run

SESSION = "session.json"            # how the last stage in a run's folder ended; see end_session
STORE = "store"
CORPUS = "corpus.json"              # what the run was made from: {"data": folder, "kind": "competition", "npy" or "demo"}
SHARED = ("round1", "round2")       # folders that several kernels write to, a fold or a seed each


def run_folder(run: str) -> Path:
    """`datamount/<run>` locally, `/kaggle/working/<run>` on Kaggle; it need not exist yet.

    Raises ValueError if `run` is not a valid folder name.
    """
    return where().outputs / check_run(run)


def remembered_data(folder: Path) -> str:
    """The user's data that the run in `folder` was made from, "" if there was none.

    Raises UserError if it no longer exists; on Kaggle, where it may be attached elsewhere, that is "" too.
    """
    if not (folder / CORPUS).is_file():
        return ""
    known = read_json(folder / CORPUS)
    if known["kind"] == "demo" or Path(known["data"]).is_dir():
        return "" if known["kind"] == "demo" else known["data"]
    if where().on_kaggle:                         # attached elsewhere this time
        return ""
    raise UserError(f"the run {folder} was made from {known['data']}, which does not exist any more; give its new place (--data)")


def earlier_outputs(run: str) -> list[Path]:
    """The `<run>/` folders in the attached outputs of earlier kernels, in both of Kaggle's layouts; [] locally."""
    place, name = where(), run_folder(run).name
    return [source / name for source in attached(place.inputs) if (source / name).is_dir()] if place.on_kaggle else []


def end_session(run: str, stage: str, *, finished: bool) -> Path:
    """Record how a stage ended; `kernels --push` reads it and continues in a new session if `finished` is False.

    A store that was read in place stays open, but its link is removed: see `_link`.
    """
    _unlink()
    folder = run_folder(run)
    epochs = sum(_epochs(history.parent) for round_ in SHARED for history in folder.glob(f"{round_}/*/history.csv"))
    return write_json(folder / SESSION, {"stage": stage, "finished": finished, "progress": f"{epochs} epochs"})


def adopt(run: str) -> list[str]:
    """Bring the outputs of earlier kernels into the folder of `run`; returns one line per item, to print.

    What the folder already holds is not changed. If two outputs hold the same item, the one with more progress is used.
    Does nothing locally. Raises OSError if the copies do not fit on the disk.
    """
    folder = run_folder(run)
    wanted = {}                                                  # "round2/seed1" -> the copy with the most progress
    for earlier in earlier_outputs(run):
        for part in _parts(earlier):
            name = str(part.relative_to(earlier))
            if not os.path.lexists(folder / name) and (name not in wanted or _how_far(part) > _how_far(wanted[name])):
                wanted[name] = part
    linked = {name for name, part in wanted.items() if name == STORE and _complete(part)}
    copied = [part for name, part in wanted.items() if name not in linked]
    check_space(folder, sum(path.stat().st_size for part in copied for path in [part, *part.rglob("*")] if path.is_file()),
                "attach only the outputs that this stage needs")
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
    """The items to adopt: the run's files and folders, one level deeper where kernels share a folder."""
    parts = [inner for path in earlier.iterdir() for inner in (path.iterdir() if path.name in SHARED else [path])]
    return [path for path in parts if path.name != SESSION and not path.name.endswith(".part")]     # .part: an interrupted copy


def _how_far(part: Path) -> tuple:
    """Sort key for copies of one item: whether its training finished, then its epochs, then the newest file."""
    newest = max(path.stat().st_mtime for path in [part, *part.rglob("*")])
    return (part / "checkpoint.pt").is_file(), _epochs(part), newest


def _epochs(training: Path) -> int:
    """The number of epochs in a training's history; 0 without one."""
    history = training / "history.csv"
    return max(0, history.read_bytes().count(b"\n") - 1) if history.is_file() else 0


def _complete(store: Path) -> bool:
    """Whether the preparation of a store finished; an unfinished one is copied, so that it can be resumed."""
    from aslutils.data.store import HEADER
    return (store / HEADER).is_file()


_links: list[tuple[int, Path]] = []                              # the process that made each, and the link


def _link(target: Path, link: Path) -> None:
    """Link a folder until the stage ends; otherwise Kaggle would save the target a second time.

    Removing it at process exit would be too late: Jupyter kills a kernel with child processes before its atexit handlers run.
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
    """Copy a file or folder atomically, with write permission."""
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
