"""Building blocks that never see padding: the frame mask and batch statistics over real frames only."""

import torch
import torch.distributed as distributed
import torch.distributed.nn.functional as distributed_functional
from torch import nn


def frame_mask(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """bool (B, frames): True where a frame is real; lengths: int (B,)."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def sum_over_processes(value: torch.Tensor) -> torch.Tensor:
    """`value` summed over the processes that train together; gradients flow through."""
    return value if processes() == 1 else distributed_functional.all_reduce(value)


class MaskedBatchNorm(nn.Module):
    """Batch normalisation whose statistics are over real frames only, of all processes together.

    Weights and buffers are those of torch's BatchNorm. Input (B, T, ..., C), channels last; mask bool (B, T).
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x, mask):
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return x * scale + (self.bias - self.running_mean * scale)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x.float(), mask)

    def _normalise(self, x, mask):
        real = mask.reshape(*mask.shape, *[1] * (x.ndim - 2)).to(x.dtype)       # (B, T, 1, ...)
        others = tuple(range(x.ndim - 1))
        per_frame = x[0, 0].numel() // x.shape[-1]
        count = sum_over_processes(real.sum() * per_frame)
        mean = sum_over_processes((x * real).sum(others)) / count               # (C,)
        centred = x - mean
        variance = sum_over_processes((centred * centred * real).sum(others)) / count
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        return centred * (torch.rsqrt(variance + self.eps) * self.weight) + self.bias
