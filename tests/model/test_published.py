"""Published winning weights: names, sizes, and what is said of those that do not fit."""

import golden_toy
import pytest
import torch
from configs import model_config

from aslutils.model.network import Network
from aslutils.model.published import from_published, infer_config, published_names, to_published


def weights(round):
    return golden_toy.weights(golden_toy.CONFIG[round], seed=1)


@pytest.mark.parametrize("round", [1, 2])
def test_our_weights_return_from_the_published_form(round):
    network = golden_toy.network(round)
    back = from_published(to_published(network))
    assert back.config == network.config
    for (name, value), other in zip(network.state_dict().items(), back.state_dict().values()):
        assert torch.equal(value, other), name


@pytest.mark.slow
@pytest.mark.parametrize("fields", [
    {}, dict(dim=144, blocks=6, attention="relative", part_stems=False, backward_decoder=False, confidence=False),
    dict(dim=48, blocks=3, heads=6, kernel=15, decoder_layers=3, decoder_ffn=40, stem_channels=8), dict(backward_decoder=False),
    dict(attention="relative", dim=32, blocks=1, heads=8), dict(part_stems=False, dim=32, blocks=1)])
def test_any_size_is_inferred_from_the_shapes(fields):
    config = model_config(**fields)
    with torch.device("meta"):
        network = Network(config)
        shapes = {theirs: network.state_dict()[ours] for ours, theirs in published_names(config).items()}
        shapes["cos"] = torch.empty(1, 1, 384, config.dim // config.heads)
    assert infer_config(shapes) == config


@pytest.mark.parametrize("round", [1, 2])
def test_every_weight_has_one_published_name(round):
    names = published_names(golden_toy.CONFIG[round])
    assert set(names) == set(golden_toy.network(round).state_dict())
    assert len(set(names.values())) == len(names)


def test_a_module_prefix_and_half_precision_are_understood():
    plain = from_published(weights(2)).state_dict()
    prefixed = from_published({f"module.{name}": value.half() for name, value in weights(2).items()}).state_dict()
    for name, value in plain.items():
        torch.testing.assert_close(prefixed[name], value, atol=1e-3, rtol=1e-3)
        assert prefixed[name].dtype == torch.float32


def test_missing_and_left_over_weights_are_named():
    made = weights(2)
    made["encoder.blocks.1.strange"] = made.pop("encoder.blocks.1.ln_conv.bias")
    with pytest.raises(ValueError, match="a.pth.*missing: encoder.blocks.1.ln_conv.bias; left over: encoder.blocks.1.strange"):
        from_published(made, "a.pth")


def test_a_weight_too_many_is_an_error():
    with pytest.raises(ValueError, match="missing: nothing; left over: encoder.extra"):
        from_published({**weights(2), "encoder.extra": torch.zeros(1)})


def test_many_missing_weights_are_counted():
    made = {name: value for name, value in weights(2).items() if "blocks.0.ff_" not in name}
    with pytest.raises(ValueError, match=r"missing: .* and \d+ more; left over: nothing"):
        from_published(made)


@pytest.mark.parametrize("name", ["decoder.lm_head.weight", "cos", "feature_extractor.stem_linear.weight"])
def test_a_weight_that_tells_a_size_is_missed_by_name(name):
    made = weights(2)
    del made[name]
    with pytest.raises(ValueError, match=f"a.pth is not a published checkpoint: it lacks the weight '{name}'"):
        from_published(made, "a.pth")


def test_a_wrong_vocabulary_is_said():
    made = weights(2)
    made["decoder.lm_head.weight"] = torch.zeros(70, 16)
    with pytest.raises(ValueError, match=r"a\.pth.*vocabulary of 70 tokens; this kit's has 63"):
        from_published(made, "a.pth")


@pytest.mark.parametrize("name, value, message", [
    ("feature_extractor.stem_linear.weight", torch.zeros(16, 50 * 4), r"stem_linear.weight has the shape \(16, 200\)"),
    ("encoder.blocks.0.ff_conv.ffn1.weight", torch.zeros(8, 32), "ffn1.weight has the shape"),
    ("decoder.decoder.embed_tokens.weight", torch.zeros(16, 63), "embed_tokens.weight has the shape"),
    ("cos", torch.zeros(()), "impossible shapes"), ("cos", torch.zeros(1, 1, 384, 0), "impossible shapes"),
    ("cos", torch.zeros(1, 1, 384, 3), "cannot build"), ("epoch", 7, "not weights: epoch")])
def test_impossible_values_are_errors_that_name_file_and_reason(name, value, message):
    with pytest.raises(ValueError, match=rf"a\.pth.*{message}"):
        from_published({**weights(2), name: value}, "a.pth")


def test_a_network_that_the_published_form_cannot_say_is_refused():
    with pytest.raises(ValueError, match="decoders of 4 heads, this network's have 2"):
        to_published(Network(model_config(**golden_toy.TOY, decoder_heads=2)))
