"""How often each augmentation acts and how much: thousands of draws against the published rates and ranges."""


from pathlib import Path

import numpy as np
import pytest
import yaml
from augmentation_list import ALL

from aslutils.augment import CutMix, OneOf, build
from aslutils.transforms import (
    DynamicResample,
    FingersDrop,
    PartDrop,
    Resample,
    SpatialMask,
    TimeShift,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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


PUBLISHED = {                                                                # rates of acting: round 2, round 1
    "Resample": (0.8, 0.8), "DynamicResample": (0.25, None), "TimeShift": (0.5, None), "SpatialAffine": (0.75, 0.75),
    "FingersDrop": (0.5625, None), "PartDrop": (0.545, None), "OneOf": (0.5, None), "TemporalMask": (None, 0.5),
    "SpatialMask": (0.0, 0.0),                                               # it never acted
}


@pytest.mark.parametrize("place, name", [(0, "03_fullfit.yaml"), (1, "01_round1_folds.yaml")])
def test_the_winning_parameters_hold_what_acted_as_published(place, name):
    parameters = yaml.safe_load((Path(__file__).parents[1] / "params" / "winning" / name).read_text())
    augmentations = build(parameters["augmentations"])
    assert augmentations.mirror.p == augmentations.cutmix.p == 0.5
    rates = {type(each).__name__: each.p for each in augmentations.rest}
    assert rates == {name: rate[place] for name, rate in PUBLISHED.items() if rate[place] is not None}
    by_name = {type(each).__name__: each for each in augmentations.rest}
    assert (by_name["Resample"].low, by_name["Resample"].high) == ((0.3, 2.0), (0.5, 1.5))[place]
    affine = by_name["SpatialAffine"]
    assert affine.scale == ((0.7, 1.3), (0.8, 1.2))[place] and affine.degree == (-30, 30) and not affine.keep_missing
    assert affine.shear == ((-0.2, 0.2), (-0.15, 0.15))[place] and affine.shift == ((-0.15, 0.15), (-0.1, 0.1))[place]
