"""The kinematic hand and its table of shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aslutils.demo.hand import JOINTS, LIMITS, Camera, Hand, limited, pose_hand, rotation, skeleton
from aslutils.demo.handshapes import shapes, signs
from aslutils.task.text import CHARACTERS

AVERAGE = Hand.average()
STILL = [character for character, frames in signs().items() if len(frames) == 1]
angle_rows = st.lists(st.floats(-120, 120), min_size=21, max_size=21).map(np.array)


def seen(name: str, way: int = 0) -> np.ndarray:
    """A shape's 21 landmarks as the camera sees them, wrist at 0."""
    shape = shapes()[name][way]
    return pose_hand(shape.angles, shape.orientation, AVERAGE)


@settings(max_examples=50, deadline=None)
@given(angle_rows, st.lists(st.floats(-180, 180), min_size=3, max_size=3).map(np.array))
def test_bones_keep_their_lengths_in_every_pose(angles, orientation):
    points = pose_hand(angles, orientation, AVERAGE)
    assert np.allclose(points[0], 0)
    for finger in range(5):
        chain = points[1 + 4 * finger:5 + 4 * finger]
        assert np.allclose(np.linalg.norm(np.diff(chain, axis=0), axis=-1), AVERAGE.bones[finger], atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(angle_rows)
def test_limited_angles_are_within_what_joints_can_do_and_stay_there(angles):
    once = limited(angles)
    assert (once >= LIMITS[:, 0]).all() and (once <= LIMITS[:, 1]).all()
    assert np.array_equal(limited(once), once)


def test_many_frames_at_once_are_the_same_as_one_by_one():
    rng = np.random.default_rng(1)
    angles, orientation = rng.normal(20, 20, (4, 3, 21)), rng.normal(0, 40, (4, 3, 3))
    together = pose_hand(angles, orientation, AVERAGE)
    assert together.shape == (4, 3, 21, 3)
    assert np.allclose(together[2, 1], pose_hand(angles[2, 1], orientation[2, 1], AVERAGE))


def test_an_open_right_hand_shows_its_palm_thumb_to_the_pictures_right_and_fingers_up():
    points = pose_hand(np.zeros(21), np.zeros(3), AVERAGE)
    assert points[12, 1] < points[9, 1] < -0.9                          # y points down
    assert points[5, 0] > points[9, 0] > points[13, 0] > points[17, 0]
    assert points[4, 2] < 0                                             # the thumb stands in front of the palm, near the camera


def test_flexion_closes_a_finger_towards_the_palm():
    angles = np.zeros(21)
    angles[[JOINTS.index(f"index_{joint}") for joint in ("mcp", "pip", "dip")]] = 80, 95, 60
    straight, bent = skeleton(np.zeros(21), AVERAGE), skeleton(angles, AVERAGE)
    assert np.allclose(np.delete(straight, [6, 7, 8], 0), np.delete(bent, [6, 7, 8], 0))        # only that finger moved
    assert bent[6, 2] > 0.4 and bent[8, 1] < bent[5, 1]                                          # out of the palm, then back


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-180, 180), min_size=3, max_size=3).map(np.array))
def test_orientation_is_a_rotation(orientation):
    matrix = rotation(orientation)
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9) and np.isclose(np.linalg.det(matrix), 1)


def test_turn_tilt_and_lean_do_what_their_names_say():
    def tip(orientation):
        return rotation(np.array(orientation, float)) @ np.array([0, 1, 0])               # where the fingertips point

    palm = rotation(np.array([90.0, 0, 0])) @ np.array([0, 0, 1])
    assert np.allclose(palm, (1, 0, 0), atol=1e-9)                      # to the picture's right: a right-hander's own middle
    assert tip((0, 30, 0))[2] < 0 and np.allclose(tip((0, 90, 0)), (0, 0, -1), atol=1e-9)
    assert tip((0, 0, 30))[0] > 0


def test_the_camera_shows_near_things_larger_and_gives_depth_on_the_scale_of_x():
    points = np.array([[[0.0, 0, 0], [10, 10, 0], [10, 10, -4]]])
    near, far = (Camera(distance, focal=1.0, aspect=0.5).project(points)[0] for distance in (40, 80))
    assert np.allclose(near[0], (0.5, 0.5, 40))
    assert np.allclose(near[1] - near[0], (0.25, 0.125, 0)) and np.allclose(far[1] - far[0], (0.125, 0.0625, 0))
    rolled = Camera(40, roll=90.0, focal=1.0, aspect=1.0).project(points)[0]
    assert np.allclose(rolled[1, :2] - 0.5, (-0.25, 0.25))
    depth = Camera(40, focal=1.0).relative_depth(near[:, 2], near[:1, 2])
    assert np.allclose(depth, (0, 0, -0.1))                             # 4 cm nearer, where 40 cm fill the picture's width


def test_each_of_the_59_characters_has_a_sign_and_each_shape_keeps_within_joint_limits():
    assert set(signs()) == set(CHARACTERS)
    assert all(frame.shape in shapes() for frames in signs().values() for frame in frames)
    for name, ways in shapes().items():
        for shape in ways:
            assert np.allclose(limited(shape.angles), shape.angles, atol=2), name


def test_j_z_and_all_punctuation_move_and_other_letters_and_digits_are_held():
    assert {character for character in CHARACTERS if len(signs()[character]) > 1} == \
        {character for character in CHARACTERS if not character.isalnum()} | {"j", "z"}


def test_no_two_signs_are_the_same():
    known = {"2v": 0.02, "6w": 0.02, "9f": 0.02}                        # look-alikes that only a phrase tells apart
    for first in STILL:
        for second in STILL:
            if first < second:
                gap = np.sqrt(((seen(first) - seen(second)) ** 2).sum(-1).mean())
                assert gap > known.get(first + second, 0.06), f"{first} and {second} differ by {gap:.3f} palms"
    paths = [tuple((frame.shape, *frame.turn, *frame.travel) for frame in frames) for frames in signs().values()]
    assert len(set(paths)) == len(paths)


def test_look_alikes_are_told_apart_by_what_the_table_says():
    assert seen("a")[4, 0] > seen("s")[4, 0] + 0.2                      # a: the thumb beside; s: across the front
    assert np.ptp(seen("v")[[8, 12], 0]) > np.ptp(seen("u")[[8, 12], 0]) + 0.3
    assert seen("r")[8, 0] < seen("r")[12, 0] and seen("u")[8, 0] > seen("u")[12, 0]             # r: crossed
    k, v = (skeleton(shapes()[name][0].angles, AVERAGE) for name in "kv")
    assert k[12, 2] - k[8, 2] > 0.15 > v[12, 2] - v[8, 2]               # k: the middle finger forward of the index
    assert seen("g")[8, 0] > seen("g")[5, 0] + 0.3 and seen("q")[8, 1] > seen("q")[5, 1] + 0.6   # g: sideways; q: down
    assert seen("k")[8, 1] < -1.2 and seen("p")[8, 1] > 0.8             # k stands, p hangs


@pytest.mark.parametrize("pinched, finger", [("9", 8), ("8", 12), ("7", 16), ("6", 20), ("f", 8), ("o", 8), ("d", 12)])
def test_thumb_meets_the_finger_it_should(pinched, finger):
    points = seen(pinched)
    others = [tip for tip in (8, 12, 16, 20) if tip != finger]
    assert np.linalg.norm(points[4] - points[finger]) < 0.45
    if pinched.isdigit():
        assert all(np.linalg.norm(points[4] - points[tip]) > 0.6 for tip in others)


def nearest(hands: np.ndarray, characters: str) -> np.ndarray:
    """The character whose shape is nearest to each hand (n, 21, 3), small rotations in the picture allowed."""
    def normal(points):
        points = (points - points[:, :1]) * (1, 1, 0.5)
        return points / np.sqrt((points[..., :2] ** 2).sum(-1).mean(-1))[:, None, None]

    names, templates = zip(*[(character, pose_hand(way.angles, way.orientation + signs()[character][0].turn, AVERAGE))
                             for character in characters for way in shapes()[signs()[character][0].shape]])
    templates, best = normal(np.array(templates)), np.full((len(hands), len(names)), np.inf)
    for angle in np.deg2rad((-20, -10, 0, 10, 20)):
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        gaps = (normal(hands) @ turn.T)[:, None] - templates[None]
        best = np.minimum(best, (gaps ** 2).sum((-1, -2)))
    return np.array(names)[best.argmin(1)]


def test_real_digits_of_many_people_are_nearest_to_their_shapes(shared):
    data = np.load(shared / "realdata/hands/digits_many_people.npz")
    read = nearest(data["image"][::5].astype(float), "0123456789")
    assert np.mean(read == data["label"][::5]) > 0.95


def test_real_letters_are_nearest_to_their_shapes(shared):
    data = np.load(shared / "realdata/hands/letters_one_person.npz")
    right = data["image"][::10].astype(float) * (-4, 3, 4)              # a left hand in a 4:3 picture
    letters = [letter for letter in "abcdefghiklmnopqrstuvwxy" if letter not in "jz"]
    kept = np.isin(data["label"][::10], letters)
    assert np.mean(nearest(right[kept], "".join(letters)) == data["label"][::10][kept]) > 0.85
