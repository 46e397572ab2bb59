"""The landmark order is the published one, and everything that follows from it agrees."""

import numpy as np

from aslutils.task import landmarks
from aslutils.task.landmarks import ALL_COLUMNS, BONES, COLUMNS, FINGERS, LANDMARKS, MIRROR, PARTS, POSITION


def test_there_are_130_different_landmarks_and_390_columns_of_the_competition():
    assert len(set(LANDMARKS)) == len(LANDMARKS) == 130
    assert len(COLUMNS) == 390 and set(COLUMNS) <= set(ALL_COLUMNS) and len(set(ALL_COLUMNS)) == 1629
    assert COLUMNS[:2] == ["x_face_0", "x_face_61"] and COLUMNS[130] == "y_face_0" and COLUMNS[-1] == "z_pose_21"


def test_the_four_parts_cover_every_landmark_once():
    assert sorted(np.concatenate(list(PARTS.values()))) == list(range(130))
    assert {name: len(part) for name, part in PARTS.items()} == {"left_hand": 21, "right_hand": 21, "face": 76, "pose": 12}


def test_mirroring_twice_is_nothing_and_partners_are_of_one_part():
    assert (MIRROR[MIRROR] == np.arange(130)).all()
    assert LANDMARKS[MIRROR[POSITION["left_hand", 8]]] == ("right_hand", 8)
    assert LANDMARKS[MIRROR[POSITION["pose", 15]]] == ("pose", 16)
    assert LANDMARKS[MIRROR[POSITION["face", 33]]] == ("face", 263)
    assert [LANDMARKS[i] for i in np.flatnonzero(MIRROR == np.arange(130))] == [("face", i) for i in (0, 17, 13, 14, 1, 2)]


def test_ten_fingers_of_four_landmarks_leave_out_both_wrists():
    assert FINGERS.shape == (10, 4) and len(np.unique(FINGERS)) == 40
    assert POSITION["left_hand", 0] not in FINGERS and POSITION["right_hand", 0] not in FINGERS
    assert [LANDMARKS[i] for i in FINGERS[6]] == [("right_hand", i) for i in (5, 6, 7, 8)]


def test_bones_join_landmarks_of_their_own_part():
    for part, bones in BONES.items():
        assert np.isin(bones, PARTS[part]).all()
    assert landmarks.ARM_PAIRS.shape == (6, 2)
