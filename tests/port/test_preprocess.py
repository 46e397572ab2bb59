"""Preprocessing in the graph against `aslutils.task.preprocess`."""

import numpy as np
import pytest
import tensorflow as tf
from toys import made_columns

from aslutils.port.preprocess import fit_length, standardise
from aslutils.task.landmarks import COLUMNS, count_hand_frames
from aslutils.task.preprocess import MAX_FRAMES, as_landmarks, nearest_indices
from aslutils.task.preprocess import fit_length as fit_length_numpy
from aslutils.task.preprocess import standardise as standardise_numpy


@pytest.mark.parametrize("frames", [1, 2, 16, 384, 385, 600, 900])
def test_standardised_frames_are_those_of_the_training_data(frames):
    inputs = made_columns(frames, seed=frames)
    found, hand_frames = standardise(tf.constant(inputs))
    assert int(hand_frames) == count_hand_frames(inputs)
    np.testing.assert_allclose(found, fit_length_numpy(standardise_numpy(as_landmarks(inputs))), atol=1e-5)


def test_every_length_takes_the_same_frames_as_numpy():
    numbers = tf.range(1000)
    for frames in range(MAX_FRAMES, 901, 3):
        np.testing.assert_array_equal(fit_length(numbers, frames), nearest_indices(frames, MAX_FRAMES))


def test_an_empty_sequence_is_one_frame_of_zeros_in_which_nothing_was_seen():
    frames, seen = standardise(tf.zeros((0, len(COLUMNS))))
    assert frames.shape == (1, 130, 3) and not np.any(frames) and not bool(seen)


def test_only_nan_and_infinities_is_nothing_seen():
    inputs = np.full((20, len(COLUMNS)), np.nan, np.float32)
    inputs[3], inputs[4] = np.inf, -np.inf
    frames, seen = standardise(tf.constant(inputs))
    assert not np.any(frames) and not bool(seen)


def test_infinities_count_as_not_seen():
    inputs = made_columns(30, seed=1)
    inputs[4, 7] = np.inf
    without = inputs.copy()
    without[4, 7] = np.nan
    np.testing.assert_array_equal(standardise(tf.constant(inputs))[0], standardise(tf.constant(without))[0])


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1234.5])
def test_a_constant_sequence_becomes_zeros(value):
    frames, seen = standardise(tf.fill((37, len(COLUMNS)), value))
    assert not np.any(frames) and bool(seen)


def test_golden_standardisation(shared):
    golden = np.load(shared / "golden" / "preprocess_augment.npz")
    for name in ("0", "1", "2", "3", "all_nan", "one_frame", "constant"):
        found, _ = standardise(tf.constant(golden[f"prep/{name}/in"].reshape(-1, len(COLUMNS))))
        expected = fit_length_numpy(golden[f"prep/{name}/out"])
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)
