"""Where the decoder looks."""

import copy

import numpy as np
import torch

from aslutils import plots
from aslutils.plots.decoding import attention_weights


def test_attention_is_a_distribution_over_frames_for_each_token_and_leaves_the_network_alone(network, store):
    network.train()
    tokens, weights = attention_weights(network, store.frames(1))
    assert network.training and weights.shape == (len(tokens), len(store.landmarks(1)))
    assert weights.min() >= 0 and np.allclose(weights.sum(1), 1, atol=1e-5)
    assert not any(layer.cross_attention._forward_pre_hooks for layer in network.decoder.layers)
    lower = plots.attention(network, store, 1).axes[1]
    assert len(lower.get_yticklabels()) == len(tokens)
    assert lower.collections[0].get_offsets().tolist() == [[frame, row] for row, frame in enumerate(weights.argmax(1))]


def test_attention_is_what_the_decoder_really_uses(network, store):
    """Given values that are the same for all heads, the layers mix them as the weights say."""
    network.eval()
    given = []
    hooks = [layer.cross_attention.register_forward_pre_hook(lambda module, inputs, named: given.append((module, inputs, named)),
                                                             with_kwargs=True) for layer in network.decoder.layers]
    _, weights = attention_weights(network, store.frames(1))
    for hook in hooks:
        hook.remove()
    value, mixed = torch.randn(weights.shape[1], 8), []
    for module, (x, key, _), named in given[-len(hooks):]:
        module = copy.copy(module)
        module._modules = {**module._modules, "output": torch.nn.Identity()}
        heads = module(x, key, value.expand(1, module.heads, -1, -1), **named).unflatten(-1, (module.heads, -1))
        mixed.append(heads[0].mean(1))
    assert np.allclose(torch.stack(mixed).mean(0).detach(), weights @ value.numpy(), atol=1e-5)
