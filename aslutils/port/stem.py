"""The stem: from each frame's landmarks to a vector of the model's width. Mirrors `aslutils.model.stem`."""

import numpy as np
import tensorflow as tf

from aslutils.port.layers import Linear, array, folded
from aslutils.task.landmarks import PARTS


class Stem(tf.Module):
    """Conv2d over (frames, landmarks) and one Linear a frame: (T, n, 3) -> (T, dim)."""

    def __init__(self, stem, name: str):
        super().__init__()
        self.path = f"{name}.conv"
        scale, shift = folded(stem.conv_norm)
        kernel = array(stem.conv.weight) * scale[:, None, None, None]             # (channels, 3, frames 3, landmarks 3)
        self.kernel = kernel.transpose(2, 3, 1, 0).astype(np.float32)
        self.shift = shift.astype(np.float32)
        scale, shift = folded(stem.norm)
        self.linear = Linear(array(stem.linear.weight) * scale[:, None], shift, name=f"{name}.linear")

    def __call__(self, frames):
        with tf.name_scope(self.path + "/"):
            x = tf.nn.conv2d(frames[None], self.kernel, strides=[1, 1, 2, 1], padding=[[0, 0], [1, 1], [1, 1], [0, 0]])
        x = tf.nn.silu(x + self.shift)                                            # (1, T, ceil(n/2), channels)
        return self.linear(tf.reshape(x, [-1, x.shape[2] * x.shape[3]]))


def standardise_part(part):
    """A part's landmarks (T, n, 3) minus their mean over their population deviation, per frame and coordinate.

    Landmarks that are not seen (x + y exactly 0) and coordinates in which all landmarks are equal come out exactly 0.
    """
    centred = part - tf.reduce_mean(part, axis=1, keepdims=True)
    deviation = tf.sqrt(tf.reduce_mean(centred * centred, axis=1, keepdims=True))
    varied = (tf.reduce_max(part, axis=1, keepdims=True) > tf.reduce_min(part, axis=1, keepdims=True)) & (deviation > 0)
    scale = tf.where(varied, 1.0 / tf.where(varied, deviation, 1.0), 0.0)         # (T, 1, 3)
    seen = tf.cast(part[:, :, :1] + part[:, :, 1:2] != 0, tf.float32)             # (T, n, 1)
    return centred * scale * seen


def select(frames, positions):
    """The landmarks at `positions` of frames (T, 130, 3), as slices: positions come in a few runs."""
    runs = np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)
    return tf.concat([frames[:, run[0]:run[-1] + 1] for run in runs], axis=1)


class LandmarkStem(tf.Module):
    """The stem over all landmarks, plus the part stems' concatenation: (T, 130, 3) -> (T, D)."""

    def __init__(self, stem, name: str = "stem"):
        super().__init__()
        self.all = Stem(stem.all, f"{name}.all")
        self.parts = {part: Stem(layer, f"{name}.parts.{part}") for part, layer in stem.parts.items()}

    def part(self, part: str, frames):
        """One part stem's output (T, D/4)."""
        return self.parts[part](standardise_part(select(frames, PARTS[part])))

    def __call__(self, frames):
        x = self.all(frames)
        if self.parts:
            x = x + tf.concat([self.part(part, frames) for part in self.parts], axis=-1)
        return x
