"""The folder of a training: its lock, the checkpoint to go on from and the one before it, the finished network.

Killed at any moment, a training leaves what the next one can go on from. facts: what decides a training's outcome; they lie in
its checkpoints, and a folder that holds another training's is refused.
"""

import os
import shutil
import warnings
from pathlib import Path

from aslutils.model.checkpoint import Checkpoint, DamagedCheckpoint, load_checkpoint, save_checkpoint
from aslutils.model.network import Network
from aslutils.system.files import LOCK, locked

CHECKPOINT = "checkpoint.pt"                      # the finished network; a folder that has it is done
RESUME, PREVIOUS = "resume.pt", "resume.previous.pt"   # a training under way, and its checkpoint before that
HISTORY, PREDICTIONS = "history.csv", "predictions.csv"


def hold(folder: Path):
    """Hold a training's folder for this process; raises BlockingIOError when another process trains there."""
    return locked(folder, lambda process: BlockingIOError(
        f"another training (process {process}) is writing {folder}; wait until it has ended, or use another run name"))


def forget(folder: Path) -> None:
    """Remove all that trainings left in a folder. Raises BlockingIOError when one is under way."""
    with hold(folder):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()


def is_finished(folder: Path, facts: dict) -> bool:
    """Whether a training has come to its end. Raises ValueError if the folder holds another one."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return False
    _same_training(facts, load_checkpoint(path).facts, path)
    return True


def save(folder: Path, network: Network, facts: dict, state: dict) -> None:
    """Write the checkpoint to go on from; the one before is kept beside it. state: what `newest` gives as `training`."""
    path = folder / RESUME
    written = save_checkpoint(folder / "resume.new.pt", network, facts, state)
    if path.is_file():
        os.replace(path, folder / PREVIOUS)
    os.replace(written, path)


def newest(folder: Path, facts: dict, tidy: bool) -> Checkpoint | None:
    """The newest readable checkpoint to go on from, None where a training has left none; tidy: take damaged files away.

    Raises DamagedCheckpoint when none that is there can be read, ValueError when it belongs to another training.
    """
    if tidy:
        for half in folder.glob(".*.part"):       # what a killed training was writing
            half.unlink()
    found = [path for path in (folder / RESUME, folder / PREVIOUS) if path.is_file()]
    for path in found:
        try:
            checkpoint = load_checkpoint(path)
        except DamagedCheckpoint as error:
            if path == found[-1]:
                raise DamagedCheckpoint(f"{error}. No earlier checkpoint is there to go on from; train anew with "
                                        "fresh=True (run_all.sh --fresh)") from error
            warnings.warn(f"{error}; going on from the checkpoint before it", stacklevel=2)
            if tidy:
                path.unlink(missing_ok=True)
            continue
        _same_training(facts, checkpoint.facts, path)
        return checkpoint
    return None


def finish(folder: Path, network: Network, facts: dict) -> None:
    """Write the finished network, then drop the checkpoints to go on from."""
    save_checkpoint(folder / CHECKPOINT, network, facts)
    for name in (RESUME, PREVIOUS):
        (folder / name).unlink(missing_ok=True)


def _same_training(wanted: dict, found: dict, path: Path) -> None:
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        shown = ", ".join(f"{name} ({found.get(name)!r}, now {wanted[name]!r})" if name != "augmentations" else name
                          for name in differing)
        raise ValueError(f"{path} belongs to a training with other parameters: {shown}. Use another run name to keep it, "
                         "or fresh=True (run_all.sh --fresh) to train anew")
