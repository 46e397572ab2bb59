"""The optimisers: AdamW, as published, and Muon, with which the demo learns more in the same time.

Muon moves each matrix of weights along its averaged gradient after Newton-Schulz iterations, which bring the gradient's large
singular values near 1 and raise the small ones many times, so that rare directions count more (Jordan 2024,
https://kellerjordan.github.io/posts/muon; the factor for a matrix's sides is of Liu et al. 2025, arXiv 2502.16982). Embeddings,
output layers, convolutions, biases and norms are AdamW's. Muon bears a higher learning rate: 2.4e-3 in the demo, where AdamW
learnt more at 1.2e-3 (`tests/benchmarks/ablation.py` compares them).

`torch.optim.Muon` accepts 2-D parameters only and updates them one at a time in bfloat16, which is slow on CPUs; here all
matrices of one shape are one product.
"""

import torch
from torch import nn

from aslutils.model.network import Network
from aslutils.training.config import ADAMW, MUON, OPTIMISERS

_MOMENTUM = 0.95
_ITERATIONS = 3                        # of Newton-Schulz; with 2 the demo learns less, Jordan's 5 take longer
_POLYNOMIAL = 3.4445, -4.7750, 2.0315  # Jordan's: of x, x^3, x^5
_SIZE = 0.4                            # scale of a matrix's update, in learning rates; 0.2 in Liu et al.


def build(network: Network, name: str, learning_rate: float, beta2: float, weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser `name`, one of OPTIMISERS, of a network's parameters. Raises ValueError for another name."""
    options = {"lr": learning_rate, "betas": (0.9, beta2), "eps": 1e-8, "weight_decay": weight_decay, "fused": True}
    if name == ADAMW:
        return torch.optim.AdamW(network.parameters(), **options)
    if name != MUON:
        raise ValueError(f"there is no optimiser {name!r}; there are {', '.join(OPTIMISERS)}")
    hidden = hidden_matrices(network)
    known = {id(matrix) for matrix in hidden}
    return Muon([{"params": [parameter for parameter in network.parameters() if id(parameter) not in known]},
                 {"params": hidden, "matrices": True}], **options)


def hidden_matrices(network: Network) -> list[nn.Parameter]:
    """The matrices between a network's inputs and outputs: the weights of its linear layers but the last of each head."""
    last = {name for name, _ in network.named_modules() if name.rpartition(".")[2] in ("head", "ctc", "shown", "confidence")}
    return [layer.weight for name, layer in network.named_modules() if isinstance(layer, nn.Linear) and name not in last]


class Muon(torch.optim.AdamW):
    """AdamW, but for the parameter groups with `matrices`: True, whose parameters (A, B) Muon moves."""

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all parameters. It takes no closure, and uses up the gradients of the matrices."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the gradients first")
        for group in self.param_groups:
            if not group.get("matrices"):
                continue
            shapes: dict[tuple, list] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    shapes.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
            for matrices in shapes.values():
                self._move(matrices, group["lr"], group["weight_decay"])
        super().step()                                            # it leaves out what has no gradient

    def _move(self, matrices: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        """Move matrices of one shape, wide or tall."""
        wide = [matrix.shape[0] <= matrix.shape[1] for matrix in matrices]
        for matrix in matrices:
            if not self.state[matrix]:                            # AdamW looks for "step" in the state of every parameter
                self.state[matrix] = {"step": torch.zeros((), device=matrix.device), "momentum": torch.zeros_like(matrix)}
        overflow = getattr(self, "found_inf", None)               # fp16: a step with infinite gradients moves nothing
        moves = 1.0 if overflow is None else (overflow == 0).float()
        gradients = torch.stack([matrix.grad if is_wide else matrix.grad.mT for matrix, is_wide in zip(matrices, wide)])
        if overflow is not None:
            gradients = torch.where(overflow == 0, gradients, 0.0)
        buffers = [self.state[matrix]["momentum"] for matrix in matrices]
        momentum = torch.stack([buffer if is_wide else buffer.mT for buffer, is_wide in zip(buffers, wide)])
        momentum = momentum.lerp(gradients, (1 - _MOMENTUM) * moves)
        changes = orthogonal(gradients.lerp(momentum, _MOMENTUM)) * (_SIZE * gradients.shape[2] ** 0.5 * rate * moves)
        for matrix, buffer, is_wide, average, change in zip(matrices, buffers, wide, momentum, changes):
            matrix.mul_(1 - rate * weight_decay * moves).sub_(change if is_wide else change.mT)
            buffer.copy_(average if is_wide else average.mT)
            matrix.grad = None


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """Matrices (N, A, B), A <= B, whose singular values Newton-Schulz iterations have brought nearer to 1."""
    first, third, fifth = _POLYNOMIAL
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth), x, beta=first)
    return x
