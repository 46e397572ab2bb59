"""The optimisers: AdamW, as published, and Muon, which learns from made-up hands in far fewer steps.

Muon moves each matrix of weights along its averaged gradient with all singular values made alike, so that rare directions
count as much as frequent ones (Jordan 2024, https://kellerjordan.github.io/posts/muon; its learning rates are AdamW's, as in
Liu et al. 2025, arXiv 2502.16982). Everything else is AdamW's: embeddings, output layers, convolutions, biases, norms.

`torch.optim.Muon` takes matrices alone, one after another, and in bfloat16, which a CPU without it emulates; here all matrices of
one shape are one product.
"""

import torch
from torch import nn

from aslutils.model.network import Network

MUON, ADAMW = OPTIMISERS = "muon", "adamw"
_MOMENTUM = 0.95
_TURNS = 3                             # Newton-Schulz iterations; Jordan takes 5, which gain nothing here
_POLYNOMIAL = 3.4445, -4.7750, 2.0315  # Jordan's: of x, x^3, x^5
_SIZE = 0.4                            # root mean square of a matrix' update, in learning rates; AdamW's is about 0.2


def build(network: Network, name: str, learning_rate: float, beta2: float, weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser `name`, one of OPTIMISERS, of a network's parameters."""
    options = {"lr": learning_rate, "betas": (0.9, beta2), "eps": 1e-8, "weight_decay": weight_decay, "fused": True}
    if name == ADAMW:
        return torch.optim.AdamW(network.parameters(), **options)
    hidden = hidden_matrices(network)
    apart = {id(matrix) for matrix in hidden}
    return Muon([{"params": [parameter for parameter in network.parameters() if id(parameter) not in apart]},
                 {"params": hidden, "matrices": True}], **options)


def hidden_matrices(network: Network) -> list[nn.Parameter]:
    """The matrices between a network's inputs and outputs: the weights of its linear layers but the last of each head."""
    last = {name for name, _ in network.named_modules() if name.rpartition(".")[2] in ("head", "ctc", "confidence")}
    return [layer.weight for name, layer in network.named_modules() if isinstance(layer, nn.Linear) and name not in last]


class Muon(torch.optim.AdamW):
    """AdamW, but for the parameter groups with `matrices`: True, whose parameters (A, B) Muon moves."""

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all parameters; the gradients of the matrices are used up."""
        groups = [group for group in self.param_groups if group.get("matrices")]
        for group in groups:
            shapes: dict[tuple, list] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    shapes.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
            for alike in shapes.values():
                self._move(alike, group["lr"], group["weight_decay"])
        return super().step(closure)

    def _move(self, matrices: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        """Move matrices of one shape, lying or standing."""
        lying = [matrix.shape[0] <= matrix.shape[1] for matrix in matrices]
        for matrix in matrices:
            if not self.state[matrix]:                            # AdamW looks for "step" in the state of every parameter
                self.state[matrix] = {"step": torch.zeros((), device=matrix.device), "momentum": torch.zeros_like(matrix)}
        overflow = getattr(self, "found_inf", None)               # fp16: a step with infinite gradients moves nothing
        moves = 1.0 if overflow is None else (overflow == 0).float()
        gradients = torch.stack([matrix.grad if lies else matrix.grad.mT for matrix, lies in zip(matrices, lying)])
        if overflow is not None:
            gradients = torch.where(overflow == 0, gradients, 0.0)
        buffers = [self.state[matrix]["momentum"] for matrix in matrices]
        momentum = torch.stack([buffer if lies else buffer.mT for buffer, lies in zip(buffers, lying)])
        momentum = momentum.lerp(gradients, (1 - _MOMENTUM) * moves)
        moved = orthogonal(gradients.lerp(momentum, _MOMENTUM)) * (_SIZE * gradients.shape[2] ** 0.5 * rate * moves)
        for matrix, buffer, lies, average, change in zip(matrices, buffers, lying, momentum, moved):
            matrix.mul_(1 - rate * weight_decay * moves).sub_(change if lies else change.mT)
            buffer.copy_(average if lies else average.mT)
            matrix.grad = None


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """Matrices (N, A, B), A <= B, with their singular values brought near 1 by Newton-Schulz iterations."""
    first, third, fifth = _POLYNOMIAL
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_TURNS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth), x, beta=first)
    return x
