"""The encoder: Squeezeformer blocks without time reduction (Kim et al. 2022), rotary or relative attention."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from aslutils.model.config import ModelConfig
from aslutils.model.layers import Linear, MaskedBatchNorm, attend, linear
from aslutils.task.preprocess import MAX_FRAMES


def rotary_tables(length: int, head_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin (length, head_dim) of rotary positions in the rotate-half form, base 10000 (Su et al. 2021)."""
    frequencies = 1.0 / 10000 ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, turns):
    """Rotate x (B, T, H, head dim) by each frame's angles; turns complex (T, head dim / 2).

    Channels i and i + head dim / 2 make a pair; a pair comes out side by side, which changes no product of query and key.
    """
    pairs = torch.complex(*x.float().chunk(2, dim=-1))                          # (B, T, H, head dim / 2)
    return torch.view_as_real(pairs * turns[:, None]).flatten(-2)


def scaled_linear(layers, x, scale, bias):
    """The outputs of linear layers that read x * scale + bias, side by side: (..., D) -> (..., sum of their widths).

    Scale and bias go into the weights, which are far smaller than x.
    """
    weight = torch.cat([layer.weight for layer in layers])
    shift = weight @ bias
    if layers[0].bias is not None:
        shift = shift + torch.cat([layer.bias for layer in layers])
    return linear(x, weight * scale, shift)


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary positions, no bias, no dropout (round 2)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.query = Linear(config.dim, config.dim, bias=False)
        self.key = Linear(config.dim, config.dim, bias=False)
        self.value = Linear(config.dim, config.dim, bias=False)
        self.output = Linear(config.dim, config.dim, bias=False)
        cos, sin = rotary_tables(MAX_FRAMES, config.dim // config.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, x, mask, scale, bias):
        T, half = x.shape[1], self.cos.shape[1] // 2
        turns = torch.complex(self.cos[:T, :half], self.sin[:T, :half])
        x = scaled_linear((self.query, self.key, self.value), x, scale, bias).unflatten(-1, (3 * self.heads, -1))
        rotated, value = x.split((2 * self.heads, self.heads), dim=2)           # (B, T, 2 H, D/H), (B, T, H, D/H)
        query, key = rotate(rotated, turns).transpose(1, 2).chunk(2, dim=1)     # (B, H, T, D/H)
        x = attend(query, key, value.transpose(1, 2).to(query.dtype), mask[:, None, None])
        return self.output(x.transpose(1, 2).flatten(2))


class RelativeAttention(nn.Module):
    """Transformer-XL attention (Dai et al. 2019) with the encoding of the signed distance i - j (round 1)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.head_dim = config.heads, config.dim // config.heads
        self.query = Linear(config.dim, config.dim)
        self.key = Linear(config.dim, config.dim)
        self.value = Linear(config.dim, config.dim)
        self.position = Linear(config.dim, config.dim, bias=False)
        self.content_bias = nn.Parameter(torch.empty(self.heads, self.head_dim))
        self.position_bias = nn.Parameter(torch.empty(self.heads, self.head_dim))
        self.output = Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.content_bias)
        nn.init.xavier_uniform_(self.position_bias)

    def encoding(self, length: int, device) -> torch.Tensor:
        """(2 * length - 1, D): row r encodes the distance length - 1 - r, sin in even and cos in odd channels."""
        dim = self.heads * self.head_dim
        distance = torch.arange(length - 1, -length, -1, device=device).float()
        frequency = torch.exp(torch.arange(0, dim, 2, device=device).float() * (-math.log(10000.0) / dim))
        angles = torch.outer(distance, frequency)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

    def scores(self, query, key):
        """(B, H, T, T) scores of query and key (B, T, H, D/H), before masking."""
        T = query.shape[1]
        encoding = self.encoding(T + 1, query.device)[:-1]                      # (2T, D): row r encodes the distance T - r
        position = self.position(encoding).unflatten(-1, (self.heads, self.head_dim))
        content = torch.einsum("bihd,bjhd->bhij", query + self.content_bias, key)
        distance = torch.einsum("bihd,rhd->bhir", query + self.position_bias, position)   # (B, H, T, 2T)
        distance = distance.flatten(2)[..., T:].unflatten(-1, (T, 2 * T - 1))[..., :T]    # row i moved to its distances i - j
        return (content + distance) / math.sqrt(self.head_dim)

    def forward(self, x, mask, scale, bias):
        B, T, D = x.shape
        x = scaled_linear((self.query, self.key, self.value), x, scale, bias)
        query, key, value = x.view(B, T, 3, self.heads, self.head_dim).unbind(dim=2)
        scores = self.scores(query, key).float().masked_fill(~mask[:, None, None], -1e9)
        weights = self.dropout(scores.softmax(dim=-1)).to(value.dtype)
        x = torch.einsum("bhij,bjhd->bihd", weights, value).reshape(B, T, D)
        return self.dropout(self.output(x))


class FeedForward(nn.Module):
    """Linear, SiLU, Linear at expansion 1."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.linear1 = Linear(config.dim, config.dim)
        self.linear2 = Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x, mask, scale, bias):
        x = self.dropout(F.silu(scaled_linear((self.linear1,), x, scale, bias)))
        return self.dropout(self.linear2(x))


def depthwise(x, weight):
    """Convolve each channel of x (B, T, C) over time with its own kernel: weight (C, 1, kernel), zeros outside.

    A channels-last Conv2d (kernel, 1) is several times faster on a CPU than Conv1d, but its backward pass takes a slow path
    where there are fewer frames than the kernel has.
    """
    T, kernel = x.shape[1], weight.shape[-1]
    if T < kernel:
        x = F.pad(x, (0, 0, 0, kernel - T))
    x = x.unsqueeze(2).permute(0, 3, 1, 2)                                      # (B, C, T, 1), channels last
    x = F.conv2d(x, weight.unsqueeze(-1), padding=(kernel // 2, 0), groups=x.shape[1])
    return x.permute(0, 2, 3, 1).squeeze(2)[:, :T]


class Convolution(nn.Module):
    """Pointwise, GLU, depthwise over time, BatchNorm, SiLU, pointwise; padding is 0 when the depthwise kernel reads it."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pointwise1 = Linear(config.dim, 2 * config.dim)
        self.depthwise = nn.Conv1d(config.dim, config.dim, config.kernel, groups=config.dim, bias=False)   # holds the weight
        self.norm = MaskedBatchNorm(config.dim)
        self.pointwise2 = Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x, mask, scale, bias):
        x = F.glu(scaled_linear((self.pointwise1,), x, scale, bias), dim=-1) * mask[..., None]
        x = depthwise(x, self.depthwise.weight)
        x = F.silu(self.norm(x, mask))
        return self.dropout(self.pointwise2(x))


class Residual(nn.Module):
    """A post-norm residual unit: LayerNorm(x + unit(x * scale + bias)), scale and bias learnt per channel.

    The unit applies scale and bias itself, in its first linear layer.
    """

    def __init__(self, unit: nn.Module, dim: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.unit = unit
        self.norm = nn.LayerNorm(dim)

    def forward(self, x, mask):
        return self.norm(x + self.unit(x, mask, self.scale, self.bias))


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
