"""The encoder: Squeezeformer blocks for one sequence. Mirrors `aslutils.model.squeezeformer`.

Every unit takes the scale and bias of the residual around it and folds them into its first product.
"""

import math

import numpy as np
import tensorflow as tf

from aslutils.port.layers import LayerNorm, Linear, array, folded
from aslutils.task.preprocess import MAX_FRAMES

LARGEST_KERNEL = 25                # taps that XNNPACK's depthwise convolution takes at once; longer ones are split


class RotaryAttention(tf.Module):
    """Multi-head self-attention with rotary positions: (T, D) -> (T, D).

    One product computes query, key and value. Its rows are ordered so that all first halves of the heads' queries and keys
    are adjacent, and all second halves: rotating is then two products with the table and a sum, for all heads at once.
    """

    def __init__(self, attention, scale, shift, name: str):
        super().__init__()
        dim, self.heads = attention.query.in_features, attention.heads
        head_dim = dim // self.heads
        halves = np.arange(dim).reshape(self.heads, 2, head_dim // 2).transpose(1, 0, 2).reshape(2, -1)   # (2, D/2)
        query = array(attention.query.weight) / math.sqrt(head_dim)
        key = array(attention.key.weight)
        weight = np.concatenate([query[halves[0]], key[halves[0]], query[halves[1]], key[halves[1]],
                                 array(attention.value.weight)])                  # (3 D, D)
        self.projection = Linear(weight, scale=scale, shift=shift, name=f"{name}.projection")
        self.output = Linear.of(attention.output, name=f"{name}.output")
        self.cos, self.sin = (array(table)[:, :head_dim // 2].astype(np.float32)          # (384, D / 2H), of either half
                              for table in (attention.cos, attention.sin))

    def __call__(self, x, mask):
        D = x.shape[1]
        x = self.projection(x)
        first, second, value = x[:, :D], x[:, D:2 * D], x[:, 2 * D:]
        cos, sin = (tf.tile(tf.constant(table)[:mask.T], [1, 2 * self.heads]) for table in (self.cos, self.sin))   # (T, D)
        split = [-1, 2 * self.heads, D // self.heads // 2]
        x = tf.concat([tf.reshape(first * cos - second * sin, split), tf.reshape(second * cos + first * sin, split)], axis=-1)
        x = tf.transpose(x, [1, 0, 2])                                            # (2 H, T, D/H)
        value = tf.transpose(tf.reshape(value, [-1, self.heads, D // self.heads]), [1, 0, 2])
        weights = tf.nn.softmax(mask.hidden(tf.matmul(x[:self.heads], x[self.heads:], transpose_b=True)))   # (H, T, T)
        x = tf.transpose(tf.matmul(weights, value), [1, 0, 2])
        return self.output(tf.reshape(x, [-1, D]))


class RelativeAttention(tf.Module):
    """Transformer-XL attention (Dai et al. 2019): (T, D) -> (T, D). The projected encodings of all distances are constants."""

    def __init__(self, attention, scale, shift, name: str):
        super().__init__()
        self.heads, self.head_dim = attention.heads, attention.head_dim
        self.query, self.key, self.value = (
            Linear.of(getattr(attention, part), scale=scale, shift=shift, name=f"{name}.{part}")
            for part in ("query", "key", "value"))
        self.output = Linear.of(attention.output, name=f"{name}.output")
        encoding = array(attention.encoding(MAX_FRAMES, attention.content_bias.device))
        position = encoding @ array(attention.position.weight).T                  # (767, D), the largest distance first
        split = position.reshape(-1, self.heads, self.head_dim).transpose(1, 0, 2)
        self.position = split.astype(np.float32)                                  # (H, 767, D/H)
        self.path = f"{name}.position"
        self.content_bias = array(attention.content_bias)[:, None].astype(np.float32)     # (H, 1, D/H)
        self.position_bias = array(attention.position_bias)[:, None].astype(np.float32)

    def split(self, x):
        """(T, D) -> (H, T, D/H)."""
        return tf.transpose(tf.reshape(x, [-1, self.heads, self.head_dim]), [1, 0, 2])

    def __call__(self, x, mask):
        D, T = x.shape[1], mask.T
        query, key, value = (self.split(linear(x)) for linear in (self.query, self.key, self.value))
        with tf.name_scope(self.path + "/"):
            position = tf.constant(self.position)[:, MAX_FRAMES - T:MAX_FRAMES - 1 + T]   # (H, 2T-1, D/H)
        distance = tf.matmul(query + self.position_bias, position, transpose_b=True)      # (H, T, 2T-1)
        scores = tf.matmul(query + self.content_bias, key, transpose_b=True) + self.shifted(distance, T)
        weights = tf.nn.softmax(mask.hidden(scores * np.float32(1 / math.sqrt(self.head_dim))))
        return self.output(tf.reshape(tf.transpose(tf.matmul(weights, value), [1, 0, 2]), [-1, D]))

    def shifted(self, distance, T):
        """Row i of (H, T, 2T-1) shifted so that column j holds the distance i - j: (H, T, T).

        With rows one longer, a flat step of 2T-1 instead of 2T moves on a row and back a column.
        """
        flat = tf.reshape(tf.pad(distance, [[0, 0], [0, 0], [0, 1]]), [self.heads, -1])   # (H, 2 T T)
        return tf.reshape(flat[:, T - 1:T * 2 * T - 1], [self.heads, T, 2 * T - 1])[:, :, :T]


class FeedForward(tf.Module):
    """Linear, SiLU, Linear: (T, D) -> (T, D)."""

    def __init__(self, feed_forward, scale, shift, name: str):
        super().__init__()
        self.linear1 = Linear.of(feed_forward.linear1, scale=scale, shift=shift, name=f"{name}.linear1")
        self.linear2 = Linear.of(feed_forward.linear2, name=f"{name}.linear2")

    def __call__(self, x, mask):
        return self.linear2(tf.nn.silu(self.linear1(x)))


class Depthwise(tf.Module):
    """Convolve each channel of x (T, D) over time with its own kernel (D, taps), zeros outside, and add a shift (D,).

    XNNPACK is fast up to 25 taps and far slower beyond, so a longer kernel is the sum of shifted short ones.
    """

    def __init__(self, kernel, shift, name: str):
        super().__init__()
        self.path, self.taps = name, kernel.shape[1]
        starts = np.linspace(0, self.taps, math.ceil(self.taps / LARGEST_KERNEL) + 1).astype(int)
        self.pieces = [(start, kernel.T[start:end, None, :, None].astype(np.float32))     # (taps, 1, D, 1)
                       for start, end in zip(starts, starts[1:])]
        self.shift = np.asarray(shift, np.float32)

    def __call__(self, x):
        D = x.shape[1]
        x = tf.pad(x, [[self.taps // 2, self.taps // 2], [0, 0]])[None, :, None]          # (1, T + taps - 1, 1, D)
        total = self.shift
        for start, kernel in self.pieces:
            behind = self.taps - start - len(kernel)                              # taps after this piece's
            part = x[:, start:-behind] if behind else x[:, start:]                # (1, T + len(kernel) - 1, 1, D)
            with tf.name_scope(self.path + "/"):
                total = total + tf.nn.depthwise_conv2d(part, kernel, strides=[1, 1, 1, 1], padding="VALID")
        return tf.reshape(total, [-1, D])


class Convolution(tf.Module):
    """Pointwise, GLU, depthwise over time with its BatchNorm folded in, SiLU, pointwise: (T, D) -> (T, D)."""

    def __init__(self, convolution, scale, shift, name: str):
        super().__init__()
        self.pointwise1 = Linear.of(convolution.pointwise1, scale=scale, shift=shift, name=f"{name}.pointwise1")
        norm_scale, norm_shift = folded(convolution.norm)
        self.depthwise = Depthwise(array(convolution.depthwise.weight)[:, 0] * norm_scale[:, None], norm_shift,
                                   f"{name}.depthwise")
        self.pointwise2 = Linear.of(convolution.pointwise2, name=f"{name}.pointwise2")

    def __call__(self, x, mask):
        D = x.shape[1]
        x = self.pointwise1(x)
        x = x[:, :D] * tf.sigmoid(x[:, D:])
        return self.pointwise2(tf.nn.silu(self.depthwise(mask.zeroed(x))))


UNITS = {"RotaryAttention": RotaryAttention, "RelativeAttention": RelativeAttention,
         "FeedForward": FeedForward, "Convolution": Convolution}


class Residual(tf.Module):
    """A post-norm residual unit: LayerNorm(x + unit(x * scale + bias))."""

    def __init__(self, residual, name: str):
        super().__init__()
        unit = UNITS[type(residual.unit).__name__]
        self.unit = unit(residual.unit, array(residual.scale), array(residual.bias), name)
        self.norm = LayerNorm(residual.norm)

    def __call__(self, x, mask):
        return self.norm(x + self.unit(x, mask))


class Block(tf.Module):
    """One Squeezeformer block: attention, feed-forward, convolution, feed-forward."""

    def __init__(self, block, name: str):
        super().__init__()
        self.attention = Residual(block.attention, f"{name}.attention")
        self.feed_forward1 = Residual(block.feed_forward1, f"{name}.feed_forward1")
        self.convolution = Residual(block.convolution, f"{name}.convolution")
        self.feed_forward2 = Residual(block.feed_forward2, f"{name}.feed_forward2")

    def __call__(self, x, mask):
        for unit in (self.attention, self.feed_forward1, self.convolution, self.feed_forward2):
            x = unit(x, mask)
        return x


class Squeezeformer(tf.Module):
    """The stack of blocks: (T, D) -> (T, D)."""

    def __init__(self, encoder, name: str = "encoder"):
        super().__init__()
        self.blocks = [Block(block, f"{name}.blocks.{index}") for index, block in enumerate(encoder.blocks)]

    def __call__(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return x
