"""What every command of the command line needs: modules imported when it is their turn, and the types of options.

A type raises ArgumentTypeError, with one line, for what it does not take.
"""

import importlib
import sys
from argparse import ArgumentTypeError
from pathlib import Path

from aslutils.system.errors import MissingPackage

KIT = Path(__file__).resolve().parents[2]


def kit(module: str):
    """Import a module of the kit, when a command needs it."""
    try:
        return importlib.import_module(f"aslutils.{module}")
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "aslutils":
            raise
        raise MissingPackage(f"this command needs {error.name}: python -m pip install -r requirements.txt") from error


def _clone(folder: str) -> Path:
    """A folder of the kit that is not in the installed package."""
    if not (KIT / folder).is_dir():
        raise ArgumentTypeError(f"there is no {KIT / folder}: run this from the kit's own folder, not from an installed "
                                "package")
    return KIT / folder


def profile(text: str) -> Path:
    """The folder of a profile: its name, or a folder of parameter files."""
    profiles = sorted(path.name for path in _clone("params").glob("*") if path.is_dir())
    found = KIT / "params" / text if text in profiles else Path(text)
    if not found.is_dir():
        raise ArgumentTypeError(f"there is no profile {text!r}; there are {', '.join(profiles)}")
    return found


def folder(text: str) -> str:
    """A folder that exists, or "" for none."""
    if text and not Path(text).is_dir():
        raise ArgumentTypeError(f"there is no folder {text}")
    return text


def stage(text: str) -> str:
    """The name of a stage, of which the beginning is enough."""
    names = sorted(path.stem for path in _clone("notebooks").glob("*.ipynb"))
    found = [name for name in names if text and name.startswith(text)]
    if len(found) != 1:
        raise ArgumentTypeError(f"there is no stage {text!r}; give one of {', '.join(names)}, or its number")
    return found[0]


def whole(least: int, most: int = sys.maxsize):
    """The type of whole numbers from `least` to `most`."""
    def number(text: str) -> int:
        if not text.lstrip("-").isdigit() or not least <= int(text) <= most:
            limit = "" if most == sys.maxsize else f" and at most {most}"
            raise ArgumentTypeError(f"{text!r} is not a whole number of at least {least}{limit}")
        return int(text)
    return number


def positive(text: str) -> float:
    """A number above 0."""
    try:
        if 0 < float(text) < 1e6:
            return float(text)
    except ValueError:
        pass
    raise ArgumentTypeError(f"{text!r} is not a number above 0")


def distinct(seeds: list[int]) -> list[int]:
    """Seeds of which none is given twice."""
    if len(set(seeds)) < len(seeds):
        raise ArgumentTypeError(f"--seeds {' '.join(map(str, seeds))}: give every seed only once")
    return seeds
