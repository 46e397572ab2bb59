"""The encoder in TensorFlow against PyTorch, unit by unit."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from configs import model_config

from aslutils.model.squeezeformer import Residual, RotaryAttention, depthwise
from aslutils.port import squeezeformer as port
from aslutils.port.layers import FrameMask

LENGTHS = [1, 2, 51, 90, 384]


def features(frames: int, dim: int) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, dim)).astype(np.float32)


def pytorch(layer, x) -> np.ndarray:
    return layer(torch.from_numpy(x)[None], torch.ones(1, len(x), dtype=torch.bool))[0].detach().numpy()


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("unit", ["attention", "feed_forward1", "convolution"])
@pytest.mark.parametrize("network", ["round1", "round2"])
def test_each_unit_with_its_residual_gives_pytorchs_features(network, unit, frames, request):
    network = request.getfixturevalue(network)
    layer, x = getattr(network.encoder.blocks[0], unit), features(frames, network.config.dim)
    found = port.Residual(layer, unit)(tf.constant(x), FrameMask(frames))
    np.testing.assert_allclose(found, pytorch(layer, x), atol=2e-5)


@pytest.mark.parametrize("network", ["round1", "round2"])
def test_the_encoder_gives_pytorchs_features(network, request):
    network = request.getfixturevalue(network)
    x = features(60, network.config.dim)
    found = port.Squeezeformer(network.encoder)(tf.constant(x), FrameMask(len(x)))
    np.testing.assert_allclose(found, pytorch(network.encoder, x), atol=5e-5)


@pytest.mark.parametrize("network", ["round1", "round2"])
@pytest.mark.parametrize("length", [0, 1, 40])
def test_frames_behind_the_end_of_a_fixed_shape_change_nothing(network, length, request):
    network = request.getfixturevalue(network)
    x, encoder = features(60, network.config.dim), port.Squeezeformer(network.encoder)
    found = encoder(tf.constant(x), FrameMask(60, tf.constant(length)))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:length], pytorch(network.encoder, x[:length]) if length else found[:0], atol=5e-5)


@pytest.mark.parametrize("taps", [1, 3, 25, 27, 51, 75])
def test_a_kernel_of_any_length_is_the_sum_of_short_ones(taps):
    x, kernel, shift = features(40, 6), features(6, taps), features(1, 6)[0]
    expected = depthwise(torch.from_numpy(x)[None], torch.from_numpy(kernel)[:, None])[0].numpy() + shift
    layer = port.Depthwise(kernel, shift, "depthwise")
    assert max(len(piece) for _, piece in layer.pieces) <= port.LARGEST_KERNEL
    np.testing.assert_allclose(layer(tf.constant(x)), expected, atol=1e-4)


def test_three_heads_rotate_as_in_pytorch():
    torch.manual_seed(0)
    layer, x = Residual(RotaryAttention(model_config(dim=24, heads=3, decoder_heads=3)), 24), features(20, 24)
    np.testing.assert_allclose(port.Residual(layer, "attention")(tf.constant(x), FrameMask(20)), pytorch(layer, x), atol=1e-5)
