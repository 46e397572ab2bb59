"""One rule says when a sequence counts as unreadable, whoever asks."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st

from aslutils.task.rejection import UNKNOWN, Verdict, rejected, verdict


@pytest.mark.parametrize("length, hand_frames, confidence, characters, expected", [
    (15, 1, 0.15, 1, Verdict.READ), (15, 1, UNKNOWN, 1, Verdict.READ), (300, 300, 1.0, 33, Verdict.READ),
    (14, 9, 0.9, 1, Verdict.TOO_SHORT), (15, 0, 0.9, 1, Verdict.NO_HANDS), (0, 0, UNKNOWN, 1, Verdict.NO_HANDS),
    (15, 1, 0.1499, 1, Verdict.UNSURE), (14, 1, 0.0, 1, Verdict.TOO_SHORT),
    (15, 1, 0.9, 0, Verdict.NO_TEXT), (15, 1, UNKNOWN, 0, Verdict.NO_TEXT), (15, 1, 0.1, 0, Verdict.UNSURE),
])
def test_what_becomes_of_a_sequence(length, hand_frames, confidence, characters, expected):
    assert verdict(length, hand_frames, confidence, characters) is expected


def test_an_export_may_ask_for_more_confidence():
    assert verdict(15, 1, 0.3, 1, 0.3) is Verdict.READ and verdict(15, 1, 0.3, 1, 0.31) is Verdict.UNSURE
    assert verdict(15, 1, UNKNOWN, 1, 0.9) is Verdict.READ


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.one_of(st.just(UNKNOWN), st.floats(0, 1, width=32)),
                          st.integers(0, 2)),
                min_size=1, max_size=8))
def test_arrays_tables_and_tensors_of_every_framework_are_judged_alike(sequences):
    expected = [verdict(*sequence) is not Verdict.READ for sequence in sequences]
    lengths, hands, confidences, characters = map(np.array, zip(*sequences))
    values = [lengths.astype(np.int32), hands.astype(np.int32), confidences.astype(np.float32), characters.astype(np.int32)]
    assert rejected(*values).tolist() == expected
    assert rejected(*map(pd.Series, values)).tolist() == expected
    assert rejected(*map(torch.from_numpy, values)).tolist() == expected
    assert rejected(*map(tf.constant, values)).numpy().tolist() == expected
