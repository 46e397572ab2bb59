"""The 130 MediaPipe Holistic landmarks that the kit reads: their order, columns, parts, mirror partners and bones.

Everything that depends on the order of landmarks takes it from here. The order is the published winning solution's.
"""

import hashlib

import numpy as np

COORDINATES = ("x", "y", "z")
HOLISTIC = {"face": 468, "left_hand": 21, "pose": 33, "right_hand": 21}   # landmarks a part, in the competition's order

LIPS = (0, 61, 185, 40, 39, 37, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375,
        78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
NOSE = (1, 2, 98, 327)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
RIGHT_ARM = (12, 14, 16, 18, 20, 22)
LEFT_ARM = (11, 13, 15, 17, 19, 21)

LANDMARKS: tuple[tuple[str, int], ...] = (                                 # (part, MediaPipe index), 130 of them
    *(("face", i) for i in LIPS),
    *(("left_hand", i) for i in range(21)),
    *(("right_hand", i) for i in range(21)),
    *(("face", i) for i in NOSE + RIGHT_EYE + LEFT_EYE),
    *(("pose", i) for i in RIGHT_ARM + LEFT_ARM),
)
POSITION = {landmark: position for position, landmark in enumerate(LANDMARKS)}
COLUMNS = [f"{axis}_{part}_{index}" for axis in COORDINATES for part, index in LANDMARKS]   # 390: all x, all y, all z
ALL_COLUMNS = [f"{axis}_{part}_{index}"                                    # the 1,629 of a competition file
               for axis in COORDINATES for part, count in HOLISTIC.items() for index in range(count)]


def positions(part: str, indices=None) -> np.ndarray:
    """Positions among the 130 of a MediaPipe part's landmarks (all that we keep, or the given MediaPipe indices)."""
    if indices is None:
        return np.array([position for (name, _), position in POSITION.items() if name == part])
    return np.array([POSITION[part, index] for index in indices])


LEFT_HAND = positions("left_hand")                                         # 21
RIGHT_HAND = positions("right_hand")                                       # 21
FACE = positions("face")                                                   # 76: lips, nose, eyes
POSE = positions("pose")                                                   # 12: right arm, left arm
HANDS = np.concatenate([LEFT_HAND, RIGHT_HAND])                            # 42
PARTS = {"left_hand": LEFT_HAND, "right_hand": RIGHT_HAND, "face": FACE, "pose": POSE}   # the part stems' order
FINGERS = np.array([hand[1 + 4 * finger:5 + 4 * finger]                    # (10, 4): thumb..little, left then right;
                    for hand in (LEFT_HAND, RIGHT_HAND) for finger in range(5)])   # the wrist belongs to none
ARM_PAIRS = positions("pose", RIGHT_ARM + LEFT_ARM).reshape(6, 2)          # 12 14, 16 18, 20 22, 11 13, 15 17, 19 21


def hand_columns(axis: str, columns=COLUMNS) -> np.ndarray:
    """Which of the columns are a hand's coordinates on an axis: bool (n,)."""
    return np.array([column.startswith(f"{axis}_") and "_hand_" in column for column in columns], bool)


def hand_seen(values: np.ndarray, columns=COLUMNS) -> np.ndarray:
    """In which frames of the columns (T, n) a hand is seen, where the x of one of its landmarks is a number: bool (T,)."""
    return np.isfinite(values[:, hand_columns("x", columns)]).any(axis=1)


def count_hand_frames(values: np.ndarray, columns=COLUMNS) -> int:
    """In how many frames of the columns (T, n) a hand is seen."""
    return int(hand_seen(values, columns).sum())


_FACE_PARTNERS = """61-291 185-409 40-270 39-269 37-267 146-375 91-321 181-405 84-314 78-308 191-415 80-310 81-311
82-312 95-324 88-318 178-402 87-317 98-327 33-263 7-249 163-390 144-373 145-374 153-380 154-381 155-382 133-362
246-466 161-388 160-387 159-386 158-385 157-384 173-398"""


def _mirror() -> np.ndarray:
    swap = {}
    for pair in _FACE_PARTNERS.split():
        one, other = map(int, pair.split("-"))
        swap["face", one], swap["face", other] = ("face", other), ("face", one)
    for index in range(21):
        swap["left_hand", index], swap["right_hand", index] = ("right_hand", index), ("left_hand", index)
    for left, right in zip(LEFT_ARM, RIGHT_ARM):
        swap["pose", left], swap["pose", right] = ("pose", right), ("pose", left)
    return np.array([POSITION[swap.get(landmark, landmark)] for landmark in LANDMARKS])


MIRROR = _mirror()                                # (130,): landmark i of a mirrored person is landmark MIRROR[i]

HAND_BONES = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12),
              (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (0, 17), (17, 18), (18, 19), (19, 20)]
_LIP_RINGS = ((61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146, 61),
              (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78))
_EYE_RINGS = ((33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 33),
              (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263))
_POSE_BONES = ((11, 12), (12, 14), (14, 16), (16, 18), (16, 20), (18, 20), (16, 22),
               (11, 13), (13, 15), (15, 17), (15, 19), (17, 19), (15, 21))


def _bones() -> dict[str, np.ndarray]:
    face = [(POSITION["face", a], POSITION["face", b])
            for ring in _LIP_RINGS + _EYE_RINGS for a, b in zip(ring, ring[1:])]
    face += [(POSITION["face", a], POSITION["face", b]) for a, b in ((1, 2), (2, 98), (2, 327))]
    return {
        "left_hand": LEFT_HAND[np.array(HAND_BONES)],
        "right_hand": RIGHT_HAND[np.array(HAND_BONES)],
        "face": np.array(face),
        "pose": np.array([(POSITION["pose", a], POSITION["pose", b]) for a, b in _POSE_BONES]),
    }


BONES = _bones()                                  # part -> (n, 2) positions to join when drawing a skeleton
ORDER_DIGEST = hashlib.sha256(" ".join(COLUMNS).encode()).hexdigest()[:16]   # identifies this landmark order in files
