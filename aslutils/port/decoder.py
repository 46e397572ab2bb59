"""The decoder, one step at a time with a key/value cache. Mirrors `aslutils.model.decoder`.

It spells W hypotheses at once, which share the frames: one when greedy, the beams in beam search.
"""

import math

import numpy as np
import tensorflow as tf

from aslutils.port.layers import HIDDEN, LayerNorm, Linear, array
from aslutils.task.text import PAD, STEPS


class Attention(tf.Module):
    """Multi-head attention of one step x (W, D), one row per hypothesis; `projections`: those of x, side by side."""

    def __init__(self, attention, name: str, *projections: str):
        super().__init__()
        self.heads = attention.heads
        self.head_dim = attention.query.in_features // self.heads
        scale = [1 / math.sqrt(self.head_dim) if part == "query" else 1.0 for part in projections]
        layers = [getattr(attention, part) for part in projections]
        weight = np.concatenate([array(layer.weight) * factor for layer, factor in zip(layers, scale)])
        bias = np.concatenate([array(layer.bias) * factor for layer, factor in zip(layers, scale)])
        self.projection = Linear(weight, bias, name=f"{name}.projection")
        self.output = Linear.of(attention.output, name=f"{name}.output")

    def of_itself(self, x, cache, now, hidden):
        """Attend to the steps so far; the cache's keys and values (W, H, S, D/H) take this step's. Returns (W, D), cache."""
        query, *step = (tf.reshape(part, [-1, self.heads, 1, self.head_dim]) for part in tf.split(self.projection(x), 3, axis=1))
        key, value = cache = [steps + new * now for steps, new in zip(cache, step)]
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + hidden)                  # (W, H, 1, S)
        return self.output(tf.reshape(tf.matmul(weights, value), [-1, self.heads * self.head_dim])), cache

    def of_frames(self, x, key, value, mask):
        """Attend to the frames' keys and values (H, T, D/H), where the mask lets it. Returns (W, D)."""
        query = tf.transpose(tf.reshape(self.projection(x), [-1, self.heads, self.head_dim]), [1, 0, 2])
        weights = tf.nn.softmax(mask.hidden(tf.matmul(query, key, transpose_b=True)))              # (H, W, T)
        x = tf.transpose(tf.matmul(weights, value), [1, 0, 2])
        return self.output(tf.reshape(x, [-1, self.heads * self.head_dim]))


class DecoderLayer(tf.Module):
    """Causal self-attention, attention to the frames, feed-forward; each pre-norm with a residual."""

    def __init__(self, layer, name: str):
        super().__init__()
        self.self_attention = Attention(layer.self_attention, f"{name}.self_attention", "query", "key", "value")
        self.self_attention_norm = LayerNorm(layer.self_attention_norm)
        self.cross_attention = Attention(layer.cross_attention, f"{name}.cross_attention", "query")
        self.cross_attention_norm = LayerNorm(layer.cross_attention_norm)
        self.key = Linear.of(layer.cross_attention.key, name=f"{name}.cross_attention.key")
        self.value = Linear.of(layer.cross_attention.value, name=f"{name}.cross_attention.value")
        self.linear1 = Linear.of(layer.linear1, name=f"{name}.linear1")
        self.linear2 = Linear.of(layer.linear2, name=f"{name}.linear2")
        self.norm = LayerNorm(layer.norm)

    def cache(self, hypotheses: int):
        """Keys and values (W, H, S, D/H) of no step yet."""
        shape = hypotheses, self.self_attention.heads, STEPS, self.self_attention.head_dim
        return [tf.zeros(shape), tf.zeros(shape)]

    def memory(self, encoded, mask):
        """Keys and values (H, T, D/H) of the encoded frames (T, D), the same for every step, and the frames' mask."""
        split = [-1, self.cross_attention.heads, self.cross_attention.head_dim]
        return [*(tf.transpose(tf.reshape(linear(encoded), split), [1, 0, 2]) for linear in (self.key, self.value)), mask]

    def __call__(self, x, memory, cache, now, hidden):
        """One step x (W, D), from `memory` and `cache`. now (S, 1): 1 at this step, else 0; hidden (S,): added to scores.

        Returns x and the cache with this step's keys and values.
        """
        y, cache = self.self_attention.of_itself(self.self_attention_norm(x), cache, now, hidden)
        x = x + y
        x = x + self.cross_attention.of_frames(self.cross_attention_norm(x), *memory)
        return x + self.linear2(tf.nn.relu(self.linear1(self.norm(x)))), cache


class Decoder(tf.Module):
    """Token embedding and positions, the layers, a final LayerNorm and the projection to the vocabulary."""

    def __init__(self, decoder, name: str = "decoder"):
        super().__init__()
        self.path, dim = f"{name}.embedding", decoder.embedding.embedding_dim
        self.embedding = (array(decoder.embedding.weight) * math.sqrt(dim)).astype(np.float32)     # (V, D)
        self.positions = array(decoder.positions)[PAD:PAD + STEPS + 1].astype(np.float32)          # row n: the n-th token
        self.layers = [DecoderLayer(layer, f"{name}.layers.{index}") for index, layer in enumerate(decoder.layers)]
        self.norm = LayerNorm(decoder.norm)
        self.head = Linear.of(decoder.head, name=f"{name}.head")

    def start(self, encoded, mask):
        """Each layer's keys and values of the encoded frames (T, D)."""
        return [layer.memory(encoded, mask) for layer in self.layers]

    def caches(self, hypotheses: int):
        """Each layer's empty cache for W hypotheses."""
        return [layer.cache(hypotheses) for layer in self.layers]

    def embed(self, tokens, counts):
        """Tokens, int32 (W,), as (W, D); counts: each one's non-PAD tokens so far, this one included. PAD takes row 0, all 0."""
        rows = tf.where(tf.equal(tokens, PAD), 0, counts)
        with tf.name_scope(self.path + "/"):
            return tf.gather(self.embedding, tokens) + tf.gather(self.positions, rows)

    def __call__(self, tokens, counts, step, memory, caches):
        """Logits (W, V) after `tokens` at step 0..32, and the caches that hold it."""
        steps = tf.range(STEPS)
        now = tf.cast(tf.equal(steps, step), tf.float32)[:, None]
        hidden = tf.cast(steps > step, tf.float32) * HIDDEN
        x = self.embed(tokens, counts)
        after = []
        for layer, frames, cache in zip(self.layers, memory, caches):
            x, cache = layer(x, frames, cache, now, hidden)
            after.append(cache)
        return self.head(self.norm(x)), after
