"""Linear and LayerNorm, and how weights are taken from PyTorch: as numpy arrays, folded in double precision.

Weights stay numpy arrays until a graph is traced. Held as eager TensorFlow constants they would be captured by loops
instead of stored in them, and nothing could be quantised.
"""

import numpy as np
import tensorflow as tf


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
