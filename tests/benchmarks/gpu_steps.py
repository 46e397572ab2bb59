"""Training steps as `gpu_parts.py` measures them: eager, compiled, or replayed as CUDA graphs."""

from contextlib import nullcontext

import torch
from torch.nn import functional as F

from aslutils.model.loss import compute_loss
from aslutils.model.network import Network

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TYPES = {"float32": None, "TF32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
ACCUMULATE = 8                     # batches a step of the optimiser
GRAIN = 32                         # the lengths of graphs are multiples of it, frames


def precisions() -> list[str]:
    """Those that this device computes in: TF32 and bf16 from Ampere on."""
    if DEVICE == "cpu":
        return [name for name in TYPES if name != "TF32"]
    recent = torch.cuda.get_device_capability() >= (8, 0)
    return [name for name in TYPES if recent or name not in ("TF32", "bf16")]


def set_precision(precision: str):
    """Products and convolutions of float32 as the kit trains with torch's defaults, or all of them in TF32."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "TF32"


class Step:
    """Training steps: forward, loss and backward for each batch; clipping and AdamW once in ACCUMULATE batches."""

    def __init__(self, network: Network, loss, precision: str):
        set_precision(precision)
        self.network, self.loss, self.type = network.to(DEVICE), loss, TYPES[precision]
        self.model = self.network
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.08, fused=True)
        self.scaler = torch.amp.GradScaler(DEVICE, enabled=precision == "fp16" and DEVICE == "cuda")
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)

    def backward(self, batch: dict):
        """The loss of a batch, whose gradients are added."""
        with torch.autocast(DEVICE, self.type, cache_enabled=False) if self.type else nullcontext():
            loss = compute_loss(self.model, batch, self.loss)["loss"]
        self.scaler.scale(loss / ACCUMULATE).backward()
        return loss.detach()

    def update(self):
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 4.0)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=False)

    def all(self, batches: list[dict]):
        for number, batch in enumerate(batches):
            self.backward(batch)
            if number % ACCUMULATE == ACCUMULATE - 1 or number == len(batches) - 1:
                self.update()


class Compiled(Step):
    """The network compiled for any length; the loss and the optimiser as they are."""

    def __init__(self, network, loss, precision, toy: bool):
        super().__init__(network, loss, precision)
        self.model = torch.compile(self.network, dynamic=True, backend="eager" if toy else "inductor")


class Graphs(Step):
    """Forward and backward captured once for each length, a multiple of GRAIN frames, and replayed."""

    def __init__(self, network, loss, precision):
        super().__init__(network, loss, precision)
        self.captured, self.pool = {}, None

    def all(self, batches):
        """The longest first: what its graph holds is then enough for the others."""
        super().all(sorted(batches, key=lambda batch: -batch["frames"].shape[1]))

    def backward(self, batch):
        frames = batch["frames"]
        batch = {**batch, "frames": F.pad(frames, (0, 0, 0, 0, 0, -frames.shape[1] % GRAIN))}
        if DEVICE == "cpu":
            return super().backward(batch)
        key = batch["frames"].shape
        if key not in self.captured:
            self.captured[key] = self._capture({name: value.clone() for name, value in batch.items()})
        graph, static, loss = self.captured[key]
        for name, value in static.items():
            value.copy_(batch[name])
        graph.replay()
        return loss

    def _capture(self, static):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                super().backward(static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            loss = super().backward(static)
        self.pool = self.pool or graph.pool()
        return graph, static, loss
