"""The published winning weights: their names, reading them safely, and writing ours in that form.

A published file is a dict whose key `model` holds the weights (keys may carry `module.` in front). Sizes are inferred from
the shapes; what is missing or left over is reported by name.
"""

import re

import torch

from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.system.errors import UserError
from aslutils.task.text import VOCABULARY

PART_SUFFIX = {"left_hand": "_lhand", "right_hand": "_rhand", "face": "_face", "pose": "_pose"}
DECODER_HEADS = 4                  # of every published network; no weight's shape shows it
TRAINED_WITH = {"stem_momentum": 0.95, "dropout": 0.1, "decoder_attention_dropout": 0.2}   # nor does any show these
DERIVED = re.compile(r"(^|\.)(cos|sin)$|embed_positions\.weights$|num_batches_tracked$|embed_positions\._float_tensor$")

_STEM = {"conv.weight": "conv_stem.weight", "conv_norm": "bn_conv", "linear.weight": "stem_linear.weight", "norm": "stem_bn"}
_NORM = ("weight", "bias", "running_mean", "running_var")
_UNITS = {"attention": "mhsa", "feed_forward1": "ff_mhsa", "convolution": "conv", "feed_forward2": "ff_conv"}
_RELATIVE = {"query": "query_proj", "key": "key_proj", "value": "value_proj", "output": "out_proj", "position": "pos_proj"}
_LAYER = {"self_attention": "self_attn", "cross_attention": "encoder_attn"}
_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}


def published_names(config: ModelConfig) -> dict[str, str]:
    """Our weight names -> the published ones, for a network of this configuration (the CTC head has none)."""
    names = dict(_stem_names("stem.all", "feature_extractor"))
    if config.part_stems:
        for part, suffix in PART_SUFFIX.items():
            names.update(_stem_names(f"stem.parts.{part}", f"feature_extractor{suffix}"))
    for index in range(config.blocks):
        names.update(_block_names(f"encoder.blocks.{index}", config.attention))
    names.update(_decoder_names("decoder", config.decoder_layers))
    if config.backward_decoder:
        names.update({ours.replace("decoder.", "backward_decoder.", 1): theirs.replace("decoder.", "decoder2.", 1)
                      for ours, theirs in _decoder_names("decoder", config.decoder_layers)})
    if config.confidence:
        names.update({f"confidence.{kind}": f"aux_fc.{kind}" for kind in ("weight", "bias")})
    return names


def _stem_names(ours, theirs):
    for name, published in _STEM.items():
        if name.endswith("weight"):
            yield f"{ours}.{name}", f"{theirs}.{published}"
        else:
            yield from ((f"{ours}.{name}.{kind}", f"{theirs}.{published}.{kind}") for kind in _NORM)


def _block_names(block, attention):
    for unit, published in _UNITS.items():
        yield f"{block}.{unit}.scale", f"{block}.scale_{published}"
        yield f"{block}.{unit}.bias", f"{block}.bias_{published}"
        yield from ((f"{block}.{unit}.norm.{kind}", f"{block}.ln_{published}.{kind}") for kind in ("weight", "bias"))
    if attention == "rotary":
        for name in ("query", "key", "value", "output"):
            yield f"{block}.attention.unit.{name}.weight", f"{block}.mhsa_llama.{name[0]}_proj.weight"
    else:
        for name, published in _RELATIVE.items():
            for kind in ("weight",) if name == "position" else ("weight", "bias"):
                yield f"{block}.attention.unit.{name}.{kind}", f"{block}.mhsa.attention.{published}.{kind}"
        yield f"{block}.attention.unit.content_bias", f"{block}.mhsa.attention.u_bias"
        yield f"{block}.attention.unit.position_bias", f"{block}.mhsa.attention.v_bias"
    for unit in ("feed_forward1", "feed_forward2"):
        for index in (1, 2):
            yield from ((f"{block}.{unit}.unit.linear{index}.{kind}", f"{block}.{_UNITS[unit]}.ffn{index}.{kind}")
                        for kind in ("weight", "bias"))
    convolution, published = f"{block}.convolution.unit", f"{block}.conv"
    for index in (1, 2):
        yield from ((f"{convolution}.pointwise{index}.{kind}", f"{published}.pw_conv_{index}.conv.{kind}")
                    for kind in ("weight", "bias"))
    yield f"{convolution}.depthwise.weight", f"{published}.dw_conv.conv.weight"
    yield from ((f"{convolution}.norm.{kind}", f"{published}.bn.{kind}") for kind in _NORM)


def _decoder_names(decoder, layers):
    names = [(f"{decoder}.embedding.weight", f"{decoder}.decoder.embed_tokens.weight"),
             (f"{decoder}.head.weight", f"{decoder}.lm_head.weight")]
    norms = {"norm": "layer_norm"}
    linears = {}
    for index in range(layers):
        ours, theirs = f"layers.{index}", f"layers.{index}"
        norms.update({f"{ours}.self_attention_norm": f"{theirs}.self_attn_layer_norm",
                      f"{ours}.cross_attention_norm": f"{theirs}.encoder_attn_layer_norm",
                      f"{ours}.norm": f"{theirs}.final_layer_norm"})
        linears.update({f"{ours}.linear1": f"{theirs}.fc1", f"{ours}.linear2": f"{theirs}.fc2"})
        linears.update({f"{ours}.{attention}.{name}": f"{theirs}.{_LAYER[attention]}.{published}"
                        for attention in _LAYER for name, published in _PROJECTIONS.items()})
    return names + [(f"{decoder}.{name}.{kind}", f"{decoder}.decoder.{published}.{kind}")
                    for name, published in {**norms, **linears}.items() for kind in ("weight", "bias")]


def infer_config(weights: dict[str, torch.Tensor], source="the checkpoint") -> ModelConfig:
    """The configuration of published weights, from their names and shapes. Raises ValueError naming what does not fit."""
    strange = [name for name, value in weights.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise UserError(f"{source} is not a published checkpoint: these are not weights: {_listed(strange)}")
    try:
        vocabulary, sizes = weights["decoder.lm_head.weight"].shape[0], _sizes(weights)
    except KeyError as error:
        raise UserError(f"{source} is not a published checkpoint: it lacks the weight {error.args[0]!r}") from error
    except (IndexError, ZeroDivisionError) as error:
        raise UserError(f"{source} is not a published checkpoint: its weights have impossible shapes") from error
    if vocabulary != VOCABULARY:
        raise UserError(f"{source} was trained with a vocabulary of {vocabulary} tokens; this kit's has {VOCABULARY}")
    try:
        return ModelConfig(**sizes)
    except ValueError as error:
        raise UserError(f"{source} holds a network that the kit cannot build: {error}") from error


def _sizes(weights) -> dict:
    relative = any(".mhsa.attention." in name for name in weights)
    dim = weights["feature_extractor.stem_linear.weight"].shape[0]
    return {
        "dim": dim,
        "blocks": _count(weights, r"encoder\.blocks\.(\d+)\."),
        "heads": weights["encoder.blocks.0.mhsa.attention.u_bias"].shape[0] if relative else dim // weights["cos"].shape[-1],
        "kernel": weights["encoder.blocks.0.conv.dw_conv.conv.weight"].shape[-1],
        "attention": "relative" if relative else "rotary",
        "part_stems": "feature_extractor_lhand.stem_linear.weight" in weights,
        "backward_decoder": "decoder2.lm_head.weight" in weights,
        "confidence": "aux_fc.weight" in weights,
        "decoder_layers": _count(weights, r"decoder\.decoder\.layers\.(\d+)\."),
        "decoder_heads": DECODER_HEADS,
        **TRAINED_WITH,
        "decoder_ffn": weights["decoder.decoder.layers.0.fc1.weight"].shape[0],
        "stem_channels": weights["feature_extractor.conv_stem.weight"].shape[0],
    }


def _count(weights, pattern):
    return 1 + max((int(match.group(1)) for name in weights if (match := re.match(pattern, name))), default=-1)


def from_published(weights: dict[str, torch.Tensor], source="the checkpoint") -> Network:
    """A network with published weights. Raises ValueError naming what is missing, left over or of another shape."""
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    network = Network(infer_config(weights, source))
    names = published_names(network.config)
    missing = [theirs for theirs in names.values() if theirs not in weights]
    left_over = [name for name in weights if name not in set(names.values()) and not DERIVED.search(name)]
    if missing or left_over:
        raise UserError(f"{source} does not hold a network that the kit knows; missing: {_listed(missing)}; "
                         f"left over: {_listed(left_over)}")
    ours = {}
    state = network.state_dict()
    for name, published in names.items():
        value, expected = weights[published], _published_shape(published, state[name]).shape
        if value.shape != expected:
            raise UserError(f"{source}: {published} has the shape {tuple(value.shape)}, expected {tuple(expected)}")
        ours[name] = value.float().reshape(state[name].shape)
    network.load_state_dict(ours)
    return network


def to_published(network: Network) -> dict[str, torch.Tensor]:
    """A network's weights under the published names and shapes, the derived tables included.

    The heads of single frames and the training parameters are left out. Raises ValueError for a network that this form cannot
    represent.
    """
    config, state = network.config, network.state_dict()
    if config.decoder_heads != DECODER_HEADS:
        raise UserError(f"the published form implies decoders of {DECODER_HEADS} heads, this network's have "
                         f"{config.decoder_heads}; keep it in our own form")
    weights = {theirs: _published_shape(theirs, state[ours]) for ours, theirs in published_names(config).items()}
    if config.attention == "rotary":
        attention = network.encoder.blocks[0].attention.unit
        weights["cos"], weights["sin"] = attention.cos[None, None], attention.sin[None, None]
    weights["decoder.decoder.embed_positions.weights"] = network.decoder.positions
    if config.backward_decoder:
        weights["decoder2.decoder.embed_positions.weights"] = network.backward_decoder.positions
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def _published_shape(name, value):
    if re.search(r"\.(scale|bias)_(mhsa|ff_mhsa|conv|ff_conv)$", name):
        return value[None, None]
    return value[..., None] if re.search(r"pw_conv_\d\.conv\.weight$", name) else value


def _listed(names, most=5):
    return (", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")) or "nothing"
