"""Linear, LayerNorm, batch normalisation, the frame mask; and how weights are taken from PyTorch: as numpy arrays, folded in
double precision.

Weights stay numpy arrays until a graph is traced. Held as eager TensorFlow constants they would be captured by loops
instead of stored in them, and nothing could be quantised.
"""

import numpy as np
import tensorflow as tf

HIDDEN = np.float32(-1e9)          # the score of what must not be attended to, or added to it


def array(tensor) -> np.ndarray:
    """A PyTorch tensor as float64."""
    return tensor.detach().cpu().double().numpy()


class Linear(tf.Module):
    """x (N, in) -> x @ weight.T + bias (N, out).

    weight: float64 (out, in); bias: float64 (out,) or None. With scale and shift (in,), it reads x * scale + shift instead of x:
    the fold W (x * scale + shift) + b = (W * scale) x + (W shift + b). The name is kept in the TFLite file, where it decides
    the precision.
    """

    def __init__(self, weight, bias=None, *, scale=None, shift=None, name: str):
        super().__init__()
        if shift is not None:
            bias = weight @ shift + (0.0 if bias is None else bias)
        if scale is not None:
            weight = weight * scale
        self.path = name
        self.weight = weight.astype(np.float32)
        self.bias = None if bias is None else bias.astype(np.float32)

    @classmethod
    def of(cls, layer, *, scale=None, shift=None, name: str):
        """A PyTorch Linear layer's weights."""
        return cls(array(layer.weight), None if layer.bias is None else array(layer.bias), scale=scale, shift=shift, name=name)

    def __call__(self, x):
        with tf.name_scope(self.path + "/"):
            x = tf.matmul(x, self.weight, transpose_b=True)
            return x if self.bias is None else x + self.bias


class LayerNorm(tf.Module):
    """Normalise each row of x (N, D), then scale and shift it, as the PyTorch LayerNorm `norm` does."""

    def __init__(self, norm):
        super().__init__()
        self.scale, self.shift = array(norm.weight).astype(np.float32), array(norm.bias).astype(np.float32)
        self.eps = np.float32(norm.eps)

    def __call__(self, x):
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + self.eps) * self.scale + self.shift


class FrameMask:
    """Which frames of tensors (T, ...) are a sequence's: all of them, or, in tensors of a fixed T, those before its end.

    T: int or int32 (); length: int32 (), how many frames are the sequence's; None: all.
    """

    def __init__(self, T, length=None):
        self.T, self.length = T, length
        self.real = None if length is None else tf.range(T) < length                             # (T,)

    def halved(self) -> "FrameMask":
        """The mask of every second frame, from the first on."""
        return FrameMask((self.T + 1) // 2, None if self.length is None else (self.length + 1) // 2)

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
