import json

import numpy as np
import pytest

from aslutils.augment import Augmentations, CutMix, OneOf, build
from aslutils.landmarks import FACE, FINGERS, HANDS, LEFT_HAND, POSE, POSITION, RIGHT_HAND
from aslutils.preprocess import nearest_indices
from aslutils.text import encode
from aslutils.transforms import (
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


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def frames(rng):
    return rng.standard_normal((40, 130, 3)).astype(np.float32)


def numbered(length):
    """Frames whose every value is their own number, from 1, so that an output says where it came from."""
    return np.broadcast_to(np.arange(1, length + 1, dtype=np.float32)[:, None, None], (length, 130, 3)).copy()


def where(frames):
    return frames[:, 0, 0].astype(int).tolist()


# ---- what each does, by hand

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


def test_cutmix_joins_a_tail_and_a_head_of_frames_and_phrases_and_mixes_scores():
    cutmix = CutMix()
    first, second = numbered(10), numbered(20) + 100
    assert where(cutmix.apply(first, second, 0.3, 0.2)) == [*range(107, 121), 1, 2, 3]
    assert where(cutmix.apply(first, second, 0.3, 0.7)) == [*range(4, 11), *range(101, 107)]
    assert cutmix.join("abcdefghij", "0123456789", 0.3, 0.2) == "3456789abc"
    assert cutmix.mix(1.0, 0.5, 0.3, 0.2) == pytest.approx(0.3 * 1.0 + 0.7 * 0.5)
    assert cutmix.mix(1.0, 0.5, 0.3, 0.7) == pytest.approx(0.7 * 1.0 + 0.3 * 0.5)


@pytest.mark.parametrize("first, second", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 807)])
@pytest.mark.parametrize("u", [0.0, 1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("branch", [0.0, 0.9])
def test_cutmix_always_leaves_something(first, second, u, branch):
    joined = CutMix().apply(numbered(first), numbered(second), u, branch)
    assert 1 <= len(joined) <= first + second
    assert 1 <= len(CutMix().join("a" * first, "b" * second, u, branch))


# ---- what all have in common

ALL = [
    {"name": "Resample", "low": 0.3, "high": 2.0, "p": 0.8}, {"name": "DynamicResample", "low": 0.9, "high": 1.1, "p": 0.25},
    {"name": "TimeShift", "low": -10, "high": 10, "p": 0.5},
    {"name": "SpatialAffine", "scale": [0.7, 1.3], "shear": [-0.2, 0.2], "shift": [-0.15, 0.15], "degree": [-30, 30], "p": 0.75},
    {"name": "FingersDrop", "p": 0.5625}, {"name": "PartDrop", "pose": 0.265, "face": 0.189, "hands": 0.091},
    {"name": "OneOf", "p": 0.5, "of": [{"name": "TemporalMask", "count": 1}, {"name": "TemporalMask", "count": 4}]},
    {"name": "SpatialMask", "p": 0.5},
]


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry["name"])
@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_every_augmentation_takes_every_length_and_leaves_its_input_as_it_was(entry, length, rng):
    augmentation = build([{**entry, "p": 1.0} if "p" in entry else entry]).rest[0]
    sequence = rng.standard_normal((length, 130, 3)).astype(np.float32)
    before = sequence.copy()
    for _ in range(20):
        augmented = augmentation(sequence, rng)
        assert augmented.dtype == np.float32 and augmented.shape[1:] == (130, 3) and len(augmented) >= 1
        assert np.isfinite(augmented).all()
    np.testing.assert_array_equal(sequence, before)


@pytest.mark.parametrize("order", [range(8), [3, 0, 6, 2, 1, 4, 5, 7], [2, 1, 0], [1, 3]])
@pytest.mark.parametrize("length", [1, 2, 7, 150])
def test_composing_changes_of_time_gives_the_same_as_one_after_the_other(order, length, rng):
    augmentations = build([ALL[place] for place in order])
    for _ in range(30):
        sequence = rng.standard_normal((length, 130, 3)).astype(np.float32)
        drawn = augmentations.draw(rng)
        expected = sequence
        for place, arguments in drawn:
            expected = augmentations.rest[place].apply(expected, *arguments)
        indices, acts = augmentations.split(length, drawn)
        assert (np.diff(indices) >= 0).all()
        composed = sequence[indices]
        composed[indices < 0] = 0
        np.testing.assert_array_equal(augmentations.apply(composed, acts), expected)
        assert augmentations.length(length, drawn) == len(expected)


def test_memory_order_does_not_matter(frames, rng):
    planar = np.ascontiguousarray(frames.transpose(0, 2, 1)).transpose(0, 2, 1)
    for each in build([{**entry, "p": 1.0} if "p" in entry else entry for entry in ALL]).rest:
        drawn = each.draw(rng)
        np.testing.assert_array_equal(each.apply(planar, *drawn), each.apply(frames, *drawn))


# ---- the list in a parameter file

def test_mirror_and_cutmix_come_first_wherever_they_stand():
    augmentations = build([{"name": "TimeShift", "low": 0, "high": 3}, {"name": "CutMix"}, {"name": "Mirror", "p": 0.2}])
    assert augmentations.mirror.p == 0.2 and augmentations.cutmix.p == 0.5 and len(augmentations.rest) == 1
    nothing = build([])
    assert nothing.mirror is None and nothing.cutmix is None and nothing.rest == []


@pytest.mark.parametrize("entry, message", [
    ({"name": "Resampel", "low": 1, "high": 2}, "no augmentation 'Resampel'; did you mean Resample?"),
    ({"name": "Resample", "lo": 1, "high": 2}, "Resample has no parameter 'lo'; did you mean low?"),
    ({"name": "Resample", "low": 1}, "Resample lacks high"),
    ({"name": "Resample", "low": 2.0, "high": 0.3}, "low, high is .2.0, 0.3., expected low <= high"),
    ({"name": "Resample", "low": -1, "high": 2}, "within 0.01..100"),
    ({"name": "SpatialAffine", "shear": 0.2}, "shear is 0.2, expected low <= high"),
    ({"name": "TemporalMask", "fraction": [0.2, 1.4]}, "fraction is .*within 0..1"),
    ({"name": "Mirror", "p": 1.5}, "Mirror: p is 1.5, expected a probability"),
    ({"name": "Mirror", "p": "half"}, "Mirror: p is 'half', expected a probability"),
    ({"name": "PartDrop", "face": -0.1}, "PartDrop: face is -0.1"),
    ({"name": "PartDrop", "face": 0.6, "pose": 0.6}, "PartDrop: p is 1.2"),
    ({"name": "OneOf", "of": []}, "OneOf: expected one entry or more"),
    ({"name": "OneOf", "of": [{"name": "TimeShift", "low": 0, "high": 2}]}, "none that changes time"),
    ({"name": "OneOf", "of": [{"name": "TemporalMask", "p": 0.5}]}, "without p"),
    ("Mirror", "expected a mapping with a name"),
    ({"p": 0.5}, "expected a mapping with a name"),
])
def test_a_mistake_in_the_list_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        build([entry])


def test_mirror_or_cutmix_twice_is_refused():
    with pytest.raises(ValueError, match="Mirror stands 2 times"):
        build([{"name": "Mirror"}, {"name": "Mirror"}])


# ---- how often and how much: thousands of draws against FACTS section 7

DRAWS = 4000


def chi_square(observed, expected) -> float:
    observed, expected = np.asarray(observed, float), np.asarray(expected, float)
    return float(((observed - expected) ** 2 / expected).sum())


def kolmogorov(values, low, high) -> float:
    """The Kolmogorov-Smirnov statistic times sqrt(n) of `values` against U(low, high); 1.95 is passed once in a thousand."""
    values = (np.sort(np.asarray(values, float)) - low) / (high - low)
    n = len(values)
    assert values[0] >= 0 and values[-1] <= 1
    return float(np.sqrt(n) * max((np.arange(1, n + 1) / n - values).max(), (values - np.arange(n) / n).max()))


ONE_IN_A_THOUSAND = {1: 10.83, 2: 13.82, 3: 16.27, 9: 27.88, 19: 43.82}      # chi-square, by degrees of freedom


@pytest.mark.parametrize("entry, rate", [
    (ALL[0], 0.8), (ALL[1], 0.25), (ALL[2], 0.5), (ALL[3], 0.75), (ALL[4], 0.5625), (ALL[5], 0.545), (ALL[6], 0.5),
    (ALL[7], 0.5)], ids=lambda value: value["name"] if isinstance(value, dict) else "")
def test_each_acts_as_often_as_its_probability_says(entry, rate, rng):
    augmentations = build([entry])
    acted = sum(bool(augmentations.draw(rng)) for _ in range(DRAWS))
    assert chi_square([acted, DRAWS - acted], [DRAWS * rate, DRAWS * (1 - rate)]) < ONE_IN_A_THOUSAND[1]


def drawn(augmentation, rng, count=DRAWS):
    return [augmentation.draw(rng) for _ in range(count)]


def test_rates_of_resampling_are_uniform_over_their_range(rng):
    assert kolmogorov([rate for rate, in drawn(Resample(0.3, 2.0), rng)], 0.3, 2.0) < 1.95
    chunks = [rates for rates, in drawn(DynamicResample(0.9, 1.1), rng)]
    assert kolmogorov(np.concatenate(chunks)[:DRAWS], 0.9, 1.1) < 1.95
    counts = np.bincount([len(rates) for rates in chunks], minlength=30)
    assert counts[:20].sum() == 0 and len(counts) == 30
    assert chi_square(counts[20:], np.full(10, DRAWS / 10)) < ONE_IN_A_THOUSAND[9]


def test_time_shifts_are_every_whole_number_from_minus_10_to_9(rng):
    counts = np.bincount([shift + 10 for shift, in drawn(TimeShift(-10, 10), rng)])
    assert len(counts) == 20 and chi_square(counts, np.full(20, DRAWS / 20)) < ONE_IN_A_THOUSAND[19]


def test_affine_parameters_are_uniform_and_one_shear_is_always_zero(rng):
    affine = build([ALL[3]]).rest[0]
    scale, shear, shift, degree = (np.array(values) for values in zip(*drawn(affine, rng)))
    assert (shear == 0).sum() == DRAWS and ((shear != 0).sum(1) == 1).all()
    along_x = int((shear[:, 0] != 0).sum())
    assert chi_square([along_x, DRAWS - along_x], [DRAWS / 2, DRAWS / 2]) < ONE_IN_A_THOUSAND[1]
    for values, high, middle in ((scale, 0.3, 1), (shear.sum(1), 0.2, 0), (shift, 0.15, 0), (degree, 30, 0)):
        assert kolmogorov(values, middle - high, middle + high) < 1.95


def test_finger_windows_and_draws_are_as_published(rng):
    windows = [window for two, in drawn(FingersDrop(), rng, DRAWS // 2) for window in two]
    assert len(windows) == DRAWS
    sizes, offsets, fingers = zip(*windows)
    assert kolmogorov(sizes, 0.25, 0.5) < 1.95 and kolmogorov(offsets, 0, 1) < 1.95
    assert {len(each) for each in fingers} == {12}
    assert chi_square(np.bincount(np.concatenate(fingers)), np.full(10, DRAWS * 1.2)) < ONE_IN_A_THOUSAND[9]
    gone = np.mean([len(set(each.tolist())) for each in fingers])
    assert gone == pytest.approx(10 * (1 - 0.9**12), abs=0.05)               # about 7 of 10 fingers
    assert {len(each) for _, _, each in FingersDrop(draws=(2, 5)).draw(rng)[0]} <= {2, 3, 4, 5}


def test_part_drop_has_the_published_outcomes(rng):
    augmentations = build([ALL[5]])
    outcomes = [acts[0][1][0] if acts else "nothing" for acts in (augmentations.draw(rng) for _ in range(DRAWS))]
    expected = {"pose": 0.265, "face": 0.189, "hands": 0.091, "nothing": 0.455}
    observed = [outcomes.count(name) for name in expected]
    assert chi_square(observed, [DRAWS * share for share in expected.values()]) < ONE_IN_A_THOUSAND[3]
    kept = np.bincount([pairs for part, pairs in drawn(PartDrop(pose=1.0), rng)], minlength=4)
    assert chi_square(kept, np.full(4, DRAWS / 4)) < ONE_IN_A_THOUSAND[3]


def test_one_of_chooses_equally_and_masks_have_their_sizes(rng):
    three = OneOf([{"name": "TemporalMask", "count": count, "fraction": [0.4 / count / 2, 0.4 / count]} for count in (1, 2, 4)])
    choices, masks = zip(*drawn(three, rng))
    assert chi_square(np.bincount(choices), np.full(3, DRAWS / 3)) < ONE_IN_A_THOUSAND[2]
    for choice, count in enumerate((1, 2, 4)):
        sizes, offsets = zip(*[mask for chosen, mask in zip(choices, masks) if chosen == choice])
        assert {len(each) for each in sizes} == {count}
        assert kolmogorov(np.concatenate(sizes), 0.2 / count, 0.4 / count) < 1.95
        assert kolmogorov(np.concatenate(offsets), 0, 1) < 1.95


def test_spatial_masks_and_cuts_are_uniform(rng):
    size, x, y = zip(*drawn(SpatialMask(), rng))
    assert kolmogorov(size, 0.05, 0.1) < 1.95 and kolmogorov(x, 0, 1) < 1.95 and kolmogorov(y, 0, 1) < 1.95
    u, branch = zip(*drawn(CutMix(), rng))
    assert kolmogorov(u, 0, 1) < 1.95 and kolmogorov(branch, 0, 1) < 1.95


# ---- golden cases: the published solution's own outputs

@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "preprocess_augment.npz") as arrays:
        return dict(arrays)


CALLS = {
    "resample": lambda case: (Resample(0.3, 2), [case["params"]["sample_rate"]], {}),
    "dynamic_resample": lambda case: (DynamicResample(0.9, 1.1), [case["params"]["sample_rates"]], {}),
    "time_shift": lambda case: (TimeShift(-10, 10), [case["params"]["shift_rate"]], {}),
    "spatial_affine": lambda case: (SpatialAffine(keep_missing=False), [], case["params"]),
    "fingers_drop": lambda case: (FingersDrop(), [[(1.0, 0.0, case["params"]["fidx"])]], {}),
    "fingers_drop_on_windows": lambda case: (FingersDrop(), [list(zip(
        case["params"]["window_sizes"], case["params"]["window_offsets_01"], case["inner_fidx_per_window"]))], {}),
    "pose_drop": lambda case: (PartDrop(), ["pose", case["choice_type"] - 1], {}),
    "face_drop": lambda case: (PartDrop(), ["face"], {}),
    "hand_drop": lambda case: (PartDrop(), ["hands"], {}),
    "temporal_mask": lambda case: (TemporalMask(), [case["params"]["mask_sizes"], case["params"]["mask_offsets_01"]], {}),
    "spatial_mask_working": lambda case: (SpatialMask(), [
        case["params"][key] for key in ("mask_size", "offset_x_01", "offset_y_01")], {}),
}


@pytest.mark.parametrize("cls", CALLS)
def test_golden_augmentations(golden, shared, cls):
    cases = [case for case in json.loads((shared / "golden" / "augment_cases.json").read_text()) if case["cls"] == cls]
    assert cases
    for case in cases:
        name, _, cut = case["input"].removesuffix("/out").partition("[:")
        frames = golden[f"{name}/out"][:int(cut[:-1]) if cut else None]
        augmentation, arguments, named = CALLS[cls](case)
        result, expected = augmentation.apply(frames, *arguments, **named), golden[f"aug/{case['n']}/out"]
        assert result.shape == expected.shape, case
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 if cls == "spatial_affine" else 0, err_msg=str(case))


@pytest.mark.parametrize("case", range(4))
def test_golden_mirror(golden, case):
    np.testing.assert_array_equal(Mirror().apply(golden[f"prep/{case}/out"]), golden[f"flip/{case}/out"])


def test_golden_cutmix(golden):
    cutmix, phrases, scores = CutMix(), golden["tok/phrases"].tolist(), (0.9, 0.35, 0.0, 1.0)
    number = 0
    while f"cutmix/{number}/args" in golden:
        first, second, u, branch = golden[f"cutmix/{number}/args"].tolist()
        first, second = int(first), int(second)
        joined = cutmix.apply(golden[f"prep/{first}/out"], golden[f"prep/{second}/out"], u, branch)
        assert len(joined) == golden[f"cutmix/{number}/len"]
        np.testing.assert_allclose(joined.sum((1, 2)), golden[f"cutmix/{number}/colsum"], atol=1e-3)
        if f"cutmix/{number}/out" in golden:
            np.testing.assert_array_equal(joined, golden[f"cutmix/{number}/out"])
        assert cutmix.join(phrases[first], phrases[second], u, branch) == golden[f"cutmix/{number}/phrase"]
        mixed = cutmix.mix(scores[first], scores[second], u, branch)
        assert mixed == pytest.approx(float(golden[f"cutmix/{number}/score"]), abs=1e-6)
        number += 1
    assert number == 36


def test_golden_tokens(golden):
    for phrase, tokens in zip(golden["tok/phrases"].tolist(), golden["tok/ids"]):
        assert encode(phrase).tolist() == tokens.tolist()


def test_an_empty_list_changes_nothing(frames, rng):
    nothing = Augmentations([])
    assert nothing.draw(rng) == []
    indices, acts = nothing.split(40, [])
    assert indices.tolist() == list(range(40)) and acts == []
