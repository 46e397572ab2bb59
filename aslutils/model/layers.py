"""What encoder, decoder and stem share: the frame mask, linear layers, attention, and batch statistics over real frames only.

On the CPU linear layers are computed by one of two libraries. MKL, PyTorch's own choice, computes with AVX2 on AMD's processors,
where oneDNN takes AVX-512 if there is any; a prototype's steps were a fifth and more shorter so (docs/results.md). PyTorch has
no setting that sends float32 products to oneDNN; the operator used here is the one that its compiler takes for inference. It
is private, so `usual_library` tries it, and without it everything is as in PyTorch. `tests/benchmarks/libraries.py`
compares the two.

oneDNN compiles about 33 kernels for each new length of a batch and keeps 1024, those of 30 lengths. The demo's training meets
144 lengths in 4,536 steps, most of them seldom (counted at e6a7dd6 by ONEDNN_VERBOSE=profile_create). CACHE is set so that 90
are kept, unless the user has set it: a training takes 1.9 GB then, with 1024 kernels 1.5, by MKL 0.6.
"""

import os
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import nn
from torch.nn import functional as F

ALIGNED = 8                        # GPUs' fused kernels take heads whose width is a multiple of this
MKL, ONEDNN = "MKL", "oneDNN"
CACHE, KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "3000"       # oneDNN reads it at its first product
_FEWEST = 256                      # rows from which oneDNN computes a product: a step of decoding has fewer


def frame_mask(lengths: torch.Tensor, length: int) -> torch.Tensor:
    """bool (B, length): True where a frame is real; lengths: int (B,)."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]


def usual_library(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """ONEDNN on an AMD processor with AVX-512 (Zen 4 and later) where PyTorch has its operator, else MKL."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return MKL
    try:
        amd = "AuthenticAMD" in cpuinfo.read_text()
    except OSError:                # not Linux
        amd = False
    if not amd:
        return MKL
    os.environ.setdefault(CACHE, KERNELS)
    return ONEDNN if _operator_works() else MKL


def _operator_works() -> bool:
    x, weight = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3)
    try:
        return torch.allclose(_product(x, weight), x @ weight.T)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):     # a PyTorch that has another one, or none
        return False


def _product(x, weight, bias=None):
    """x (N, A) times weight (B, A), transposed, plus bias (B,): (N, B), by oneDNN."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    """`_product` with its gradients, which are products by oneDNN too."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (_product(gradient, weight.T) if of_x else None,
                _product(gradient.T, x.T) if of_weight else None,
                gradient.sum(0) if of_bias else None)


def linear(x, weight, bias=None):
    """`torch.nn.functional.linear`: x (..., A), weight (B, A), bias (B,) or None -> (..., B)."""
    if library == MKL or not x.is_cpu or x.dtype != torch.float32 or x.numel() < _FEWEST * x.shape[-1] or \
            torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    return _Product.apply(x.flatten(0, -2), weight, bias).view(*x.shape[:-1], -1)


class Linear(nn.Linear):
    """`torch.nn.Linear`, computed by `linear`."""

    def forward(self, x):
        return linear(x, self.weight, self.bias)


library = usual_library()          # that computes the products of this process


def attend(query, key, value, mask=None, causal=False, dropout=0.0):
    """Query (B, H, S, d) attends to key and value (B, H, N, d); mask: bool or added to the scores. Returns (B, H, S, d).

    Heads of 52, the winning width, would be computed on a GPU step by step in float32: there they are filled up with zeros.
    """
    width, short = query.shape[-1], _lacking(query)
    if short:
        query, key, value = (F.pad(x, (0, short)) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal, dropout_p=dropout,
                                          scale=width ** -0.5)[..., :width]


def _lacking(query) -> int:
    """How many channels a head lacks of a width that GPUs' fused kernels take."""
    half = query.dtype in (torch.float16, torch.bfloat16) or torch.is_autocast_enabled("cuda")
    return -query.shape[-1] % ALIGNED if query.is_cuda and half else 0


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def sum_over_processes(value: torch.Tensor) -> torch.Tensor:
    """`value` summed over the processes that train together; no gradients flow through."""
    if processes() > 1:
        value = value.clone()
        distributed.all_reduce(value)
    return value


class _BatchStatistics(torch.autograd.Function):
    """Normalise rows by the mean and variance of the rows that count, of all processes together; few passes over memory.

    x float32 (N, C); real float32 (N, 1), 1 for rows that count, else 0. Returns the normalised rows times weight plus
    bias (the other rows too), mean (C,) and unbiased variance (C,).
    """

    @staticmethod
    def forward(ctx, x, real, weight, bias, eps):
        """Two passes, mean and then deviations from it: exact in float32, over all processes."""
        count = sum_over_processes(real.sum())
        mean = sum_over_processes((x * real).sum(0)) / count
        centred = x - mean
        variance = sum_over_processes((centred * real).square_().sum(0)) / count
        deviation = torch.rsqrt(variance + eps)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        ctx.save_for_backward(centred, real, deviation, weight, count)
        ctx.mark_non_differentiable(mean, unbiased)
        return torch.addcmul(bias, centred, deviation * weight), mean, unbiased

    @staticmethod
    def backward(ctx, gradient, _mean, _variance):
        centred, real, deviation, weight, count = ctx.saved_tensors
        scale = deviation * weight
        product = gradient * centred
        bias_gradient, weight_gradient = gradient.sum(0), product.sum(0) * deviation
        total, slope = sum_over_processes(torch.stack([bias_gradient, weight_gradient])) / count
        correction = torch.addcmul(-total * scale, centred, -slope * deviation * scale, out=product).mul_(real)
        return correction.addcmul_(gradient, scale), None, weight_gradient, bias_gradient, None


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
        """`x`, normalised: in training by the real frames' statistics, which the running ones follow."""
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return torch.addcmul(self.bias - self.running_mean * scale, x, scale)
        real = mask.reshape(*mask.shape, *[1] * (x.ndim - 3)).expand(x.shape[:-1])   # (B, T, ...)
        rows, mean, variance = _BatchStatistics.apply(x.float().flatten(0, -2), real.flatten()[:, None].float(),
                                                      self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return rows.view(x.shape)
