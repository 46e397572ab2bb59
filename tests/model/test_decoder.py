"""The decoder: positions that count, the cache, and its start."""

import math

import golden_toy
import pytest
import torch
from configs import model_config

from aslutils.model.decoder import Decoder, position_table
from aslutils.task.text import PAD, SOS

CONFIG = golden_toy.CONFIG[2]


@pytest.fixture
def decoder():
    return golden_toy.network(2).decoder


def memory():
    """Two encoded sequences of 9 and 4 frames, and their mask."""
    encoded = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(5))
    return encoded, torch.arange(9) < torch.tensor([[9], [4]])


def test_position_table_is_its_formula():
    table = position_table(16)
    assert table.shape == (1026, 16)
    for row in (0, 58, 60, 93, 1025):
        for k in range(8):
            angle = row * math.exp(-k * math.log(10000) / 7)
            assert table[row, k].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert table[row, 8 + k].item() == pytest.approx(math.cos(angle), abs=1e-4)
    assert not table[PAD].any()


def test_a_pad_token_has_no_position_and_does_not_advance_the_count(decoder):
    tokens = torch.tensor([[SOS, 7, PAD, 8, PAD, PAD, 9]])
    rows = [60, 61, 59, 62, 59, 59, 63]
    x, count = decoder.embed(tokens)
    expected = torch.stack([decoder.embedding.weight[token] * 4 + decoder.positions[row] for token, row in zip(tokens[0], rows)])
    torch.testing.assert_close(x[0], expected)
    assert not x[0, 2].any()
    assert count.tolist() == [4]


def test_decoding_by_steps_gives_the_logits_of_all_steps_at_once(decoder):
    tokens = torch.tensor([[SOS, 3, PAD, 4, 5, PAD, 6, 7], [SOS, PAD, PAD, 1, 2, 3, 4, 5]])
    encoded, mask = memory()
    at_once = decoder(tokens, decoder.start(encoded, mask))
    cache = decoder.start(encoded, mask)
    by_steps = torch.cat([decoder(tokens[:, step:step + 1], cache) for step in range(8)], dim=1)
    torch.testing.assert_close(by_steps, at_once, atol=1e-5, rtol=1e-4)


def test_a_step_never_sees_later_tokens(decoder):
    encoded, mask = memory()
    tokens = torch.randint(0, PAD, (2, 8))
    changed = torch.cat([tokens[:, :5], (tokens[:, 5:] + 1) % PAD], dim=1)
    one, other = (decoder(each, decoder.start(encoded, mask)) for each in (tokens, changed))
    assert torch.equal(one[:, :5], other[:, :5])
    assert not torch.equal(one[:, 5:], other[:, 5:])


def test_decoder_starts_small_and_its_projection_as_torchs_linear():
    torch.manual_seed(1)
    decoder = Decoder(model_config())
    for name, value in decoder.named_parameters():
        if "norm" in name:
            assert (value == (1 if name.endswith("weight") else 0)).all(), name
        elif name.endswith("bias"):
            assert not value.any(), name
        elif name == "head.weight":
            assert value.abs().max().item() == pytest.approx(208 ** -0.5, rel=0.01)
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.05), name
    assert not decoder.embedding.weight[PAD].any()


def test_pads_embedding_never_learns():
    decoder = Decoder(CONFIG)
    encoded, mask = memory()
    decoder(torch.full((2, 4), PAD), decoder.start(encoded, mask)).square().sum().backward()
    assert not decoder.embedding.weight.grad[PAD].any()
