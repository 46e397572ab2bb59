"""The decoder, one token at a time with a key/value cache. Mirrors `aslutils.model.decoder`."""

import math

import numpy as np
import tensorflow as tf

from aslutils.port.layers import LayerNorm, Linear, array
from aslutils.text import PAD, STEPS

HIDDEN = np.float32(-1e9)          # added to the score of a step that is still to come


class Attention(tf.Module):
    """Multi-head attention of one step x (1, D) to keys and values (H, N, D/H)."""

    def __init__(self, attention, name: str, *projections: str):
        super().__init__()
        self.heads = attention.heads
        self.head_dim = attention.query.in_features // self.heads
        scale = 1 / math.sqrt(self.head_dim)
        weight = np.concatenate([array(getattr(attention, part).weight) * (scale if part == "query" else 1)
                                 for part in projections])
        bias = np.concatenate([array(getattr(attention, part).bias) * (scale if part == "query" else 1)
                               for part in projections])
        self.projection = Linear(weight, bias, name=f"{name}.projection")         # the projections of one step, side by side
        self.output = Linear.of(attention.output, name=f"{name}.output")

    def look(self, query, key, value, hidden=None):
        """query (H, 1, D/H) at key and value (H, N, D/H); `hidden` (N,) is added to the scores. Returns (1, D)."""
        scores = tf.matmul(query, key, transpose_b=True)                          # (H, 1, N)
        weights = tf.nn.softmax(scores if hidden is None else scores + hidden)
        return self.output(tf.reshape(tf.matmul(weights, value), [1, self.heads * self.head_dim]))


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

    @property
    def cache_shape(self) -> tuple[int, int, int, int]:
        """Of what a layer keeps between steps: keys and values (2, H, S, D/H)."""
        return 2, self.self_attention.heads, STEPS, self.self_attention.head_dim

    def memory(self, encoded):
        """Keys and values (H, T, D/H) of the encoded frames (T, D), the same for every step."""
        split = [-1, self.cross_attention.heads, self.cross_attention.head_dim]
        return [tf.transpose(tf.reshape(linear(encoded), split), [1, 0, 2]) for linear in (self.key, self.value)]

    def __call__(self, x, memory, cache, now, hidden):
        """One step x (1, D). cache (2, H, S, D/H); now (S, 1): 1 at this step, else 0; hidden (S,) from `HIDDEN`.

        Returns x and the cache with this step's key and value.
        """
        attention = self.self_attention
        y = attention.projection(self.self_attention_norm(x))                     # (1, 3 D)
        y = tf.reshape(y, [3, attention.heads, 1, attention.head_dim])
        cache = cache + y[1:] * now
        x = x + attention.look(y[0], cache[0], cache[1], hidden)
        attention = self.cross_attention
        query = tf.reshape(attention.projection(self.cross_attention_norm(x)), [attention.heads, 1, attention.head_dim])
        x = x + attention.look(query, *memory)
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

    def start(self, encoded):
        """Each layer's keys and values of the encoded frames (T, D)."""
        return [layer.memory(encoded) for layer in self.layers]

    def caches(self):
        """Each layer's empty cache."""
        return [tf.zeros(layer.cache_shape) for layer in self.layers]

    def embed(self, token, count):
        """One token, int32 (), as (1, D); `count`: the non-PAD tokens so far, this one included. PAD takes row 0, all 0."""
        row = tf.where(tf.equal(token, PAD), 0, count)
        with tf.name_scope(self.path + "/"):
            return tf.gather(self.embedding, token[None]) + tf.gather(self.positions, row[None])

    def __call__(self, token, count, step, memory, caches):
        """Logits (1, V) after `token` at step 0..32, and the caches that hold it."""
        steps = tf.range(STEPS)
        now = tf.cast(tf.equal(steps, step), tf.float32)[:, None]
        hidden = tf.cast(steps > step, tf.float32) * HIDDEN
        x = self.embed(token, count)
        after = []
        for layer, frames, cache in zip(self.layers, memory, caches):
            x, cache = layer(x, frames, cache, now, hidden)
            after.append(cache)
        return self.head(self.norm(x)), after
