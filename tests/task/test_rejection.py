"""One rule says when a sequence counts as unreadable, whoever asks."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st

from aslutils.task.rejection import UNKNOWN, Limits, Verdict, certainty, rejected, verdict


@pytest.mark.parametrize("length, hand_frames, confidence, characters, expected", [
    (15, 1, 0.15, 1, Verdict.READ), (15, 1, UNKNOWN, 1, Verdict.READ), (300, 300, 1.0, 33, Verdict.READ),
    (14, 9, 0.9, 1, Verdict.TOO_SHORT), (15, 0, 0.9, 1, Verdict.NO_HANDS), (0, 0, UNKNOWN, 1, Verdict.NO_HANDS),
    (15, 1, 0.1499, 1, Verdict.UNSURE), (14, 1, 0.0, 1, Verdict.TOO_SHORT),
    (15, 1, 0.9, 0, Verdict.NO_TEXT), (15, 1, UNKNOWN, 0, Verdict.NO_TEXT), (15, 1, 0.1, 0, Verdict.UNSURE),
])
def test_what_becomes_of_a_sequence(length, hand_frames, confidence, characters, expected):
    assert verdict(length, hand_frames, confidence, characters) is expected


def test_an_export_may_ask_for_more_confidence():
    found = [verdict(15, 1, 0.3, 1, limits=Limits(confidence=least)) for least in (0.3, 0.31)]
    assert found == [Verdict.READ, Verdict.UNSURE]
    assert verdict(15, 1, UNKNOWN, 1, limits=Limits(confidence=0.9)) is Verdict.READ


@pytest.mark.parametrize("confidence, characters, certainty, expected", [
    (0.9, 1, 0.2, Verdict.READ), (0.9, 1, 0.19, Verdict.UNSURE), (0.1, 1, 0.9, Verdict.UNSURE), (0.9, 1, UNKNOWN, Verdict.READ),
    (UNKNOWN, 1, 0.19, Verdict.UNSURE), (0.9, 0, 0.0, Verdict.NO_TEXT),
])
def test_an_export_may_ask_for_certainty_besides(confidence, characters, certainty, expected):
    assert verdict(15, 1, confidence, characters, certainty, Limits(certainty=0.2)) is expected


def test_the_certainty_is_the_confidence_times_the_mean_probability():
    assert certainty(0.5, [0.2, 0.6]) == pytest.approx(0.2) and certainty(UNKNOWN, [0.2, 0.6]) == pytest.approx(0.4)
    assert certainty(0.9, []) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.one_of(st.just(UNKNOWN), st.floats(0, 1, width=32)),
                          st.integers(0, 2), st.one_of(st.just(UNKNOWN), st.floats(0, 1, width=32))),
                min_size=1, max_size=8))
def test_arrays_tables_and_tensors_of_every_framework_are_judged_alike(sequences):
    limits = Limits(certainty=0.5)
    expected = [verdict(*sequence, limits) is not Verdict.READ for sequence in sequences]
    types = (np.int32, np.int32, np.float32, np.int32, np.float32)
    values = [np.array(values, kind) for values, kind in zip(zip(*sequences), types)]
    assert rejected(*values, limits).tolist() == expected
    assert rejected(*map(pd.Series, values), limits).tolist() == expected
    assert rejected(*map(torch.from_numpy, values), limits).tolist() == expected
    assert rejected(*map(tf.constant, values), limits).numpy().tolist() == expected
