"""The published solution's own outputs: every augmentation with its drawn parameters, mirror, CutMix, tokens."""

import json

import golden_toy
import numpy as np
import pytest

from aslutils.data.augment import CutMix
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
from aslutils.task.text import encode


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


def test_every_number_of_our_own_comes_out():
    with np.load(golden_toy.FILE) as file:
        expected = {name.partition("/")[2]: values for name, values in file.items() if name.startswith("transformed/")}
    found = golden_toy.transformed()
    assert set(found) == set(expected)
    for name, values in found.items():
        tolerance = 1e-5 if name in ("standardised", "affine") else 0
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=tolerance, err_msg=name)
