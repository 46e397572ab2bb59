"""Batch statistics over real frames, attention, and dropout."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aslutils.model import layers
from aslutils.model.layers import MaskedBatchNorm, frame_mask

LENGTHS = torch.tensor([5, 1, 9])
TWICE_OVER_LENGTHS = """
import sys
from pathlib import Path
import torch
torch.backends.cpu.get_cpu_capability = lambda: "AVX512"
torch.set_num_threads(1)
from aslutils.model import layers
layers.library = layers.usual_library(Path(sys.argv[1]))
assert layers.library == layers.ONEDNN
layer = layers.Linear(24, 40)
for turn in range(2):
    print("turn", turn, flush=True)
    for rows in range(256, 656):
        layer(torch.ones(rows, 24, requires_grad=True)).sum().backward()
"""


def norms(channels=6, momentum=0.3):
    """Ours and torch's BatchNorm with the same made-up weights."""
    ours, theirs = MaskedBatchNorm(channels, momentum), nn.BatchNorm1d(channels, momentum=momentum)
    with torch.no_grad():
        for value in theirs.parameters():
            value.normal_()
    theirs.running_mean.normal_()
    theirs.running_var.uniform_(0.5, 2)
    ours.load_state_dict({name: value for name, value in theirs.state_dict().items() if name != "num_batches_tracked"})
    return ours, theirs


def test_frame_mask_is_true_on_real_frames_only():
    assert frame_mask(torch.tensor([0, 2, 3]), 3).tolist() == [[False] * 3, [True, True, False], [True] * 3]


@pytest.mark.parametrize("extra", [(), (4,)])
@pytest.mark.parametrize("training", [True, False])
def test_masked_batch_norm_is_torchs_on_the_real_frames_alone(extra, training):
    ours, theirs = (module.train(training) for module in norms())
    mask = frame_mask(LENGTHS, 9)
    x = torch.randn(3, 9, *extra, 6, requires_grad=True) * 3 + 20                   # a mean far from 0 is the hard case
    x.retain_grad()
    real = x[mask].detach().requires_grad_()                                        # (frames, ..., C)
    expected = theirs(real.reshape(-1, 6)).view(real.shape)
    found = ours(x, mask)[mask]
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(x.grad[mask], real.grad, atol=1e-5, rtol=1e-4)
    assert not x.grad[~mask].any()
    for name, value in ours.named_parameters():
        torch.testing.assert_close(value.grad, theirs.get_parameter(name).grad, atol=1e-5, rtol=1e-4)
    for name, value in ours.named_buffers():
        torch.testing.assert_close(value, theirs.get_buffer(name), atol=1e-5, rtol=1e-4)


def test_gradients_through_padded_frames_are_exact_too():
    norm, mask = norms()[0].train(), frame_mask(LENGTHS, 9)

    def by_hand(x):
        rows = x[mask]
        deviation = (rows.var(0, unbiased=False) + norm.eps).sqrt()
        return (x - rows.mean(0)) / deviation * norm.weight + norm.bias

    x = torch.randn(3, 9, 6, requires_grad=True)
    weights = torch.randn(3, 9, 6)
    expected = torch.autograd.grad((by_hand(x) * weights).sum(), [x, norm.weight, norm.bias])
    found = torch.autograd.grad((norm(x, mask) * weights).sum(), [x, norm.weight, norm.bias])
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_one_single_frame_leaves_finite_statistics():
    norm = MaskedBatchNorm(2).train()
    assert torch.isfinite(norm(torch.randn(1, 1, 2), torch.ones(1, 1, dtype=torch.bool))).all()
    assert all(torch.isfinite(value).all() for value in norm.buffers())


@pytest.mark.parametrize("short", [0, 4])
@pytest.mark.parametrize("kind", ["all", "masked", "causal"])
def test_filled_up_heads_compute_the_same(short, kind, monkeypatch):
    torch.manual_seed(1)
    query, key, value = (torch.randn(2, 3, 7, 52, requires_grad=True) for _ in range(3))
    mask = torch.rand(2, 1, 1, 7) < 0.7 if kind == "masked" else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=kind == "causal")
    monkeypatch.setattr(layers, "_lacking", lambda _: short)
    found = layers.attend(query, key, value, mask, kind == "causal")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(*(torch.autograd.grad(x.square().sum(), (query, key, value)) for x in (found, expected))):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width, cuda, kind, autocast, lacking", [
    (52, True, torch.float16, False, 4), (52, True, torch.bfloat16, False, 4), (52, True, torch.float32, False, 0),
    (52, True, torch.float32, True, 4), (48, True, torch.float16, True, 0), (52, False, torch.float16, True, 0)])
def test_only_heads_in_half_precision_on_a_gpu_are_filled_up(width, cuda, kind, autocast, lacking, monkeypatch):
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: autocast and device == "cuda")

    class Query:
        shape, is_cuda, dtype = (1, 1, 1, width), cuda, kind

    assert layers._lacking(Query) == lacking


class TestLinear:
    """Linear layers are torch's, whichever library computes them."""

    @pytest.fixture
    def onednn(self, monkeypatch):
        if not layers._operator_works():
            pytest.skip("this PyTorch has no product by oneDNN")
        monkeypatch.setattr(layers, "library", layers.ONEDNN)
        monkeypatch.setattr(layers, "_FEWEST", 1)

    @pytest.mark.parametrize("shape, bias", [((300, 24), True), ((4, 90, 24), True), ((2, 3, 50, 24), False)])
    def test_by_onednn_it_has_the_outputs_and_gradients_of_mkl(self, onednn, monkeypatch, shape, bias):
        layer, x = layers.Linear(24, 40, bias=bias), torch.randn(*shape, requires_grad=True)
        weight = torch.randn(*shape[:-1], 20)
        found, products = [], []
        product = layers._product
        monkeypatch.setattr(layers, "_product", lambda *of: products.append(1) or product(*of))
        for library in (layers.MKL, layers.ONEDNN):
            monkeypatch.setattr(layers, "library", library)
            y = layer(x)
            loss = (y.chunk(2, dim=-1)[1] * weight).sum() + y.sum()               # gradients that are no plain rows
            found.append([y, *torch.autograd.grad(loss, [x, *layer.parameters()])])
        assert len(products) == 3                                                 # of oneDNN's side, backward pass and all
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("x", [torch.ones(2, 6), torch.ones(0, 6), torch.ones(600, 6, dtype=torch.float64)])
    def test_few_rows_and_other_types_are_torchs(self, onednn, monkeypatch, x):
        monkeypatch.setattr(layers, "_FEWEST", 256)
        monkeypatch.setattr(layers, "_product", None)
        weight = torch.ones(3, 6, dtype=x.dtype)
        assert torch.equal(layers.linear(x, weight), F.linear(x, weight))

    def test_autocast_is_torchs(self, onednn, monkeypatch):
        monkeypatch.setattr(layers, "_product", None)
        with torch.autocast("cpu", torch.bfloat16):
            assert layers.linear(torch.ones(600, 6), torch.ones(3, 6)).dtype == torch.bfloat16

    @pytest.mark.parametrize("vendor, capability, expected", [
        ("AuthenticAMD", "AVX512", layers.ONEDNN), ("AuthenticAMD", "AVX2", layers.MKL),
        ("GenuineIntel", "AVX512", layers.MKL), (None, "AVX512", layers.MKL),
    ])
    def test_onednn_is_taken_where_mkl_is_narrower(self, onednn, monkeypatch, tmp_path, vendor, capability, expected):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        cpuinfo = tmp_path / "cpuinfo"
        if vendor:
            cpuinfo.write_text(f"processor : 0\nvendor_id : {vendor}\n")
        monkeypatch.setattr(os, "environ", {})
        assert layers.usual_library(cpuinfo) == expected
        assert os.environ.get(layers.CACHE) == (layers.KERNELS if expected == layers.ONEDNN else None)

    @pytest.mark.parametrize("set_to, compiles", [(None, False), ("1", True)])
    def test_lengths_that_come_again_compile_nothing_unless_the_user_says_otherwise(self, onednn, tmp_path, set_to, compiles):
        (tmp_path / "cpuinfo").write_text("vendor_id : AuthenticAMD")
        environment = {name: value for name, value in os.environ.items() if name != layers.CACHE}
        environment |= {"ONEDNN_VERBOSE": "profile_create", "PYTHONPATH": ":".join(sys.path)}
        environment |= {layers.CACHE: set_to} if set_to else {}
        done = subprocess.run([sys.executable, "-c", TWICE_OVER_LENGTHS, str(tmp_path / "cpuinfo")], env=environment,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        first, second = done.stdout.split("turn 0\n")[1].split("turn 1\n")
        assert first.count("cache_miss") > 1024                # more than fit by default
        assert ("cache_miss" in second) == compiles and (compiles or "cache_hit" in second)

    def test_a_pytorch_without_the_operator_keeps_to_mkl(self, monkeypatch, tmp_path):
        (tmp_path / "cpuinfo").write_text("vendor_id : AuthenticAMD")
        monkeypatch.setattr(os, "environ", {})
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
        monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *of: of[0], raising=False)
        assert layers.usual_library(tmp_path / "cpuinfo") == layers.MKL
