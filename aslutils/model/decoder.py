"""The decoder: two pre-norm transformer layers that spell the phrase from the encoder's frames.

The same `forward` serves teacher forcing (all steps at once) and decoding (one step with a `Cache`).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from aslutils.model.config import ModelConfig
from aslutils.model.layers import Linear, attend
from aslutils.task.text import PAD, STEPS, VOCABULARY

POSITION_ROWS = 1026               # rows of the published table; 59 (PAD's) is all 0, the first token takes 60


def position_table(dim: int) -> torch.Tensor:
    """Sinusoidal positions (1026, dim): halves [sin | cos], spacing log(10000) / (dim / 2 - 1), row PAD all 0."""
    half = dim // 2
    frequency = torch.exp(torch.arange(half).float() * -(math.log(10000.0) / (half - 1)))
    angles = torch.outer(torch.arange(POSITION_ROWS).float(), frequency)
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    table[PAD] = 0
    return table


class Attention(nn.Module):
    """Multi-head attention with biases; dropout on the weights."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (Linear(dim, dim) for _ in range(4))

    def split(self, x):
        """(B, S, D) -> (B, H, S, D/H)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, key, value, mask=None, causal=False):
        """x (B, S, D) attends to key and value (B, H, N, D/H); mask float, added to the scores."""
        x = attend(self.split(self.query(x)), key, value, mask, causal, self.dropout if self.training else 0.0)
        return self.output(x.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the frames, feed-forward; each pre-norm with a residual."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        dim = config.dim
        self.self_attention = Attention(dim, config.decoder_heads, config.decoder_attention_dropout)
        self.self_attention_norm = nn.LayerNorm(dim)
        self.cross_attention = Attention(dim, config.decoder_heads, config.decoder_attention_dropout)
        self.cross_attention_norm = nn.LayerNorm(dim)
        self.linear1 = Linear(dim, config.decoder_ffn)
        self.linear2 = Linear(config.decoder_ffn, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout)

    def memory(self, encoded):
        """Keys and values (B, H, T, D/H) of the encoded frames, the same for every step."""
        attention = self.cross_attention
        return attention.split(attention.key(encoded)), attention.split(attention.value(encoded))

    def forward(self, x, memory, mask, past):
        """x (B, S, D), memory from `memory()`, mask float (B, 1, 1, T), 0 or -inf, past: this layer's earlier steps."""
        attention, y = self.self_attention, self.self_attention_norm(x)
        first = past.steps == 0
        key, value = past.extend(attention.key(y), attention.value(y))          # (B, N, D)
        x = x + self.dropout(attention(y, attention.split(key), attention.split(value), causal=first))
        x = x + self.dropout(self.cross_attention(self.cross_attention_norm(x), *memory, mask=mask))
        y = self.dropout(F.relu(self.linear1(self.norm(x))))
        return x + self.dropout(self.linear2(y))


class Past:
    """One layer's keys and values of the steps so far, in buffers for all decoding steps."""

    def __init__(self):
        self.steps = 0
        self.buffers = None

    def extend(self, key, value):
        """Keys and values (B, N, D) of all N steps so far, the last of which are the given ones (B, S, D)."""
        before, self.steps = self.steps, self.steps + key.shape[1]
        if before == 0:
            self.buffers = key, value                                           # teacher forcing: nothing is copied
            return self.buffers
        if self.buffers[0].shape[1] < self.steps:
            self.buffers = tuple(F.pad(x, (0, 0, 0, STEPS)) for x in self.buffers)
        for buffer, new in zip(self.buffers, (key, value), strict=True):
            buffer[:, before:self.steps] = new
        return tuple(buffer[:, :self.steps] for buffer in self.buffers)

    def reorder(self, rows):
        """Continue with the sequences `rows`, int (B',)."""
        self.buffers = tuple(buffer[rows] for buffer in self.buffers)


class Cache:
    """What a decoder keeps between steps: each layer's keys and values, those of the frames, the count of tokens so far."""

    def __init__(self, memory, mask):
        self.memory, self.mask = memory, mask
        self.past = [Past() for _ in memory]
        self.count = None

    def reorder(self, rows):
        """Continue with the hypotheses `rows`, int (W,), of one sequence: beam search does so after each step."""
        self.count = self.count[rows]
        for past in self.past:
            past.reorder(rows)


class Decoder(nn.Module):
    """Token embedding and positions, the layers, a final LayerNorm and the projection to the vocabulary."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, config.dim, padding_idx=PAD)
        self.register_buffer("positions", position_table(config.dim), persistent=False)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(_initialise)
        self.head = Linear(config.dim, VOCABULARY, bias=False)

    def start(self, encoded, mask) -> Cache:
        """A cache for decoding the encoded frames (B, T, D); mask bool (B, T)."""
        unseen = torch.zeros(mask.shape, dtype=encoded.dtype, device=mask.device).masked_fill(~mask, -torch.inf)
        return Cache([layer.memory(encoded) for layer in self.layers], unseen[:, None, None])

    def embed(self, tokens, count=None):
        """Embedded tokens (B, S) -> (B, S, D) and the count of non-PAD tokens up to the last; `count`: that of earlier tokens."""
        counted = (tokens != PAD).long()
        total = counted.cumsum(dim=1) + (0 if count is None else count[:, None])
        rows = PAD + total * counted                                            # PAD tokens take row PAD, which is 0
        x = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim) + self.positions[rows]
        return self.dropout(x), total[:, -1]

    def forward(self, tokens, cache: Cache):
        """Logits (B, S, V) after each of `tokens` (B, S); an empty cache takes any S, a used one continues with S = 1."""
        x, cache.count = self.embed(tokens, cache.count)
        for index, layer in enumerate(self.layers):
            x = layer(x, cache.memory[index], cache.mask, cache.past[index])
        return self.head(self.norm(x))


def _initialise(module):
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        nn.init.zeros_(module.weight[module.padding_idx])
