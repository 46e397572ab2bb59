"""The folder of a training: its lock, the latest and the previous resume checkpoint, the finished network.

A training that is killed at any moment can be resumed. `facts` holds everything that decides a training's outcome. It is stored
in the checkpoints, and a folder whose checkpoints have different facts raises an error.
"""

import os
import shutil
import warnings
from pathlib import Path

from aslutils.model.checkpoint import Checkpoint, DamagedCheckpoint, load_checkpoint, save_checkpoint
from aslutils.model.network import Network
from aslutils.system.errors import UserError
from aslutils.system.files import LOCK, locked
from aslutils.task.arguments import USUAL_CHARACTERS, USUAL_END

CHECKPOINT = "checkpoint.pt"                      # the finished network; its presence marks the training as done
RESUME, PREVIOUS, NEW = "resume.pt", "resume.previous.pt", "resume.new.pt"   # an unfinished training's; NEW: while it is saved
HISTORY, PREDICTIONS = "history.csv", "predictions.csv"


def hold(folder: Path):
    """Lock a training's folder for this process; raises BlockingIOError if another process trains there."""
    return locked(folder, lambda process: BlockingIOError(
        f"another training (process {process}) is writing {folder}; wait until it has ended, or use another run name"))


def forget(folder: Path) -> None:
    """Remove everything that trainings left in a folder. Raises BlockingIOError if one is running."""
    with hold(folder):
        (folder / CHECKPOINT).unlink(missing_ok=True)            # first: from here on nothing passes for finished
        for path in list(folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()


def is_finished(folder: Path, facts: dict) -> bool:
    """Whether a training has finished. Raises ValueError if the folder holds a different one."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return False
    _same_training(facts, load_checkpoint(path).facts, path)
    _tidy(folder)                                 # if the training was killed after its last file
    return True


def _tidy(folder: Path) -> None:
    """Remove what only an unfinished training needs."""
    for path in [folder / RESUME, folder / PREVIOUS, folder / NEW, *folder.glob(".*.part")]:
        path.unlink(missing_ok=True)


def save(folder: Path, network: Network, facts: dict, state: dict) -> None:
    """Write a checkpoint to resume from and keep the previous one. state: what `newest` returns as `training`."""
    path = folder / RESUME
    written = save_checkpoint(folder / NEW, network, facts, state)
    if path.is_file():
        os.replace(path, folder / PREVIOUS)
    os.replace(written, path)


def newest(folder: Path, facts: dict, tidy: bool) -> Checkpoint | None:
    """The newest readable checkpoint to resume from, or None if there is none; tidy: remove damaged files.

    Raises DamagedCheckpoint if there are checkpoints but none is readable, ValueError if it belongs to a different training.
    """
    if tidy:
        for half in folder.glob(".*.part"):       # partial files of a killed training
            half.unlink()
    found = [path for path in (folder / RESUME, folder / PREVIOUS) if path.is_file()]
    for path in found:
        try:
            checkpoint = load_checkpoint(path)
        except DamagedCheckpoint as error:
            if path == found[-1]:
                raise DamagedCheckpoint(f"{error}. There is no earlier checkpoint to resume from; train from scratch with "
                                        "fresh=True (run_all.sh --fresh)") from error
            warnings.warn(f"{error}; resuming from the previous checkpoint", stacklevel=2)
            if tidy:
                path.unlink(missing_ok=True)
            continue
        _same_training(facts, checkpoint.facts, path)
        return checkpoint
    return None


def finish(folder: Path, network: Network, facts: dict) -> None:
    """Write the finished network, then remove the resume checkpoints."""
    save_checkpoint(folder / CHECKPOINT, network, facts)
    _tidy(folder)


def _same_training(wanted: dict, found: dict, path: Path) -> None:
    unstored = {"version": 1, "init": "", "optimiser": "adamw", "replace_probability": 0.0, "align_cuts": False}
    found = {**unstored, **found}                 # earlier checkpoints did not store these
    told = USUAL_END, USUAL_CHARACTERS            # but nothing is trained by them
    differing = [name for name in wanted if name not in told and found.get(name) != wanted[name]]
    if differing:
        shown = ", ".join(f"{name} ({found.get(name)!r}, now {wanted[name]!r})" if name != "augmentations" else name
                          for name in differing)
        raise UserError(f"{path} belongs to a training with other parameters: {shown}. Use another run name to keep it, "
                         "or fresh=True (run_all.sh --fresh) to train from scratch")
