"""The encoder's delicate parts against plain loops."""

import math

import golden_toy
import numpy as np
import pytest
import torch

from aslutils.model.layers import frame_mask
from aslutils.model.squeezeformer import RelativeAttention, RotaryAttention, depthwise
from aslutils.model.stem import Stem, standardise_part
from aslutils.task.landmarks import LEFT_HAND

CONFIG = golden_toy.CONFIG


def attention_inputs(length=5, frames=7):
    random = np.random.RandomState(3)
    x = torch.from_numpy(random.standard_normal((1, frames, 16)).astype(np.float32))
    scale, bias = (torch.from_numpy(random.standard_normal(16).astype(np.float32)) for _ in range(2))
    return x, frame_mask(torch.tensor([length]), frames), scale, bias


def by_loops(module, x, length, scores):
    """Attention of x (T, D), one pair of frames at a time; scores: (query, key, i, j, head) -> number."""
    heads = module.heads
    query, key, value = (linear(x).unflatten(-1, (heads, -1)).detach().double().numpy()
                         for linear in (module.query, module.key, module.value))      # (T, H, D/H)
    mixed = np.zeros_like(value)
    for head in range(heads):
        for i in range(len(x)):
            found = np.array([scores(query[i, head], key[j, head], i, j, head) for j in range(length)])
            weights = np.exp(found - found.max())
            mixed[i, head] = (weights / weights.sum()) @ value[:length, head]
    return module.output(torch.from_numpy(mixed).float().flatten(1))


def test_rotary_attention_is_its_formula_by_loops():
    module = RotaryAttention(CONFIG[2]).eval()
    half = 16 // module.heads // 2
    x, mask, scale, bias = attention_inputs()

    def turned(vector, position):
        angles = position / 10000 ** (np.arange(half) / half)
        first, second = vector[:half], vector[half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin])

    expected = by_loops(module, x[0] * scale + bias, 5,
                        lambda query, key, i, j, head: turned(query, i) @ turned(key, j) / math.sqrt(2 * half))
    torch.testing.assert_close(module(x, mask, scale, bias)[0, :5], expected[:5], atol=1e-5, rtol=1e-4)


def test_relative_attention_is_its_formula_by_loops():
    module = RelativeAttention(CONFIG[1]).eval()
    size = 16 // module.heads
    x, mask, scale, bias = attention_inputs()
    content, position = (value.detach().double().numpy() for value in (module.content_bias, module.position_bias))
    projection = module.position.weight.detach().double().numpy()

    def encoded(distance, head):
        row = np.zeros(16)
        for k in range(8):
            row[2 * k], row[2 * k + 1] = (f(distance * 10000 ** (-2 * k / 16)) for f in (np.sin, np.cos))
        return (projection @ row).reshape(module.heads, size)[head]

    expected = by_loops(module, x[0] * scale + bias, 5, lambda query, key, i, j, head: (
        (query + content[head]) @ key + (query + position[head]) @ encoded(i - j, head)) / math.sqrt(size))
    torch.testing.assert_close(module(x, mask, scale, bias)[0, :5], expected[:5], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("module", [RotaryAttention(CONFIG[2]), RelativeAttention(CONFIG[1])])
def test_attention_takes_a_single_frame_and_the_longest_sequence(module):
    scale, bias = torch.ones(16), torch.zeros(16)
    for frames in (1, 384):
        mask = torch.ones(1, frames, dtype=torch.bool)
        assert module(torch.randn(1, frames, 16), mask, scale, bias).shape == (1, frames, 16)


@pytest.mark.parametrize("frames", [1, 6, 7, 20])
def test_depthwise_convolution_is_its_sum_by_loops(frames):
    x, weight = torch.randn(2, frames, 3, requires_grad=True), torch.randn(3, 1, 7, requires_grad=True)
    expected = torch.stack([torch.stack([
        sum(weight[:, 0, k] * x[b, t + k - 3] for k in range(7) if 0 <= t + k - 3 < frames)
        for t in range(frames)]) for b in range(2)])
    found = depthwise(x, weight)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    upstream = torch.randn_like(found)
    gradients = (torch.autograd.grad(each, [x, weight], upstream) for each in (found, expected))
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_every_unit_reads_its_input_scaled_and_shifted():
    block = golden_toy.network(2).encoder.blocks[0]
    x, mask = torch.randn(1, 5, 16), torch.ones(1, 5, dtype=torch.bool)
    for residual in (block.attention, block.feed_forward1, block.convolution, block.feed_forward2):
        plain = residual.unit(x * residual.scale + residual.bias, mask, torch.ones(16), torch.zeros(16))
        torch.testing.assert_close(residual(x, mask), residual.norm(x + plain), atol=1e-5, rtol=1e-4)


def test_stem_flattens_landmark_major():
    stem, frames = Stem(5, 4, channels=2).eval(), torch.randn(1, 3, 5, 3)
    convolved = torch.nn.functional.conv2d(frames.permute(0, 3, 1, 2), stem.conv.weight, stride=(1, 2), padding=1)
    activated = torch.nn.functional.silu(convolved / math.sqrt(1 + 1e-5))             # (1, 2, 3, 3): channel, frame, landmark
    columns = [activated[0, channel, :, landmark] for landmark in range(3) for channel in range(2)]
    expected = stem.linear(torch.stack(columns, dim=-1)) / math.sqrt(1 + 1e-5)
    torch.testing.assert_close(stem(frames, torch.ones(1, 3, dtype=torch.bool))[0], expected, atol=1e-5, rtol=1e-4)


def test_a_part_is_standardised_in_each_frame():
    part = torch.randn(4, 21, 3) * 2 + 5
    found = standardise_part(part)
    torch.testing.assert_close(found.mean(-2), torch.zeros(4, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(-2, unbiased=False), torch.ones(4, 3), atol=1e-4, rtol=0)


def test_a_part_whose_landmarks_are_equal_comes_out_zero():
    for value in (0.0, 0.1, -3.7, 1e-20, 1e20):
        assert not standardise_part(torch.full((2, len(LEFT_HAND), 3), value)).any()


def test_landmarks_that_are_not_seen_come_out_zero():
    part = torch.randn(2, 21, 3)
    part[:, [3, 8]] = 0
    part[:, 5, :2] = torch.tensor([0.5, -0.5])                                        # x + y is exactly 0
    found = standardise_part(part)
    assert not found[:, [3, 5, 8]].any()
    assert found[:, :3].all()
