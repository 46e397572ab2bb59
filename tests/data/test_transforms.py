import numpy as np
import pytest
from augmentation_list import REST, certain, numbered, where

from aslutils.data.augment import build
from aslutils.data.transforms import (
    DynamicResample,
    FingersDrop,
    Mirror,
    PartDrop,
    Resample,
    SpatialAffine,
    SpatialMask,
    TemporalMask,
    TimeShift,
)
from aslutils.task.landmarks import FACE, FINGERS, HANDS, LEFT_HAND, POSE, POSITION, RIGHT_HAND
from aslutils.task.preprocess import nearest_indices


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def frames(rng):
    return rng.standard_normal((40, 130, 3)).astype(np.float32)


def test_mirror_negates_x_and_swaps_partners(frames):
    mirrored = Mirror().apply(frames)
    np.testing.assert_array_equal(mirrored[:, LEFT_HAND], frames[:, RIGHT_HAND] * np.float32([-1, 1, 1]))
    nose, chin = POSITION["face", 1], POSITION["face", 17]
    np.testing.assert_array_equal(mirrored[:, [nose, chin], 1:], frames[:, [nose, chin], 1:])
    np.testing.assert_array_equal(Mirror().apply(mirrored), frames)


def test_resample_takes_nearest_frames_and_never_loses_all():
    assert where(Resample(0.5, 0.5).apply(numbered(8), 0.5)) == [1, 3, 5, 7]
    assert where(Resample(2, 2).apply(numbered(3), 2.0)) == [1, 1, 2, 2, 3, 3]
    assert where(Resample(0.3, 0.3).apply(numbered(2), 0.3)) == [1]


@pytest.mark.parametrize("length", [1, 5, 24, 25, 26, 40, 159, 500])
def test_dynamic_resample_resamples_each_chunk_by_its_own_rate(length, rng):
    rates = rng.uniform(0.9, 1.1, 25)
    chunk = -(-length // 25)
    expected = []
    for start, rate in zip(range(0, length, chunk), rates):
        size = min(chunk, length - start)
        expected += (start + nearest_indices(size, max(1, int(size * rate)))).tolist()
    assert DynamicResample(0.9, 1.1).indices(length, rates).tolist() == expected
    assert DynamicResample(0.9, 1.1).length(length, rates) == len(expected)


def test_time_shift_pads_in_front_or_drops_the_start_but_leaves_more_than_two():
    shift = TimeShift(-10, 10)
    assert where(shift.apply(numbered(4), 3)) == [0, 0, 0, 1, 2, 3, 4]
    assert where(shift.apply(numbered(5), -2)) == [3, 4, 5]
    assert where(shift.apply(numbered(5), -3)) == [1, 2, 3, 4, 5]
    assert where(shift.apply(numbered(1), 0)) == [1]


def test_affine_scales_shears_rotates_and_shifts_in_that_order():
    point = np.array([[[1.0, 2.0, 5.0]]], np.float32)
    affine = SpatialAffine(keep_missing=False)
    np.testing.assert_allclose(affine.apply(point, scale=2)[0, 0], [2, 4, 5], rtol=1e-6)
    np.testing.assert_allclose(affine.apply(point, shear=(0.0, 0.5))[0, 0], [2, 2, 5], rtol=1e-6)
    np.testing.assert_allclose(affine.apply(point, shear=(0.5, 0.0))[0, 0], [1, 2.5, 5], rtol=1e-6)
    np.testing.assert_allclose(affine.apply(point, degree=90)[0, 0], [-2, 1, 5], rtol=1e-6)
    np.testing.assert_allclose(affine.apply(point, shift=-1)[0, 0], [0, 1, 5], rtol=1e-6)
    sheared_turned = affine.apply(point, scale=2, shear=(0.0, 0.5), degree=90, shift=1)       # (4, 4) about (0.5, 0)
    np.testing.assert_allclose(sheared_turned[0, 0], [0.5 - 4 + 1, 3.5 + 1, 5], rtol=1e-6)


@pytest.mark.parametrize("keep", [True, False])
def test_affine_keeps_missing_landmarks_at_zero_unless_told_otherwise(frames, keep):
    frames[:, RIGHT_HAND] = 0
    moved = SpatialAffine(keep_missing=keep).apply(frames, scale=1.1, shift=0.1)
    assert (moved[:, RIGHT_HAND, :2] == (0 if keep else np.float32(0.1))).all()
    np.testing.assert_allclose(moved[:, POSE, :2], frames[:, POSE, :2] * 1.1 + 0.1, rtol=1e-4, atol=1e-5)


def test_fingers_drop_hides_only_the_drawn_fingers_in_its_windows(frames):
    dropped = FingersDrop().apply(frames, [(0.25, 0.5, [0, 9, 9])])
    changed = (dropped != frames).any(2)
    assert set(np.flatnonzero(changed.any(0))) == set(FINGERS[[0, 9]].ravel())
    assert np.flatnonzero(changed.any(1)).tolist() == list(range(15, 25))    # 10 of 40 frames, from int(0.5 * 30)
    assert not dropped[changed].any()


@pytest.mark.parametrize("part, kept, expected", [("hands", 0, HANDS), ("face", 0, FACE), ("pose", 0, POSE)] +
                         [("pose", kept, np.arange(118 + 2 * kept, 130)) for kept in (1, 2, 3)])
def test_part_drop_hides_one_part(frames, part, kept, expected):
    dropped = PartDrop(0.2, 0.2, 0.2).apply(frames, part, kept)
    assert set(np.flatnonzero((dropped == 0).all((0, 2)))) == set(expected.tolist())
    assert (dropped == frames).all((0, 2)).sum() == 130 - len(expected)


def test_temporal_mask_hides_stretches_of_frames():
    masked = where(TemporalMask(2).apply(numbered(20), [0.1, 0.25], [0.0, 0.99]))
    assert masked == [0, 0, *range(3, 15), 0, 0, 0, 0, 0, 20]                # int(0.99 * 15) = 14: the last start is 14


def test_spatial_mask_hides_what_is_strictly_inside_the_rectangle():
    points = np.zeros((1, 130, 3), np.float32)
    points[0, :, 0], points[0, :, 1] = np.linspace(0, 1, 130), np.linspace(0, 2, 130)
    masked = SpatialMask().apply(points, 0.1, 0.5, 0.5)
    hidden = np.flatnonzero((masked != points).any((0, 2)))
    inside = np.flatnonzero((points[0, :, 0] > 0.5) & (points[0, :, 0] < 0.6))
    assert hidden.tolist() == inside.tolist() and len(inside) > 5


@pytest.mark.parametrize("entry", REST, ids=lambda entry: entry["name"])
@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_every_augmentation_takes_every_length_and_leaves_its_input_as_it_was(entry, length, rng):
    augmentation = build([certain(entry)]).rest[0]
    sequence = rng.standard_normal((length, 130, 3)).astype(np.float32)
    before = sequence.copy()
    for _ in range(20):
        augmented = augmentation.apply(sequence, *augmentation.draw(rng))
        assert augmented.dtype == np.float32 and augmented.shape[1:] == (130, 3) and len(augmented) >= 1
        assert np.isfinite(augmented).all()
    np.testing.assert_array_equal(sequence, before)


def test_memory_order_does_not_matter(frames, rng):
    planar = np.ascontiguousarray(frames.transpose(0, 2, 1)).transpose(0, 2, 1)
    for each in build(map(certain, REST)).rest:
        drawn = each.draw(rng)
        np.testing.assert_array_equal(each.apply(planar, *drawn), each.apply(frames, *drawn))
