import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aslutils.task.landmarks import COLUMNS
from aslutils.task.preprocess import CONSTANT, MAX_FRAMES, as_landmarks, fit_length, nearest_indices, standardise, statistics


def test_as_frames_puts_every_column_where_its_name_says():
    columns = np.arange(2 * 390, dtype=np.float32).reshape(2, 390)
    frames = as_landmarks(columns)
    assert frames.shape == (2, 130, 3)
    assert frames[1, 0, 2] == columns[1, COLUMNS.index("z_face_0")]
    assert frames[0, 40, 1] == columns[0, COLUMNS.index("y_left_hand_0")]


def test_as_frames_takes_no_frames_and_refuses_other_columns():
    assert as_landmarks(np.zeros((0, 390), np.float32)).shape == (0, 130, 3)
    with pytest.raises(ValueError, match=r"\(frames, 390\).*\(5, 1629\)"):
        as_landmarks(np.zeros((5, 1629), np.float32))


def test_standardising_matches_arithmetic_done_by_hand():
    frames = np.full((2, 130, 3), np.nan, np.float32)
    frames[0, :2, 0], frames[1, :2, 0] = (1, 3), (5, 7)                     # mean 4, population deviation sqrt(5)
    frames[0, 0, 1] = 9                                                     # a single value has no deviation
    standardised = standardise(frames)
    np.testing.assert_allclose(standardised[:, :2, 0], np.array([[-3, -1], [1, 3]]) / np.sqrt(5), rtol=1e-6)
    assert standardised[..., 1:].any() == False and standardised[:, 2:].any() == False    # noqa: E712
    np.testing.assert_allclose(statistics(frames), [[4, 9, 0], [np.sqrt(5), 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_all_missing_is_all_zero(frames):
    assert not standardise(np.full((frames, 130, 3), np.nan, np.float32)).any()


@pytest.mark.parametrize("value", [1.0, 0.1, -2.03, 1e-3, 123.4])
def test_constant_coordinates_become_zero_whatever_their_value(value):
    assert not standardise(np.full((300, 130, 3), value, np.float32)).any()


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 60), missing=st.floats(0, 0.9), offset=st.floats(-3, 3), seed=st.integers(0, 2**32))
def test_standardised_values_have_mean_zero_and_deviation_one_over_what_was_seen(frames, missing, offset, seed):
    rng = np.random.default_rng(seed)
    raw = (offset + 0.1 * rng.standard_normal((frames, 130, 3))).astype(np.float32)
    raw[rng.random((frames, 130)) < missing] = np.nan
    standardised = standardise(raw)
    assert standardised.dtype == np.float32 and np.isfinite(standardised).all()
    seen = ~np.isnan(raw[..., 0])
    assert not standardised[~seen].any()
    if seen.sum() > 10:
        np.testing.assert_allclose(standardised[seen].mean(0, dtype=np.float64), 0, atol=2e-4)
        np.testing.assert_allclose(standardised[seen].std(0, dtype=np.float64), 1, atol=2e-4)


def test_known_statistics_give_the_same_as_computing_them():
    raw = np.random.default_rng(0).random((30, 130, 3), dtype=np.float32)
    np.testing.assert_array_equal(standardise(raw, statistics(raw)), standardise(raw))
    assert CONSTANT < 1e-4


@pytest.mark.parametrize("frames", [1, 383, 384])
def test_short_sequences_keep_their_frames(frames):
    sequence = np.arange(frames)
    assert fit_length(sequence) is sequence


@pytest.mark.parametrize("frames", [385, 500, 807, 5000])
def test_long_sequences_are_cut_to_384_evenly(frames):
    fitted = fit_length(np.arange(frames))
    assert len(fitted) == MAX_FRAMES and fitted[0] == 0
    assert set(np.diff(fitted)) <= {frames // MAX_FRAMES, frames // MAX_FRAMES + 1}


def test_nearest_indices_follow_single_precision():
    exact = [i * 117 // 351 for i in range(351)]                            # 351 is three times 117: exact arithmetic
    single = nearest_indices(117, 351)
    assert single.tolist() == [int(np.float32(i) * (np.float32(117) / np.float32(351))) for i in range(351)]
    assert np.abs(single - exact).max() <= 1


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "preprocess_augment.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", ["0", "1", "2", "3", "all_nan", "one_frame", "constant"])
def test_golden_standardisation(golden, case):
    np.testing.assert_allclose(standardise(as_landmarks(golden[f"prep/{case}/in"])), golden[f"prep/{case}/out"], atol=1e-5)


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("length", [384, 100])
def test_golden_resample_or_pad(golden, case, length):
    expected, mask = golden[f"iop{length}/{case}/out"], golden[f"iop{length}/{case}/mask"]
    fitted = fit_length(golden[f"prep/{case}/out"], length)
    assert len(fitted) == mask.sum()
    np.testing.assert_array_equal(fitted, expected[:len(fitted)])
    assert not expected[len(fitted):].any()


def test_a_nan_in_x_only_and_no_frames_are_answered_where_the_published_code_fails(golden):
    frames = as_landmarks(golden["prep/1/in"].copy())
    frames[3, 5, 0] = np.nan
    standardised = standardise(frames)
    assert standardised[3, 5, 0] == 0 and np.isfinite(standardised).all()
    np.testing.assert_allclose(standardised[..., 1:], golden["prep/1/out"][..., 1:], atol=1e-5)
    assert standardise(np.zeros((0, 130, 3), np.float32)).shape == (0, 130, 3)
