"""How each character is signed: the hand shapes of `shapes.txt`, and the signs of `moves.txt` that move.

A participant's own shape is between the rows of a name (see `participant`).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from aslutils.demo.hand import JOINTS, Hand, pose_hand

STYLES = ("chart", "side", "relaxed")   # as alphabet charts draw letters; seen from the side; with a loose hand
DIP_SHARE = 0.6                    # a finger's last joint bends this share of its middle joint: one tendon moves both


@dataclass(frozen=True)
class Shape:
    """One way to make a hand shape."""

    style: str                 # of signing: one of STYLES, or "" if every style has it
    angles: np.ndarray         # (21,) degrees, in the order of hand.JOINTS
    orientation: np.ndarray    # (3,) degrees: turn, tilt, lean
    words: str = ""            # what people call it


@dataclass(frozen=True)
class KeyFrame:
    """Where the hand is at one moment of a sign."""

    shape: str                 # a name in `shapes()`
    turn: np.ndarray           # (3,) degrees, added to the shape's orientation
    travel: np.ndarray         # (3,) palms: right, down, away


def _rows(name: str) -> list[str]:
    """The rows of a table: what follows its introduction and an empty line."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8").partition("\n\n")[2].rstrip("\n").split("\n")


def _numbers(text: str) -> np.ndarray:
    return np.array([float(number) for number in text.split()])


@cache
def shapes(varied: bool = False) -> dict[str, tuple[Shape, ...]]:
    """Each shape's name -> the ways to make it, at least one; with those of varied participants, if wanted."""
    found: dict[str, tuple[Shape, ...]] = {}
    for line in _rows("shapes.txt"):
        name, style, thumb, *fingers, orientation, words = (cell.strip() for cell in line.split("|"))
        if name.startswith("+") and not varied:
            continue
        name = name.lstrip("+")
        triples = np.stack([_numbers(finger) for finger in fingers])                       # (4, 3): spread, mcp, pip
        quads = np.concatenate([triples, DIP_SHARE * triples[:, 2:]], 1)                   # (4, 4): and dip
        angles = np.concatenate([_numbers(thumb), quads.ravel()])
        if angles.shape != (len(JOINTS),):
            raise ValueError(f"the shape {name!r} has {angles.size} joint angles, expected {len(JOINTS)}: {line}")
        if style not in ("", *STYLES):
            raise ValueError(f"the shape {name!r} has the style {style!r}, expected one of {', '.join(STYLES)} or none: {line}")
        found[name] = (*found.get(name, ()), Shape(style, angles, _numbers(orientation), words))
    return found


@cache
def signs() -> dict[str, tuple[KeyFrame, ...]]:
    """Each of the 59 characters -> its key frames: one if it is held still, more if it moves."""
    moving: dict[str, tuple[KeyFrame, ...]] = {}
    for line in _rows("moves.txt"):
        character, shape, turn, travel = line[0], *line[1:].split("|")[1:]
        moving[character] = (*moving.get(character, ()), KeyFrame(shape.strip(), _numbers(turn), _numbers(travel)))
    return {name: (KeyFrame(name, np.zeros(3), np.zeros(3)),) for name in shapes() if len(name) == 1} | moving


def posed(character: str) -> np.ndarray:
    """An average right hand at each key frame of a character, made in its most usual way: (K, 21, 3), palms, as `pose_hand`."""
    ways = [(shapes()[frame.shape][0], frame) for frame in signs()[character]]
    return np.stack([pose_hand(way.angles, way.orientation + frame.turn, Hand.average()) + frame.travel for way, frame in ways])
