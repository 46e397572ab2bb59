"""What varies between made-up people and errs in their recordings: within the bounds that keep letters apart."""

import numpy as np
import pytest

from aslutils.demo.participant import _together
from aslutils.demo.phrases import _invented, words
from aslutils.demo.signer import _slow_error
from aslutils.demo.writer import participant


def spreads(letter: str) -> np.ndarray:
    """How far index and middle finger spread apart in 300 people's shapes of a letter, degrees."""
    return np.array([np.diff(participant(7, number).ways[letter].angles[[5, 9]])[0] for number in range(300)])


def test_fingers_that_touch_stay_together_and_others_vary_freely():
    noise = np.random.default_rng(0).normal(0, 8, 21)
    for gap, share in ((0, 0.35), (6, 0.55), (20, 1.0), (-40, 1.0)):
        angles = np.zeros(21)
        angles[5::4] = gap * np.arange(4)
        moved = _together(noise, angles)
        np.testing.assert_allclose(np.diff(moved[5::4]), share * np.diff(noise[5::4]), atol=1e-9)
        assert moved[5::4].mean() == pytest.approx(noise[5::4].mean())
        np.testing.assert_array_equal(np.delete(moved, [5, 9, 13, 17]), np.delete(noise, [5, 9, 13, 17]))


def test_u_varies_less_than_v_and_is_told_from_r():
    u, v, r = map(spreads, "uvr")
    assert u.std() < 0.6 * v.std()
    assert np.quantile(u, 0.9) < np.quantile(r, 0.25)


@pytest.mark.parametrize("length", [0, 1, 12, 100])
def test_slow_errors_drift_and_leave_a_wrists_depth_alone(length):
    error = _slow_error(np.random.default_rng(1), length)
    assert error.shape == (length, 21, 3) and error.dtype == np.float32 and not error[:, 0, 2].any()
    if length == 100:
        assert 0.6 < error[..., :2].std() < 1.3                                  # in jitters
        assert np.abs(np.diff(error, axis=0)).mean() < 0.25 * error.std()        # from frame to frame it hardly changes


def test_words_are_letters_and_invented_ones_sound_like_them():
    assert len(set(words())) > 1000 and set("".join(words())) == set("abcdefghijklmnopqrstuvwxyz")
    rng = np.random.default_rng(2)
    made = [_invented(rng) for _ in range(500)]
    assert all(1 <= len(word) <= 12 and word.isalpha() for word in made)
    assert np.mean([word in words() for word in made]) < 0.5
    pairs = {word[at:at + 3] for word in words() for at in range(len(word) - 2)}
    assert all(word[at:at + 3] in pairs for word in made for at in range(len(word) - 2))
