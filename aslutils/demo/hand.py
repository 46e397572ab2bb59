"""A kinematic hand: bone lengths, joint limits and joint angles -> 21 landmarks in MediaPipe's order, as a camera sees them.

The hand's own frame is right-handed: r towards the thumb (radial), u towards the fingertips, p out of the palm, the wrist at 0.
The camera's frame is x right, y down, z away, so a right hand that shows its palm has r = x, u = -y, p = -z.
All lengths are in palms, the distance from the wrist to the middle finger's knuckle, unless a docstring says otherwise.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINTS = (
    "thumb_radial",        # CMC: the metacarpal swung in the palm's plane, from the fingers' direction outwards
    "thumb_palmar",        # CMC: the metacarpal lifted out of the palm's plane
    "thumb_opposition",    # CMC: turned about its own axis; 0 flexes across the palm, 90 towards the palm
    "thumb_mcp",           # flexion
    "thumb_ip",            # flexion; negative bends the tip back (hitchhiker's thumb)
    *(f"{finger}_{joint}" for finger in FINGERS[1:] for joint in ("spread", "mcp", "pip", "dip")),
)                          # spread: abduction at the MCP, towards the thumb positive; mcp, pip, dip: flexion
_FINGER_LIMITS = ((-25, 25), (-30, 95), (-10, 115), (-15, 90))
LIMITS = np.array([(-15, 75), (-25, 70), (-40, 130), (-35, 75), (-45, 85), *_FINGER_LIMITS * 4], float)   # degrees, (21, 2)

# Landmarks 1, 5, 9, 13, 17: the thumb's CMC and the four knuckles (r, u, p); then each finger's three bones.
_PALM = np.array([(0.28, 0.20, 0.16), (0.25, 1.00, 0.02), (0.00, 1.00, 0.00), (-0.21, 0.94, 0.00), (-0.40, 0.79, 0.03)])
_BONES = np.array([(0.43, 0.35, 0.28), (0.46, 0.29, 0.23), (0.52, 0.31, 0.26), (0.46, 0.31, 0.25), (0.38, 0.23, 0.21)])


@dataclass(frozen=True)
class Hand:
    """The bones of one participant's hand, in palms."""

    palm: np.ndarray       # (5, 3): where the thumb's CMC and the index to little knuckles are, in the hand's frame
    bones: np.ndarray      # (5, 3): lengths of each finger's three bones, thumb to little, from the palm outwards

    @classmethod
    def average(cls) -> "Hand":
        """An adult's hand, in MediaPipe's proportions."""
        return cls(_PALM.copy(), _BONES.copy())

    @classmethod
    def random(cls, rng: np.random.Generator, spread: float = 0.06) -> "Hand":
        """A random hand: long or short fingers, a broad or narrow palm, and each bone varied a little; `spread` is a share."""
        fingers = np.exp(rng.normal(0, spread, (1, 1)) + rng.normal(0, spread / 2, (5, 1)) + rng.normal(0, spread / 2, (5, 3)))
        palm = _PALM * np.exp(rng.normal(0, spread, 3) * (1.5, 0, 1.5)) + rng.normal(0, spread / 4, (5, 3))
        return cls(palm, _BONES * fingers)


def limited(angles: np.ndarray) -> np.ndarray:
    """Joint angles (..., 21) in degrees, each kept within what the joint can do."""
    return np.clip(angles, LIMITS[:, 0], LIMITS[:, 1])


def _thumb(angles: np.ndarray) -> np.ndarray:
    """Directions of the thumb's three bones, (..., 3, 3), from its five angles in radians (..., 5)."""
    radial, palmar, opposition, mcp, ip = np.moveaxis(angles, -1, 0)
    zero = np.zeros_like(radial)
    along = np.stack([np.cos(palmar) * np.sin(radial), np.cos(palmar) * np.cos(radial), np.sin(palmar)], -1)
    across = np.stack([-np.cos(radial), np.sin(radial), zero], -1)                       # towards the little finger
    inward = np.stack([-np.sin(palmar) * np.sin(radial), -np.sin(palmar) * np.cos(radial), np.cos(palmar)], -1)
    bend = np.cos(opposition)[..., None] * across + np.sin(opposition)[..., None] * inward
    flexion = np.stack([zero, mcp, mcp + ip], -1)[..., None]                              # (..., 3, 1)
    return np.cos(flexion) * along[..., None, :] + np.sin(flexion) * bend[..., None, :]


def _fingers(angles: np.ndarray) -> np.ndarray:
    """Directions of the four fingers' three bones, (..., 4, 3, 3), from spread and flexions in radians (..., 4, 4)."""
    spread = angles[..., :1]
    flexion = np.cumsum(angles[..., 1:], -1)                                              # (..., 4, 3)
    return np.stack([np.cos(flexion) * np.sin(spread), np.cos(flexion) * np.cos(spread), np.sin(flexion)], -1)


def skeleton(angles: np.ndarray, hand: Hand) -> np.ndarray:
    """Forward kinematics: the 21 landmarks in the hand's frame, in palms.

    angles: (..., 21) degrees in the order of JOINTS. Returns (..., 21, 3) along r, u, p; landmark 0 (the wrist) is 0.
    """
    angles = np.deg2rad(angles)
    lead = angles.shape[:-1]
    directions = np.concatenate([_thumb(angles[..., :5])[..., None, :, :],
                                 _fingers(angles[..., 5:].reshape(*lead, 4, 4))], -3)      # (..., 5, 3, 3)
    offsets = np.cumsum(directions * hand.bones[..., None], -2)
    base = np.broadcast_to(hand.palm[:, None, :], (*lead, 5, 1, 3))
    chains = np.concatenate([base, base + offsets], -2).reshape(*lead, 20, 3)
    return np.concatenate([np.zeros((*lead, 1, 3)), chains], -2)


def rotation(orientation: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) that take a hand's frame to the camera's, for (..., 3) degrees of turn, tilt and lean.

    At 0, 0, 0 a right hand stands upright and shows its palm. turn: about the forearm; at 90 the palm faces
    the signer's own middle, at 180 the signer; tilt: the fingertips nod towards the camera; lean: the fingertips lean to the
    picture's right, where a right-handed signer's middle is.
    """
    turn, tilt, lean = np.moveaxis(np.deg2rad(orientation), -1, 0)
    return _about(2, lean) @ _about(0, tilt) @ _about(1, -turn) * (1, -1, -1)              # r, u, p -> x, -y, -z, then turned


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about x, y or z by (...) radians."""
    second, third = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., second, second] = matrix[..., third, third] = np.cos(angle)
    matrix[..., third, second] = np.sin(angle)
    matrix[..., second, third] = -matrix[..., third, second]
    return matrix


def pose_hand(angles: np.ndarray, orientation: np.ndarray, hand: Hand) -> np.ndarray:
    """A right hand's 21 landmarks in the camera's frame, wrist at 0, in palms: (..., 21, 3).

    angles: (..., 21) and orientation: (..., 3), degrees. A left hand is the same with x negated.
    """
    return skeleton(angles, hand) @ np.swapaxes(rotation(orientation), -1, -2)


@dataclass(frozen=True)
class Camera:
    """A phone's camera: its position in front of the scene's origin and its view. Lengths in the scene's unit."""

    distance: float                                       # from the scene's origin
    yaw: float = 0.0                                      # degrees: how far it has moved round the scene, ...
    pitch: float = 0.0                                    # ... over it, ...
    roll: float = 0.0                                     # ... and turned about its own axis
    focal: float = 1.1                                    # focal length over the picture's width
    aspect: float = 9 / 16                                # the picture's width over its height
    centre: tuple[float, float] = (0.5, 0.5)              # where its axis meets the picture, fractions of width and height

    @cached_property
    def view(self) -> np.ndarray:
        """The rotation (3, 3) from the scene's axes to the camera's."""
        yaw, pitch, roll = np.deg2rad([self.yaw, self.pitch, self.roll])
        return _about(2, roll) @ _about(0, pitch) @ _about(1, yaw)

    def project(self, points: np.ndarray) -> np.ndarray:
        """What the camera sees of points (..., N, 3): x and y, fractions of the picture's width and height, and the depth.

        The depth is from the camera, in the scene's unit; MediaPipe gives another one, see `relative_depth`.
        """
        seen = self.view.astype(points.dtype) @ np.swapaxes(points, -1, -2)                # (..., 3, N): long rows are fast
        x, y, depth = seen[..., 0, :], seen[..., 1, :], seen[..., 2, :]
        depth += self.distance
        scale = self.focal / depth
        x *= scale
        y *= self.aspect * scale
        x += self.centre[0]
        y += self.centre[1]
        return np.swapaxes(seen, -1, -2)

    def relative_depth(self, depth: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """MediaPipe's z of points at `depth`: relative to the depth `origin`, on x's scale there, negative if nearer."""
        return (depth - origin) * (self.focal / origin)
