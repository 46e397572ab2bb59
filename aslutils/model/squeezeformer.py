"""The encoder: Squeezeformer blocks without time reduction (Kim et al. 2022), rotary or relative attention."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from aslutils.model.config import ModelConfig
from aslutils.model.masked import MaskedBatchNorm
from aslutils.preprocess import MAX_FRAMES


def rotary_tables(frames: int, head_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin (frames, head_dim) of rotary positions in the rotate-half form, base 10000 (Su et al. 2021)."""
    frequencies = 1.0 / 10000 ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(frames).float(), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotate x (B, H, T, head dim) by its frames' angles."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary positions, no bias, no dropout (round 2)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.dim, config.dim, bias=False)
        self.key = nn.Linear(config.dim, config.dim, bias=False)
        self.value = nn.Linear(config.dim, config.dim, bias=False)
        self.output = nn.Linear(config.dim, config.dim, bias=False)
        cos, sin = rotary_tables(MAX_FRAMES, config.dim // config.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, x, mask):
        B, T, D = x.shape
        split = (B, T, self.heads, D // self.heads)
        query, key, value = (linear(x).view(split).transpose(1, 2)              # (B, H, T, D/H)
                             for linear in (self.query, self.key, self.value))
        cos, sin = self.cos[:T].to(x.dtype), self.sin[:T].to(x.dtype)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        x = F.scaled_dot_product_attention(query, key, value.to(query.dtype), attn_mask=mask[:, None, None])
        return self.output(x.transpose(1, 2).reshape(B, T, D))


class RelativeAttention(nn.Module):
    """Transformer-XL attention (Dai et al. 2019) with the encoding of the signed distance i - j (round 1)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.head_dim = config.heads, config.dim // config.heads
        self.query = nn.Linear(config.dim, config.dim)
        self.key = nn.Linear(config.dim, config.dim)
        self.value = nn.Linear(config.dim, config.dim)
        self.position = nn.Linear(config.dim, config.dim, bias=False)
        self.content_bias = nn.Parameter(torch.empty(self.heads, self.head_dim))
        self.position_bias = nn.Parameter(torch.empty(self.heads, self.head_dim))
        self.output = nn.Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.content_bias)
        nn.init.xavier_uniform_(self.position_bias)

    def encoding(self, frames: int, device) -> torch.Tensor:
        """(2 * frames - 1, D): row r encodes the distance frames - 1 - r, sin in even and cos in odd channels."""
        dim = self.heads * self.head_dim
        distance = torch.arange(frames - 1, -frames, -1, device=device).float()
        frequency = torch.exp(torch.arange(0, dim, 2, device=device).float() * (-math.log(10000.0) / dim))
        angles = torch.outer(distance, frequency)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

    def scores(self, query, key):
        """(B, H, T, T) scores of query and key (B, T, H, D/H), before masking."""
        T = query.shape[1]
        position = self.position(self.encoding(T, query.device)).view(-1, self.heads, self.head_dim)
        content = torch.einsum("bihd,bjhd->bhij", query + self.content_bias, key)
        distance = torch.einsum("bihd,rhd->bhir", query + self.position_bias, position)   # (B, H, T, 2T-1)
        row = torch.arange(T, device=query.device)
        wanted = (T - 1) - (row[:, None] - row[None, :])                        # row of the distance i - j
        distance = distance.gather(-1, wanted.expand(*distance.shape[:2], T, T))
        return (content + distance) / math.sqrt(self.head_dim)

    def forward(self, x, mask):
        B, T, D = x.shape
        split = (B, T, self.heads, self.head_dim)
        query, key, value = (linear(x).view(split) for linear in (self.query, self.key, self.value))
        scores = self.scores(query, key).float().masked_fill(~mask[:, None, None], -1e9)
        weights = self.dropout(scores.softmax(dim=-1)).to(value.dtype)
        x = torch.einsum("bhij,bjhd->bihd", weights, value).reshape(B, T, D)
        return self.dropout(self.output(x))


class FeedForward(nn.Module):
    """Linear, SiLU, Linear at expansion 1."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.linear1 = nn.Linear(config.dim, config.dim)
        self.linear2 = nn.Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x, mask):
        x = self.dropout(F.silu(self.linear1(x)))
        return self.dropout(self.linear2(x))


def depthwise(x, weight):
    """Convolve each channel of x (B, T, C) over time with its own kernel: weight (C, 1, kernel), zeros outside.

    Written as a channels-last Conv2d, three times faster on a CPU than Conv1d; shorter inputs than the kernel are padded
    to it first, because they would take a slow path.
    """
    T, kernel = x.shape[1], weight.shape[-1]
    x = F.pad(x, (0, 0, 0, max(0, 2 * kernel - T))).transpose(1, 2).unsqueeze(-1)   # (B, C, T, 1), channels last
    x = F.conv2d(x, weight.unsqueeze(-1), padding=(kernel // 2, 0), groups=x.shape[1])
    return x.squeeze(-1).transpose(1, 2)[:, :T]


class Convolution(nn.Module):
    """Pointwise, GLU, depthwise over time, BatchNorm, SiLU, pointwise; padding is 0 when the depthwise kernel reads it."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pointwise1 = nn.Linear(config.dim, 2 * config.dim)
        self.depthwise = nn.Conv1d(config.dim, config.dim, config.kernel, groups=config.dim, bias=False)   # holds the weight
        self.norm = MaskedBatchNorm(config.dim)
        self.pointwise2 = nn.Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x, mask):
        x = F.glu(self.pointwise1(x), dim=-1) * mask[..., None]
        x = depthwise(x, self.depthwise.weight)
        x = F.silu(self.norm(x, mask))
        return self.dropout(self.pointwise2(x))


class Residual(nn.Module):
    """A post-norm residual unit: LayerNorm(x + unit(x * scale + bias)), scale and bias learnt per channel."""

    def __init__(self, unit: nn.Module, dim: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.unit = unit
        self.norm = nn.LayerNorm(dim)

    def forward(self, x, mask):
        return self.norm(x + self.unit(x * self.scale + self.bias, mask))


class Block(nn.Module):
    """One Squeezeformer block: attention, feed-forward, convolution, feed-forward."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        attention = RotaryAttention if config.attention == "rotary" else RelativeAttention
        self.attention = Residual(attention(config), config.dim)
        self.feed_forward1 = Residual(FeedForward(config), config.dim)
        self.convolution = Residual(Convolution(config), config.dim)
        self.feed_forward2 = Residual(FeedForward(config), config.dim)

    def forward(self, x, mask):
        for unit in (self.attention, self.feed_forward1, self.convolution, self.feed_forward2):
            x = unit(x, mask)
        return x


class Squeezeformer(nn.Module):
    """The stack of blocks: (B, T, D) and mask bool (B, T) -> (B, T, D), 0 at padded frames."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))

    def forward(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return x * mask[..., None]
