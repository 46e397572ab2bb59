"""Which frames are real, and batch normalisation at inference. Mirrors `aslutils.model.masked`."""

import numpy as np
import tensorflow as tf

from aslutils.port.layers import array

HIDDEN = np.float32(-1e9)          # added to the score of what must not be attended to


class FrameMask:
    """Which frames of tensors (T, ...) are a sequence's: all of them, or, in tensors of a fixed T, those before its end.

    T: int or int32 (); length: int32 (), how many frames are the sequence's; None: all.
    """

    def __init__(self, T, length=None):
        self.T = T
        self.real = None if length is None else tf.cast(tf.range(T) < length, tf.float32)       # (T,)

    def zeroed(self, x):
        """x (T, D) with zeros behind the sequence."""
        return x if self.real is None else x * self.real[:, None]

    def hidden(self, scores):
        """Attention scores (..., T), those of frames behind the sequence so low that they get no weight."""
        return scores if self.real is None else scores + (1 - self.real) * HIDDEN


def folded(norm) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift (C,), float64, that `MaskedBatchNorm` applies in evaluation."""
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    return scale, array(norm.bias) - array(norm.running_mean) * scale
