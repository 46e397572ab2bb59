"""The network as a whole: sizes, start, decoding, and what it refuses."""

from collections import Counter

import golden_toy
import pytest
import torch
from configs import model_config
from torch import nn

from aslutils.model.decoder import Decoder
from aslutils.model.layers import MaskedBatchNorm
from aslutils.model.network import BLANK, Network
from aslutils.task import text

ROUND1 = model_config(dim=144, blocks=6, attention="relative", part_stems=False, backward_decoder=False, confidence=False)


def learnt(module):
    return sum(value.numel() for value in module.parameters())


def build(config):
    with torch.device("meta"):
        return Network(config)


@pytest.mark.slow
def test_the_winning_networks_have_the_published_number_of_weights():
    assert learnt(build(ROUND1)) == 2_515_040
    network = build(model_config())
    assert learnt(network) == 9_736_305
    assert learnt(network.encoder) == 6_883_968
    assert learnt(network.stem) == 547_936
    assert learnt(network.decoder) == learnt(network.backward_decoder) == 1_152_096
    assert learnt(network.confidence) == 209


@pytest.mark.parametrize("round, expected", [
    (1, {"attention.unit": 2, "feed_forward1.unit": 2, "convolution.unit": 1, "feed_forward2.unit": 2}),
    (2, {"feed_forward1.unit": 2, "convolution.unit": 1, "feed_forward2.unit": 2})])
def test_dropout_acts_as_often_as_in_the_published_networks(round, expected):
    network, (frames, lengths), calls = golden_toy.network(round).train(), sequences(), Counter()
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Dropout):
            assert module.p == 0.1
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    network(frames, lengths, torch.full((3, 4), text.SOS))
    per_block = {f"encoder.blocks.{index}.{unit}.dropout": count for index in (0, 1) for unit, count in expected.items()}
    per_layer = {f"decoder.layers.{index}.dropout": 4 for index in (0, 1)}          # both attentions, activation, feed-forward
    assert calls == {**per_block, **per_layer, "decoder.dropout": 1}


@pytest.mark.parametrize("attention", ["self_attention", "cross_attention"])
def test_the_decoders_attention_drops_weights_in_training_only(attention):
    module = getattr(golden_toy.network(2, dropout=0.0).train().decoder.layers[0], attention)
    assert module.dropout == 0.2
    x, (key, value) = torch.randn(2, 30, 16), torch.randn(2, 2, 4, 30, 4).unbind(0)
    assert not torch.equal(module(x, key, value), module(x, key, value))
    module.eval()
    assert torch.equal(module(x, key, value), module(x, key, value))


def test_every_normalisation_has_the_published_momentum_and_epsilon():
    for name, module in build(model_config()).named_modules():
        if isinstance(module, MaskedBatchNorm):
            assert module.momentum == (0.95 if name.startswith("stem") and name.endswith(".norm") else 0.1), name
        if isinstance(module, MaskedBatchNorm | nn.LayerNorm):
            assert module.eps == 1e-5, name


def test_encoder_and_heads_start_as_torchs_linear_and_scales_at_one():
    torch.manual_seed(1)
    network = Network(model_config(blocks=1))
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and "decoder." not in name:
            bound = module.in_features ** -0.5
            assert module.weight.abs().max().item() == pytest.approx(bound, rel=0.05), name
            assert module.bias is None or 0 < module.bias.abs().max() <= bound, name
    for name, value in network.encoder.named_parameters():
        if name.count(".") == 3 and name.endswith(("scale", "bias")):
            assert (value == (1 if name.endswith("scale") else 0)).all(), name


def test_relative_attentions_biases_start_xavier_uniform():
    torch.manual_seed(1)
    attention = Network(ROUND1).encoder.blocks[0].attention.unit
    for value in (attention.content_bias, attention.position_bias):
        assert value.abs().max().item() == pytest.approx((6 / (4 + 36)) ** 0.5, rel=0.05)


def sequences():
    frames = torch.randn(3, 20, 130, 3, generator=torch.Generator().manual_seed(3))
    return frames, torch.tensor([20, 1, 13])


def test_only_a_network_with_that_head_tells_a_confidence():
    assert golden_toy.network(1).greedy(*sequences())[1] is None
    assert golden_toy.network(2).greedy(*sequences())[1].shape == (3,)


def test_a_reading_is_as_sure_as_the_frames_that_show_a_character():
    torch.manual_seed(1)
    network, (frames, lengths) = Network(model_config(**golden_toy.TOY, shown=True)).eval(), sequences()
    with torch.no_grad():
        network.shown.weight.mul_(5)
        network.shown.bias[BLANK] += 8
        encoded, mask = network.encode(frames, lengths)
        shows = network.shown(encoded).double().softmax(dim=2)[..., :BLANK].sum(dim=2)
        for found, row, length in zip(network.reading_logit(encoded, mask), shows, lengths.tolist()):
            real = row[:length]
            assert found.item() == pytest.approx(((real * real.logit()).sum() / real.sum()).item(), abs=1e-3)
        assert shows[0].max() - shows[0].min() > 0.2, "frames should differ"
        network.shown.bias[BLANK] += 1000                                        # certain that no frame shows anything
        assert (network.reading_logit(encoded, mask) < -900).all()


def test_without_that_head_the_confidence_head_says_it_if_there_is_one():
    network = golden_toy.network(2)
    encoded, mask = network.encode(*sequences())
    assert torch.equal(network.reading_logit(encoded, mask), network.confidence_logit(encoded))
    assert golden_toy.network(1).reading_logit(encoded, mask) is None


def test_the_backward_decoder_is_asked_only_with_its_tokens():
    network, (frames, lengths) = golden_toy.network(2), sequences()
    assert set(network(frames, lengths, torch.full((3, 4), text.SOS))) == {"forward", "confidence"}


@pytest.mark.parametrize("head", ["ctc", "shown"])
def test_the_heads_of_single_frames_answer_each(head):
    network = Network(model_config(**golden_toy.TOY, **{head: True}))
    frames, lengths = sequences()
    assert network(frames, lengths, torch.full((3, 4), text.SOS))[head].shape == (3, 20, 60)


@pytest.mark.parametrize("round", [1, 2])
def test_training_reaches_every_weight(round):
    network, (frames, lengths) = golden_toy.network(round).train(), sequences()
    tokens = torch.randint(0, 59, (3, 33))
    outputs = network(frames, lengths, tokens, tokens)
    sum(value.square().sum() for value in outputs.values()).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("round", [1, 2])
def test_mixed_precision_stays_near_single_precision(round, dtype):
    network, (frames, lengths) = golden_toy.network(round, dropout=0.0, decoder_attention_dropout=0.0).train(), sequences()
    tokens = torch.full((3, 33), text.SOS)
    single = network(frames, lengths, tokens)["forward"]
    with torch.autocast("cpu", dtype):
        mixed = network(frames, lengths, tokens)["forward"]
    mixed.float().square().mean().backward()
    assert (mixed.float() - single).abs().mean() < (0.02 if dtype == torch.float16 else 0.1)
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("lengths, message", [
    ([20, 0, 13], "must be in 1..20; a sequence without frames"), ([20, 21, 13], "must be in 1..20"),
    ([5, 5], "expected \\(3,\\)")])
def test_impossible_lengths_are_an_error(lengths, message, training):
    with pytest.raises(ValueError, match=message):
        golden_toy.network(2).train(training).encode(sequences()[0], torch.tensor(lengths))


@pytest.mark.parametrize("shape, message", [
    ((1, 385, 130, 3), "385 frames; the network reads at most 384: resample"), ((1, 20, 390), "frames have the shape"),
    ((1, 20, 543, 3), "frames have the shape"), ((20, 130, 3), "frames have the shape"), ((1, 0, 130, 3), "without frames")])
def test_frames_of_another_shape_are_an_error_that_says_what_was_expected(shape, message):
    with pytest.raises(ValueError, match=message):
        golden_toy.network(2).encode(torch.zeros(shape), torch.tensor([shape[1]]))


@pytest.mark.parametrize("fields, message", [
    (dict(blocks=0), "blocks is 0"), (dict(attention="linear"), "attention is 'linear'"),
    (dict(dim=210), "dim 210 must be divisible"), (dict(kernel=50), "kernel is 50; it must be odd"),
    (dict(dropout=1.5), "dropout is 1.5"), (dict(stem_momentum=-1), "stem_momentum is -1")])
def test_impossible_configurations_are_errors_that_name_the_value(fields, message):
    with pytest.raises(ValueError, match=message):
        model_config(**fields)


def test_a_decoder_of_any_size_keeps_its_shapes():
    decoder = Decoder(model_config(dim=48, decoder_heads=6, decoder_layers=3, decoder_ffn=20))
    assert decoder(torch.zeros(2, 5, dtype=torch.long), decoder.start(torch.randn(2, 7, 48), torch.ones(2, 7, dtype=torch.bool))
                   ).shape == (2, 5, 63)
