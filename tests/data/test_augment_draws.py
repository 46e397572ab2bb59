"""How often each augmentation acts and how much: what the winning parameter files draw against what was published."""

import numpy as np
import pytest
from augmentation_list import EVERY, ROUND1, ROUND2

from aslutils.data.augment import CutMix, build
from aslutils.data.transforms import FingersDrop

DRAWS = 8000
ONE_IN_A_THOUSAND = {1: 10.83, 2: 13.82, 3: 16.27, 9: 27.88, 19: 43.82}      # chi-square, by degrees of freedom


def fits(observed, shares) -> bool:
    """Whether counts have the given shares, by a chi-square test that fails once in a thousand."""
    observed, expected = np.asarray(observed, float), np.sum(observed) * np.asarray(shares, float)
    return ((observed - expected) ** 2 / expected).sum() < ONE_IN_A_THOUSAND[len(observed) - 1]


def equally(count: int) -> np.ndarray:
    return np.full(count, 1 / count)


def uniform(values, low, high) -> bool:
    """Whether `values` are drawn from U(low, high), by a Kolmogorov-Smirnov test that fails once in a thousand."""
    values, n = (np.sort(np.asarray(values, float)) - low) / (high - low), len(values)
    distance = max((np.arange(1, n + 1) / n - values).max(), (values - np.arange(n) / n).max())
    return values[0] >= 0 and values[-1] <= 1 and np.sqrt(n) * distance < 1.95


def draws(entries) -> dict[str, list[tuple]]:
    """By class, what it drew each time that it acted on one of DRAWS samples."""
    augmentations, rng = build(entries), np.random.default_rng(0)
    drawn = {type(each).__name__: [] for each in augmentations.rest}
    for _ in range(DRAWS):
        for place, arguments in augmentations.draw(rng):
            drawn[type(augmentations.rest[place]).__name__].append(arguments)
    return drawn


@pytest.fixture(scope="module")
def round1():
    return draws(ROUND1)


@pytest.fixture(scope="module")
def round2():
    return draws(EVERY)


def assert_rates(drawn, rates):
    assert drawn.keys() == rates.keys()
    for name, rate in rates.items():
        assert fits([len(drawn[name]), DRAWS - len(drawn[name])], [rate, 1 - rate]), name


def test_round_2_augmentations_act_as_often_as_published(round2):
    assert_rates(round2, {"Resample": 0.8, "DynamicResample": 0.25, "TimeShift": 0.5, "SpatialAffine": 0.75,
                          "FingersDrop": 0.5625, "PartDrop": 0.545, "OneOf": 0.5, "SpatialMask": 0.5})


def test_round_1_augmentations_act_as_often_as_published(round1):
    assert not round1["SpatialMask"]
    acting = {name: drawn for name, drawn in round1.items() if name != "SpatialMask"}
    assert_rates(acting, {"Resample": 0.8, "SpatialAffine": 0.75, "TemporalMask": 0.5})


@pytest.mark.parametrize("entries", [ROUND1, ROUND2])
def test_what_slipped_in_the_published_training_is_kept_in_the_winning_parameters(entries):
    augmentations = build(entries)
    by_name = {type(each).__name__: each for each in augmentations.rest}
    assert by_name["SpatialMask"].p == 0 and not by_name["SpatialAffine"].keep_missing
    assert augmentations.mirror.p == augmentations.cutmix.p == 0.5


def test_resampling_rates_are_uniform(round1, round2):
    assert uniform([rate for rate, in round1["Resample"]], 0.5, 1.5)
    assert uniform([rate for rate, in round2["Resample"]], 0.3, 2.0)


def test_speed_varies_by_a_tenth_over_20_to_29_chunks(round2):
    chunks = [rates for rates, in round2["DynamicResample"]]
    assert uniform(np.concatenate(chunks), 0.9, 1.1)
    counts = np.bincount([len(rates) for rates in chunks])
    assert not counts[:20].any() and len(counts) == 30 and fits(counts[20:], equally(10))


def test_time_shifts_are_every_whole_number_from_minus_10_to_9(round2):
    counts = np.bincount([shift + 10 for shift, in round2["TimeShift"]])
    assert len(counts) == 20 and fits(counts, equally(20))


@pytest.mark.parametrize("name, widths", [("round1", (0.2, 0.15, 0.1, 30)), ("round2", (0.3, 0.2, 0.15, 30))])
def test_affine_parameters_are_uniform_and_one_shear_is_always_zero(name, widths, request):
    scale, shear, shift, degree = (np.array(values) for values in zip(*request.getfixturevalue(name)["SpatialAffine"]))
    assert ((shear != 0).sum(1) == 1).all() and fits((shear != 0).sum(0), equally(2))
    for values, width in zip((scale - 1, shear.sum(1), shift, degree), widths):
        assert uniform(values, -width, width)


def test_finger_windows_and_draws_are_as_published(round2):
    assert {len(windows) for windows, in round2["FingersDrop"]} == {2}
    sizes, offsets, fingers = zip(*[window for windows, in round2["FingersDrop"] for window in windows])
    assert uniform(sizes, 0.25, 0.5) and uniform(offsets, 0, 1)
    assert {len(each) for each in fingers} == {12} and fits(np.bincount(np.concatenate(fingers)), equally(10))
    gone = np.mean([len(set(each.tolist())) for each in fingers])
    assert gone == pytest.approx(10 * (1 - 0.9**12), abs=0.05)               # about 7 of 10 fingers


def test_fewer_fingers_are_drawn_on_request():
    rng, meant = np.random.default_rng(0), FingersDrop(draws=(2, 5))
    counts = np.bincount([len(fingers) for _ in range(1000) for _, _, fingers in meant.draw(rng)[0]])
    assert not counts[:2].any() and len(counts) == 6 and fits(counts[2:], equally(4))


def test_part_drop_has_the_published_outcomes(round2):
    parts = [part for part, _ in round2["PartDrop"]]
    outcomes = [*map(parts.count, ("pose", "face", "hands")), DRAWS - len(parts)]
    assert sum(outcomes) == DRAWS and fits(outcomes, [0.265, 0.189, 0.091, 0.455])
    assert fits(np.bincount([pairs for part, pairs in round2["PartDrop"] if part == "pose"]), equally(4))


def assert_masks(drawn, count):
    """TemporalMask's draws are of `count` masks, which hide 0.2..0.4 of the sequence together."""
    sizes, offsets = zip(*drawn)
    assert {len(each) for each in sizes} == {len(each) for each in offsets} == {count}
    assert uniform(np.concatenate(sizes), 0.2 / count, 0.4 / count) and uniform(np.concatenate(offsets), 0, 1)


def test_temporal_masks_are_one_two_or_four_equally_often(round1, round2):
    assert_masks(round1["TemporalMask"], 1)
    assert fits(np.bincount([choice for choice, _ in round2["OneOf"]]), equally(3))
    for choice, count in enumerate((1, 2, 4)):
        assert_masks([mask for chosen, mask in round2["OneOf"] if chosen == choice], count)


def test_spatial_masks_are_uniform(round2):
    size, x, y = zip(*round2["SpatialMask"])
    assert uniform(size, 0.05, 0.1) and uniform(x, 0, 1) and uniform(y, 0, 1)


def test_cuts_are_uniform_and_each_order_is_joined_in_half_of_the_cases():
    cutmix, rng = CutMix(), np.random.default_rng(0)
    cuts = [cutmix.draw(rng) for _ in range(DRAWS)]
    assert uniform([u for u, _ in cuts], 0, 1)
    assert fits(np.bincount([cutmix.pieces(10, 10, *cut)[0][0] for cut in cuts]), equally(2))
