"""Hands that do not spell: at rest, gesturing, holding a shape that is no letter, signing something else, passing through.

A motion is made of random hand shapes, places and movements that spelling does not have. Signs use some of the letters' shapes,
as real ones do, but move them as no letter moves.
"""

import numpy as np

from aslutils.demo.hand import LIMITS, limited
from aslutils.demo.handshapes import signs
from aslutils.demo.participant import Participant
from aslutils.demo.spelling import lowered, move

GESTURES = ("rest", "hold", "gesture", "sign", "sign with both hands", "pass")
_LETTERLIKE = 22.0, 40.0          # degrees: a shape differs from all letters by more, in the joints' mean or the orientation
_FLEXIONS = np.array([(5, 5, 3), (20, 60, 35), (75, 95, 60), (65, 8, 5)])       # mcp, pip, dip: straight, hooked, folded, bent
# Where hands go, in palms from where they spell, right (to the middle), down, away: forehead, chin, chest, in front, lap.
_PLACES = np.array([(0.6, -1.6, 0.3), (1.0, 0.2, 0.4), (1.2, 2.0, 0.4), (0.4, 1.2, -1.0), (0.6, 3.6, 0.0)])


def gesture(kind: str, participant: Participant, length: int, ends: tuple[int, int], rng: np.random.Generator,
            ) -> tuple[np.ndarray, np.ndarray | None]:
    """The motion (T, 27) of the signing hand, as `spelling.spell` gives it, and of the other hand, None if it takes no part.

    kind: one of GESTURES; T is `length` frames and the `ends` before and after.
    """
    motion = _MOTIONS[kind](participant, length, rng)
    other = None
    if kind == "sign with both hands":
        alike = rng.random() < 0.6                                       # the two hands mirror each other, or do not
        late = np.maximum(np.arange(length) - rng.integers(0, 4), 0)
        other = motion[late] if alike else _sign(participant, length, rng)
    elif kind in ("rest", "gesture") and rng.random() < 0.4:
        other = _MOTIONS[kind](participant, length, rng)
    return tuple(None if hand is None else lowered(hand, ends, participant, rng) for hand in (motion, other))


def _shape(participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """A hand shape with its orientation (24,) that is no character of this participant's."""
    known = np.array([np.concatenate([participant.ways[name].angles, participant.ways[name].orientation])
                      for name, frames in signs().items() if len(frames) == 1])
    for _ in range(20):
        states = rng.choice(4, 4, p=(0.4, 0.15, 0.3, 0.15))
        if rng.random() < 0.5:
            states[:] = states[0]                                        # all fingers alike: flat, bent or a fist
        fingers = np.concatenate([rng.normal((4, 0, -5, -12), 8)[:, None], _FLEXIONS[states] + rng.normal(0, 10, (4, 3))], 1)
        thumb = rng.uniform(*LIMITS[:5].T * 0.7)
        turn = rng.normal(20, 30) if rng.random() < 0.5 else rng.uniform(-20, 190)
        shape = np.concatenate([thumb, fingers.ravel(), [turn], rng.normal((20, 10), (35, 35))])
        gap = np.abs(known - shape)
        joints, orientation = np.sqrt((gap[:, 5:21] ** 2).mean(1)), gap[:, 21:].max(1)
        if not ((joints < _LETTERLIKE[0]) & (orientation < _LETTERLIKE[1])).any():
            break
    return np.concatenate([limited(shape[:21]), shape[21:]])


def _any_shape(participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """A shape (24,) that is no character, or, a third of the time, one that the participant spells with."""
    if rng.random() < 0.67:
        return _shape(participant, rng)
    way = participant.ways[str(rng.choice(list(participant.ways)))]
    return np.concatenate([way.angles, way.orientation])


def _rest(participant: Participant, length: int, rng: np.random.Generator) -> np.ndarray:
    """A loose hand in the lap or hanging in view, hardly moving."""
    way = participant.ways["rest"]
    key = np.concatenate([way.angles + rng.normal(0, 10, 21), way.orientation + rng.normal(0, 35, 3),
                          (rng.normal(0.5, 0.8), rng.uniform(1.0, 4.5), rng.normal(0, 0.4))])
    return np.repeat(key[None], length, 0)


def _hold(participant: Participant, length: int, rng: np.random.Generator) -> np.ndarray:
    """One shape that is no letter, held up."""
    return np.repeat(np.concatenate([_shape(participant, rng), rng.normal(0, (0.4, 0.6, 0.2))])[None], length, 0)


def _gesture(participant: Participant, length: int, rng: np.random.Generator) -> np.ndarray:
    """A hand that wanders between places and shapes, as of people who talk."""
    count = int(rng.integers(2, 3 + length // 12))
    centre = _PLACES[rng.integers(1, len(_PLACES))]
    keys = np.array([np.concatenate([_shape(participant, rng), centre + rng.normal(0, (0.8, 0.8, 0.4))]) for _ in range(count)])
    return _through(keys, length, participant, rng)


def _sign(participant: Participant, length: int, rng: np.random.Generator) -> np.ndarray:
    """A sign: one or two shapes, taken from one place to another or moved to and fro."""
    first, second = _any_shape(participant, rng), _any_shape(participant, rng)
    if rng.random() < 0.6:
        second = np.concatenate([first[:21], first[21:] + rng.normal(0, (25, 20, 20))])
    begin, end = _PLACES[rng.integers(len(_PLACES), size=2)] + rng.normal(0, 0.4, (2, 3))
    keys = np.stack([np.concatenate([first, begin]), np.concatenate([second, end])])
    motion = _through(np.tile(keys, (int(rng.integers(1, 3)), 1)), length, participant, rng)
    if rng.random() < 0.6:                                               # repeated: up and down, to and fro, a circle, a twist
        phase = 2 * np.pi * (np.arange(length)[:, None] / rng.uniform(6, 20) + np.array([0, 0.25, 0]))
        motion[:, 24:] += np.sin(phase) * rng.uniform(0, 1.2, 3) * (rng.random(3) < 0.6)
        motion[:, 21:24] += np.sin(phase) * rng.uniform(0, 40, 3) * (rng.random(3) < 0.4)
    return motion


def _pass(participant: Participant, length: int, rng: np.random.Generator) -> np.ndarray:
    """A hand that only passes through the picture: up into view and out of it again."""
    shape = participant.ways["rest"]
    below = np.concatenate([shape.angles, shape.orientation, (rng.normal(0, 1), rng.uniform(6, 10), 0)])
    above = np.concatenate([_any_shape(participant, rng), rng.normal((0.5, 0.5, 0), (1, 1, 0.5))])
    middle, width = rng.uniform(0.3, 0.7) * length, rng.uniform(3, 9)
    times = np.array([0, max(middle - width, 0.1), middle, middle + width, middle + width + length])
    return move(np.stack([below, above]), times, np.array([0.0, 0, 1, 0, 0]), length, participant, rng)


def _through(keys: np.ndarray, length: int, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """A motion that visits `keys` (K, 27) in turn and rests at each for a while."""
    count = len(keys)
    borders = np.cumsum(rng.uniform(0.3, 1, 2 * count))
    return move(keys, borders / borders[-1] * length, np.repeat(np.arange(count, dtype=float), 2), length, participant, rng)


_MOTIONS = {"rest": _rest, "hold": _hold, "gesture": _gesture, "sign": _sign, "sign with both hands": _sign, "pass": _pass}
