"""One rule says when a sequence counts as unreadable, whoever asks."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st

from aslutils.task.rejection import UNKNOWN, Verdict, rejected, verdict


@pytest.mark.parametrize("length, hand_frames, confidence, expected", [
    (15, 1, 0.15, Verdict.READ), (15, 1, UNKNOWN, Verdict.READ), (300, 300, 1.0, Verdict.READ),
    (14, 9, 0.9, Verdict.TOO_SHORT), (15, 0, 0.9, Verdict.NO_HANDS), (0, 0, UNKNOWN, Verdict.NO_HANDS),
    (15, 1, 0.1499, Verdict.UNSURE), (14, 1, 0.0, Verdict.TOO_SHORT),
])
def test_what_becomes_of_a_sequence(length, hand_frames, confidence, expected):
    assert verdict(length, hand_frames, confidence) is expected


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.one_of(st.just(UNKNOWN), st.floats(0, 1, width=32))),
                min_size=1, max_size=8))
def test_arrays_tables_and_tensors_of_every_framework_are_judged_alike(sequences):
    expected = [verdict(*sequence) is not Verdict.READ for sequence in sequences]
    lengths, hands = (np.array(values, np.int32) for values in list(zip(*sequences))[:2])
    confidences = np.array([sequence[2] for sequence in sequences], np.float32)
    assert rejected(lengths, hands, confidences).tolist() == expected
    assert rejected(*map(pd.Series, (lengths, hands, confidences))).tolist() == expected
    assert rejected(*map(torch.from_numpy, (lengths, hands, confidences))).tolist() == expected
    assert rejected(*map(tf.constant, (lengths, hands, confidences))).numpy().tolist() == expected
