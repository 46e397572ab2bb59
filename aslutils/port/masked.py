"""Which frames are real, and batch normalisation at inference. Mirrors `aslutils.model.masked`."""

import numpy as np
import tensorflow as tf

from aslutils.port.layers import array

HIDDEN = np.float32(-1e9)          # the score of what must not be attended to, or added to it


class FrameMask:
    """Which frames of tensors (T, ...) are a sequence's: all of them, or, in tensors of a fixed T, those before its end.

    T: int or int32 (); length: int32 (), how many frames are the sequence's; None: all.
    """

    def __init__(self, T, length=None):
        self.T = T
        self.real = None if length is None else tf.range(T) < length                             # (T,)

    def zeroed(self, x):
        """x (T, D) with zeros behind the sequence."""
        return x if self.real is None else tf.where(self.real[:, None], x, 0.0)

    def replaced(self, x, row):
        """x (T, N) with `row` (N,) behind the sequence."""
        return x if self.real is None else tf.where(self.real[:, None], x, row)

    def hidden(self, scores):
        """Attention scores (..., T), those of frames behind the sequence so low that they get no weight."""
        return scores if self.real is None else tf.where(self.real, scores, HIDDEN)


def folded(norm) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift (C,), float64, that `MaskedBatchNorm` applies in evaluation."""
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    return scale, array(norm.bias) - array(norm.running_mean) * scale
