"""The signer around the hand: a face of 468 points, 33 pose points and the arms that lead to the hands, in centimetres.

It is not based on a scanned face. The landmarks that the kit reads (lips, nose, eyes) are on curves with a face's usual
proportions; the other points are spread over the front of a head.
"""

import numpy as np

from aslutils.task.landmarks import HOLISTIC, NOSE

# The rings of lips and eyes, each from one corner round to it: the upper arc, then the lower one.
_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_RIGHT_EYE_UPPER, _RIGHT_EYE_LOWER = (33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)
_LEFT_EYE_UPPER, _LEFT_EYE_LOWER = (263, 466, 388, 387, 386, 385, 384, 398, 362), (263, 249, 390, 373, 374, 380, 381, 382, 362)
SHOULDER, UPPER_ARM, FOREARM = 17.5, 27.0, 25.0          # half the shoulders' width; bone lengths


def _arc(start: tuple, end: tuple, height: float, count: int) -> np.ndarray:
    """Points from start to end (x, y, z) along half an ellipse that rises `height` above the line (y points down)."""
    angle = np.linspace(np.pi, 0, count)[:, None]
    middle, half = (np.array(end) + start) / 2, (np.array(end) - start) / 2
    return middle + half * np.cos(angle) + np.array([0, -height, -0.25 * abs(height)]) * np.sin(angle)


def face_layout() -> np.ndarray:
    """The 468 face points of a head that looks at the camera: (468, 3) cm, nose tip at 0, axes as in `aslutils.demo.hand`."""
    count = HOLISTIC["face"]
    steps = np.arange(count) + 0.5
    up, around = 1 - 2 * steps / count, np.pi * (1 + 5 ** 0.5) * steps            # a spiral spread evenly over a ball
    flat = np.sqrt(1 - up ** 2)
    face = np.stack([7.2 * flat * np.cos(around), -1.0 - 9.5 * up, 9.0 - 8.5 * np.abs(flat * np.sin(around))], -1)
    for arc, start, end, height in (
            (_OUTER_UPPER, (-2.6, 3.2, 3.2), (2.6, 3.2, 3.2), 1.0), (_OUTER_LOWER, (-2.6, 3.2, 3.2), (2.6, 3.2, 3.2), -1.2),
            (_INNER_UPPER, (-2.1, 3.2, 3.0), (2.1, 3.2, 3.0), 0.2), (_INNER_LOWER, (-2.1, 3.2, 3.0), (2.1, 3.2, 3.0), -0.2),
            (_RIGHT_EYE_UPPER, (-4.7, -2.8, 4.9), (-1.8, -2.6, 4.3), 0.6),
            (_RIGHT_EYE_LOWER, (-4.7, -2.8, 4.9), (-1.8, -2.6, 4.3), -0.4),
            (_LEFT_EYE_UPPER, (4.7, -2.8, 4.9), (1.8, -2.6, 4.3), 0.6),
            (_LEFT_EYE_LOWER, (4.7, -2.8, 4.9), (1.8, -2.6, 4.3), -0.4)):
        face[list(arc)] = _arc(start, end, height, len(arc))
    face[list(NOSE)] = (0, 0, 0), (0, 1.0, 1.4), (-1.9, 0.8, 2.3), (1.9, 0.8, 2.3)
    return face


FACE = face_layout().astype(np.float32)
LOWER_LIP = np.array(_OUTER_LOWER[1:-1] + _INNER_LOWER[1:-1])             # moves as the mouth opens

# Pose points on the head: nose, eyes (inner, middle, outer), ears, mouth corners; MediaPipe's left is the picture's right.
_HEAD_POINTS = np.array([(0, 0, 0), (1.8, -2.7, 4.3), (3.2, -2.9, 4.2), (4.7, -2.8, 4.9), (-1.8, -2.7, 4.3), (-3.2, -2.9, 4.2),
                         (-4.7, -2.8, 4.9), (7.3, -2.0, 12.0), (-7.3, -2.0, 12.0), (2.4, 3.2, 3.2), (-2.4, 3.2, 3.2)])
_TRUNK = {23: (10, 72, 14), 24: (-10, 72, 14), 25: (11, 112, 4), 26: (-11, 112, 4), 27: (11, 150, 30), 28: (-11, 150, 30),
          29: (11, 156, 34), 30: (-11, 156, 34), 31: (12, 160, 20), 32: (-12, 160, 20)}   # hips, knees, feet: out of the picture
PALM_POINTS = (0, 17, 5, 2)                               # hand landmarks near pose's wrist, little finger, index and thumb


def head_rotation(angles: np.ndarray) -> np.ndarray:
    """Small head turns (T, 3) in radians about x, y, z as matrices (T, 3, 3), first order: good to about 15 degrees."""
    x, y, z = angles.T
    one = np.ones_like(x)
    return np.stack([one, -z, y, z, one, -x, -y, x, one], -1).reshape(-1, 3, 3)


def elbow(shoulder: np.ndarray, wrist: np.ndarray, outward: float) -> np.ndarray:
    """Where the elbow hangs between shoulder and wrist, (T, 3) each: down, and a little `outward` (-1 or 1 along x)."""
    reach = wrist - shoulder
    distance = np.maximum(np.linalg.norm(reach, axis=-1, keepdims=True), 1e-6)
    along = np.clip((distance ** 2 + UPPER_ARM ** 2 - FOREARM ** 2) / (2 * distance), -UPPER_ARM, UPPER_ARM)
    drop = np.sqrt(UPPER_ARM ** 2 - along ** 2)
    direction = reach / distance
    hang = np.array([0.45 * outward, 1.0, 0.1])
    hang = hang - direction * (direction @ hang)[:, None]
    return shoulder + along * direction + drop * hang / np.maximum(np.linalg.norm(hang, axis=-1, keepdims=True), 1e-6)


def pose_points(head: np.ndarray, turn: np.ndarray, trunk: np.ndarray, palms: dict[str, np.ndarray]) -> np.ndarray:
    """MediaPipe's 33 pose points: (T, 33, 3) cm.

    head: (T, 3) the nose tip; turn: (T, 3, 3) the head's; trunk: (T, 3) the place under the chin that shoulders and hips follow;
    palms: {"left", "right"} -> (T, 4, 3), where the pose model takes the hand's PALM_POINTS to be: the arms lead there.
    """
    pose = np.empty((len(head), HOLISTIC["pose"], 3))
    pose[:, :11] = head[:, None] + _HEAD_POINTS @ turn.swapaxes(-1, -2)
    for first, (side, outward) in enumerate((("left", 1), ("right", -1)), 11):
        pose[:, first] = trunk + (outward * SHOULDER, 23.0, 12.0)
        palm = palms[side]
        pose[:, first + 2] = elbow(pose[:, first], palm[:, 0], outward)
        pose[:, [first + 4, first + 6, first + 8, first + 10]] = palm
    for index, place in _TRUNK.items():
        pose[:, index] = trunk + place
    return pose
