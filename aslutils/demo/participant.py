"""One participant in front of a phone: their hand, how they shape letters, where they sit and what their camera sees."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from aslutils.demo.hand import Camera, Hand, limited
from aslutils.demo.handshapes import STYLES, Shape, shapes

# How far participants' joints differ, in degrees (thumb; spread, mcp, pip, dip of a finger): in all their shapes alike, and in
# each shape separately. The fingers match the deviations in digits of 218 people (spread 6, mcp 12, pip 9, dip 7), in which few
# fingers touch (see `_together`); the thumb varies more (there by 10 to 15), because six signers' letters do.
_HABIT = (5, 6, 9, 9, 9), (2, 6, 4, 3)
_OWN = (6, 8, 12, 13, 12), (4, 8, 6, 5)
_KEPT = 0.8                        # share of their shapes that participants make in their own style
_NEAR = 50                         # degrees: ways whose orientations differ by less can be mixed


@dataclass(frozen=True)
class _Known:
    """All known shapes in arrays. S shapes, of at most W ways to make each; what is behind a shape's own ways is 0."""

    names: list[str]
    styles: list[list[str]]        # of each shape's ways
    near: list[list[np.ndarray]]   # for each shape and way, which of its ways can be mixed with it
    angles: np.ndarray             # (S, W, 21) degrees
    orientation: np.ndarray        # (S, W, 3) degrees


@cache
def _known(varied: bool) -> _Known:
    """The table's shapes; varied: with those of varied participants."""
    found = shapes(varied)
    most = max(map(len, found.values()))
    angles, orientation = np.zeros((len(found), most, 21)), np.zeros((len(found), most, 3))
    near = []
    for row, ways in enumerate(found.values()):
        angles[row, :len(ways)], orientation[row, :len(ways)] = ([way.angles for way in ways], [way.orientation for way in ways])
        own = orientation[row, :len(ways)]
        near.append([np.flatnonzero(np.abs(own - one).max(axis=1) < _NEAR) for one in own])
    return _Known(list(found), [[way.style for way in ways] for ways in found.values()], near, angles, orientation)


@dataclass(frozen=True)
class Manner:
    """What all of a participant's hand shapes have in common."""

    style: str                     # one of handshapes.STYLES
    habit: np.ndarray              # (24,) degrees, added to joint angles and orientation
    curl: float                    # how tightly folded fingers fold, as a factor
    spread: float                  # how far fingers spread, as a factor

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Manner":
        """A random manner."""
        return cls(style=str(rng.choice(STYLES)),
                   habit=np.concatenate([_joint_noise(rng.normal(size=25), _HABIT), rng.normal(0, (8, 9, 6))]),
                   curl=float(rng.normal(1, 0.08)), spread=float(np.exp(rng.normal(0, 0.25))))

    def ways(self, known: _Known, rng: np.random.Generator) -> dict[str, Shape]:
        """The participant's own way to make each shape: a known one, mostly of their style, mixed with its like, plus noise."""
        weights, noise, styles = np.zeros(known.angles.shape[:2]), np.empty((len(known.names), 28)), []
        for row, names in enumerate(known.styles):
            own = [way for way, style in enumerate(names) if style in ("", self.style)]
            kept = own if own and rng.random() < _KEPT else range(len(names))
            first = kept[rng.integers(len(kept))]
            near = known.near[row][first]
            weights[row, near] = rng.dirichlet(np.where(near == first, 1.5, 0.4))
            noise[row] = rng.normal(size=28)
            styles.append(names[first])
        angles, orientation = (sum((weights[..., None] * of).swapaxes(0, 1)) for of in (known.angles, known.orientation))
        angles = angles * np.concatenate([np.ones(5), np.tile((self.spread, self.curl, self.curl, self.curl), 4)])
        angles = limited(angles + _together(self.habit[:21] + _joint_noise(noise[:, :25], _OWN), angles))
        orientation = orientation + self.habit[21:] + 6 * noise[:, 25:]
        return {name: Shape(*own) for name, *own in zip(known.names, styles, angles, orientation)}


@dataclass(frozen=True)
class Participant:
    """One participant, their phone and their place in front of it. Lengths in cm, angles in degrees."""

    hand: Hand
    palm: float                           # wrist to middle knuckle
    left_handed: bool
    ways: dict[str, Shape]                # how they make each shape
    pace: float                           # how slow they are among participants, as a normal deviate over sqrt(2)
    camera: Camera
    place: np.ndarray                     # (3,): the signing hand from the middle of the scene, for a right hand
    jitter: float                         # of a hand landmark, in palms
    depth_gain: float                     # MediaPipe's depth over the true one
    pose_gain: float                      # the same for the pose
    slide: float                          # how far a doubled letter travels, palms; near 0 they tap instead
    stroke: float                         # how large they draw signs that move, over `moves.txt`, which has them as charts do
    varied: bool                          # whether they vary as people do: in ways, strokes and when each finger moves

    @classmethod
    def random(cls, rng: np.random.Generator, varied: bool) -> "Participant":
        """A random participant, drawn from the ranges in the real sequences."""
        manner = Manner.random(rng)
        focal, distance = rng.uniform(0.95, 1.25), 62 * np.exp(rng.normal(0, 0.18))
        aside = min(abs(rng.normal(12, 3)), 0.29 * (distance - 9) / focal)                # they keep the hand in the picture
        return cls(
            hand=Hand.random(rng),
            palm=float(rng.normal(8.3, 0.6)),
            left_handed=bool(rng.random() < 0.19),
            ways=manner.ways(_known(varied), rng),
            pace=float(rng.normal(0, 0.5 ** 0.5)),
            camera=Camera(float(distance), *rng.normal(0, (9, 9, 5)).tolist(), focal=float(focal),
                          aspect=float(rng.choice([9 / 16, 3 / 4], p=[0.6, 0.4])),
                          centre=(float(rng.normal(0.5, 0.04)), float(rng.normal(0.53, 0.05)))),
            place=np.array([-aside, rng.normal(-1, 4), rng.normal(-9, 4)]),
            jitter=float(0.012 * np.exp(rng.normal(0, 0.4))),
            depth_gain=float(np.exp(rng.normal(-0.15, 0.35))),
            pose_gain=float(rng.uniform(2.8, 4.2)),
            slide=float(rng.uniform(0.0, 0.8)),
            stroke=float(0.75 * np.exp(rng.normal(0, 0.3))) if varied else 1.0,           # two real signers: 0.5 and 0.8
            varied=varied,
        )


def _joint_noise(normal: np.ndarray, scale: tuple) -> np.ndarray:
    """Joint angles (..., 21) of the standard deviations `scale` (thumb's five, a finger's four); neighbours are correlated.

    normal: (..., 25) standard normal deviates, 20 for the fingers and 5 for the thumb.
    """
    thumb, finger = scale
    fingers = normal[..., :20].reshape(*normal.shape[:-1], 5, 4)
    fingers = (fingers[..., 1:, :] + fingers[..., :-1, :]) / 2**0.5 * finger
    return np.concatenate([thumb * normal[..., 20:], fingers.reshape(*normal.shape[:-1], 16)], -1)


def _together(noise: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Joint noise (..., 21) for shapes' `angles` that leaves fingers together which touch there: u stays u, becomes no r.

    How far two neighbours' spreads drift apart is scaled down, to a third where they are parallel and not at all from 20 degrees.
    """
    spread = noise[..., 5::4]
    drift = np.diff(spread) * np.minimum(0.35 + np.abs(np.diff(angles[..., 5::4])) / 30, 1)
    kept = np.cumsum(np.concatenate([np.zeros_like(drift[..., :1]), drift], -1), -1)
    noise = noise.copy()
    noise[..., 5::4] = kept - kept.mean(-1, keepdims=True) + spread.mean(-1, keepdims=True)
    return noise
