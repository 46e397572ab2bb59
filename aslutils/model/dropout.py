"""Dropout that is cheap on a CPU as well."""

import torch
from torch import nn
from torch.nn import functional as F

LEVELS = 2**16                     # of 16 random bits an element


class Dropout(nn.Module):
    """Zero elements with probability p while training and scale the rest by 1 / (1 - p).

    On a CPU torch draws one random number an element, which takes a tenth of a training step; here one 64-bit number serves
    four elements, and p is rounded to 1 / 65536.
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"the dropout probability is {p}; it must be at least 0 and below 1")
        self.p = p

    def forward(self, x):
        if not self.training or not self.p:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        dropped = round(self.p * LEVELS)
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-2**63, None).view(torch.int16)
        keep = (bits[:x.numel()] >= dropped - LEVELS // 2).view(x.shape)
        return x * keep.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    def extra_repr(self):
        return f"p={self.p}"
