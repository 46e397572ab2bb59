"""The stem: from each frame's landmarks to a vector of the model's width.

One stem sees all 130 landmarks; the round-2 network adds one for each part (left hand, right hand, face, pose), which
sees its part standardised in each frame, so that a hand's shape counts, not its position.
"""

import torch
from torch import nn
from torch.nn import functional as F

from aslutils.model.config import ModelConfig
from aslutils.model.layers import Linear, MaskedBatchNorm
from aslutils.task.landmarks import LANDMARKS, PARTS


class Stem(nn.Module):
    """Conv2d over (frames, landmarks), one Linear a frame, both normalised over real frames.

    landmarks: how many, n; dim: output width. Input (B, T, n, 3), 0 where not seen; output (B, T, dim), 0 at padded frames.
    """

    def __init__(self, landmarks: int, dim: int, channels: int = 32, momentum: float = 0.95):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=(1, 2), padding=1, bias=False)
        self.conv_norm = MaskedBatchNorm(channels)
        self.linear = Linear((landmarks + 1) // 2 * channels, dim, bias=False)
        self.norm = MaskedBatchNorm(dim, momentum=momentum)

    def forward(self, frames, mask):
        x = frames.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)   # (B, 3, T, n)
        x = self.conv(x).permute(0, 2, 3, 1)                                    # (B, T, ceil(n/2), channels)
        x = F.silu(self.conv_norm(x, mask)).flatten(2)                          # (B, T, ceil(n/2) * channels)
        x = self.norm(self.linear(x), mask)                                     # (B, T, dim)
        return x * mask[..., None]


def standardise_part(part: torch.Tensor) -> torch.Tensor:
    """A part's landmarks (..., n, 3) minus their mean over their population deviation, per frame and coordinate.

    Landmarks that are not seen (x + y exactly 0) and coordinates in which all landmarks are equal come out exactly 0.
    """
    centred = part - part.mean(dim=-2, keepdim=True)
    deviation = centred.square().mean(dim=-2, keepdim=True).sqrt()
    flat = (part == part[..., :1, :]).all(dim=-2, keepdim=True)
    unseen = part[..., :1] + part[..., 1:2] == 0                                # (..., n, 1)
    return torch.where(flat | unseen, 0.0, centred / torch.where(flat, 1.0, deviation)).nan_to_num(0.0, 0.0, 0.0)


class LandmarkStem(nn.Module):
    """The stem over all landmarks, plus the four part stems' concatenation where the network has them.

    Input (B, T, 130, 3) and mask bool (B, T); output (B, T, D), 0 at padded frames.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        options = dict(channels=config.stem_channels, momentum=config.stem_momentum)
        self.all = Stem(len(LANDMARKS), config.dim, **options)
        self.parts = nn.ModuleDict()
        if config.part_stems:
            for name, positions in PARTS.items():
                self.parts[name] = Stem(len(positions), config.dim // len(PARTS), **options)
                self.register_buffer(f"positions_{name}", torch.from_numpy(positions), persistent=False)

    def part(self, name: str, frames, mask):
        """One part stem's output (B, T, D/4)."""
        part = frames.index_select(2, getattr(self, f"positions_{name}"))
        return self.parts[name](standardise_part(part), mask)

    def forward(self, frames, mask):
        x = self.all(frames, mask)
        if self.parts:
            x = x + torch.cat([self.part(name, frames, mask) for name in self.parts], dim=-1)
        return x
