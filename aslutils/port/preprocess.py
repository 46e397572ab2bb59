"""Preprocessing inside the graph: from the columns that the competition passes to what the network sees.

Mirrors `aslutils.task.preprocess`, whose constants it uses.
"""

import numpy as np
import tensorflow as tf

from aslutils.task.landmarks import COORDINATES, HANDS, LANDMARKS
from aslutils.task.preprocess import CONSTANT, MAX_FRAMES


def count_frames(inputs):
    """How many of the rows (N, 390) are the sequence's, int32 (): all up to the last in which anything was seen."""
    seen = tf.reduce_any(tf.abs(inputs) <= np.finfo(np.float32).max, axis=1)
    return tf.reduce_max(tf.where(seen, tf.range(1, inputs.shape[0] + 1), 0))


def fitted_length(T):
    """How many frames the network gets of T: at most 384, at least one."""
    return tf.clip_by_value(T, 1, MAX_FRAMES)


def fit_length(frames, T, count=None):
    """At most 384 and at least one of the first T of the frames (more than T, ...), by the nearest index.

    count: how many to return, then with the last of `frames` behind them; None: as many as that.
    """
    length = fitted_length(T)
    ratio = tf.cast(T, tf.float32) / tf.cast(length, tf.float32)
    numbers = tf.range(length if count is None else count)
    indices = tf.maximum(tf.minimum(tf.cast(tf.floor(tf.cast(numbers, tf.float32) * ratio), tf.int32), T - 1), 0)
    if count is not None:
        indices = tf.where(numbers < length, indices, frames.shape[0] - 1)
    return tf.gather(frames, indices)


def standardise(inputs, T=None):
    """Columns (T, 390) with NaN -> frames (n, 130, 3) without, n in 1..384, and in how many of the T a hand is seen, ().

    T: where the columns are of a fixed shape (N, 390), how many of their rows are the sequence's, int32 (); then n is N, at
    most 384, and frames behind the sequence are zeros.

    Each coordinate is centred and divided by the population deviation of all its values seen in the whole sequence.
    What was not seen (NaN, infinite) becomes 0, and so does a constant coordinate. An empty sequence gives one frame of zeros.
    """
    count = None if T is None else min(inputs.shape[0], MAX_FRAMES)
    T = tf.shape(inputs)[0] if T is None else T
    # One row more, of NaN: after a call with tensors that have no rows, XNNPACK may compute NaN in the next call.
    some = tf.pad(inputs, [[0, 1], [0, 0]], constant_values=np.float32(np.nan))
    values = tf.reshape(some, [-1, len(COORDINATES), len(LANDMARKS)])             # (T + 1, 3, 130)
    finite = tf.abs(values) <= np.finfo(np.float32).max                           # not for NaN either
    values, seen = tf.where(finite, values, 0.0), tf.cast(finite, tf.float32)
    number = tf.maximum(_total(seen), 1.0)                                        # (1, 3, 1)
    mean = _total(values) / number
    centred = (values - mean) * seen
    deviation = tf.sqrt(_total(centred * centred) / number)
    varied = deviation > CONSTANT * tf.abs(mean)
    frames = centred * tf.where(varied, 1.0 / tf.where(varied, deviation, 1.0), 0.0)
    hands = tf.reduce_max(tf.gather(seen[:, 0], HANDS, axis=1), axis=1)           # (T + 1,), 1 where one is
    return tf.transpose(fit_length(frames, T, count), [0, 2, 1]), tf.reduce_sum(hands)


def _total(values):
    """The sum over frames and landmarks, landmarks first: short sums lose less in single precision. (1, 3, 1)"""
    return tf.reduce_sum(tf.reduce_sum(values, axis=2, keepdims=True), axis=0, keepdims=True)
