"""One participant in front of a phone: their hand, how they shape letters, where they sit and what their camera sees."""

from dataclasses import dataclass

import numpy as np

from aslutils.demo.hand import Camera, Hand, limited
from aslutils.demo.handshapes import Shape, shapes

# How far participants' joints differ, in degrees (thumb; spread, mcp, pip, dip of a finger): in all their shapes alike, and in
# each shape separately. Together they match the spread in digits of 218 people: thumb 10 to 15, spread 6, mcp 12, pip 9, dip 7.
_HABIT = (5, 5, 7, 6, 7), (2, 6, 4, 3)
_OWN = (5, 6, 8, 9, 9), (4, 8, 6, 5)


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

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Participant":
        """A random participant, drawn from the ranges in the real sequences."""
        habit = np.concatenate([_joint_noise(rng, _HABIT), rng.normal(0, (8, 7, 6))])     # what all their shapes share
        focal, distance = rng.uniform(0.95, 1.25), 62 * np.exp(rng.normal(0, 0.18))
        aside = min(abs(rng.normal(12, 3)), 0.29 * (distance - 9) / focal)                # they keep the hand in the picture
        return cls(
            hand=Hand.random(rng),
            palm=float(rng.normal(8.3, 0.6)),
            left_handed=bool(rng.random() < 0.19),
            ways={name: _own_way(ways, habit, rng) for name, ways in shapes().items()},
            pace=float(rng.normal(0, 0.5 ** 0.5)),
            camera=Camera(float(distance), *rng.normal(0, (8, 7, 4)).tolist(), focal=float(focal),
                          aspect=float(rng.choice([9 / 16, 3 / 4], p=[0.6, 0.4])),
                          centre=(float(rng.normal(0.5, 0.04)), float(rng.normal(0.53, 0.05)))),
            place=np.array([-aside, rng.normal(-1, 4), rng.normal(-9, 4)]),
            jitter=float(0.015 * np.exp(rng.normal(0, 0.4))),
            depth_gain=float(np.exp(rng.normal(0.1, 0.25))),
            pose_gain=float(rng.uniform(2.8, 4.2)),
            slide=float(rng.uniform(0.0, 0.8)),
        )


def _joint_noise(rng: np.random.Generator, scale: tuple) -> np.ndarray:
    """Random joint angles (21,) of the standard deviations `scale` (thumb's five, a finger's four); neighbours are correlated."""
    thumb, finger = scale
    fingers = rng.normal(0, 1, (5, 4))
    return np.concatenate([rng.normal(0, thumb), ((fingers[1:] + fingers[:-1]) / 2**0.5 * finger).ravel()])


def _own_way(ways: tuple[Shape, ...], habit: np.ndarray, rng: np.random.Generator) -> Shape:
    """A participant's own shape: a mix of the known ways, plus their habit, plus noise for this shape alone."""
    weights = rng.dirichlet(np.full(len(ways), 0.5))
    angles = sum(weight * way.angles for weight, way in zip(weights, ways))
    orientation = sum(weight * way.orientation for weight, way in zip(weights, ways))
    angles = limited(angles + habit[:21] + _joint_noise(rng, _OWN))
    return Shape(angles, orientation + habit[21:] + rng.normal(0, 5, 3))
