import numpy as np
import pytest
from augmentation_list import REST, numbered, where

from aslutils.data.augment import Augmentations, CutMix, build


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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
    ({"name": "PartDrop", "face": "often"}, "PartDrop: face is 'often', expected a probability"),
    ({"name": "FingersDrop", "windows": 1.5}, "FingersDrop: windows is 1.5, expected a whole number"),
    ({"name": "TemporalMask", "count": 0}, "TemporalMask: count is 0, expected a whole number of at least 1"),
    ({"name": "PartDrop", "face": 0.6, "pose": 0.6}, "PartDrop: p is 1.2"),
    ({"name": "OneOf", "of": []}, "OneOf: expected one entry or more"),
    ({"name": "OneOf", "of": [{"name": "TimeShift", "low": 0, "high": 2}]}, "none that changes time"),
    ({"name": "OneOf", "of": [{"name": "TemporalMask", "p": 0.5}]}, "without p"),
    ({"name": "OneOf", "of": [{"name": "CutMix", "p": 1}]}, "or is CutMix"),
    ("Mirror", "expected a mapping with a name"),
    ({"p": 0.5}, "expected a mapping with a name"),
])
def test_a_mistake_in_the_list_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        build([entry])


def test_mirror_or_cutmix_twice_is_refused():
    with pytest.raises(ValueError, match="Mirror occurs 2 times"):
        build([{"name": "Mirror"}, {"name": "Mirror"}])


@pytest.mark.parametrize("order", [range(8), [3, 0, 6, 2, 1, 4, 5, 7], [2, 1, 0], [1, 3]])
@pytest.mark.parametrize("length", [1, 2, 7, 150])
def test_composing_changes_of_time_gives_the_same_as_one_after_the_other(order, length, rng):
    augmentations = build([REST[place] for place in order])
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


def test_an_empty_list_changes_nothing(rng):
    nothing = Augmentations([])
    assert nothing.draw(rng) == []
    indices, acts = nothing.split(40, [])
    assert indices.tolist() == list(range(40)) and acts == []
