"""Muon: which weights it moves, how far, and that it goes on where it stopped."""

import copy

import numpy as np
import pytest
import torch
from configs import model_config

from aslutils.model.network import Network
from aslutils.training.optimiser import _SIZE, build, hidden_matrices, orthogonal

OPTIONS = dict(learning_rate=0.01, beta2=0.98, weight_decay=0.05)


@pytest.fixture
def network():
    torch.manual_seed(1)
    return Network(model_config(dim=32, blocks=1, ctc=True))


def give_gradients(network, seed):
    draw = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draw)


def test_hidden_matrices_are_all_but_embeddings_and_output_layers(network):
    names = {name for name, parameter in network.named_parameters() if any(parameter is matrix for matrix in
                                                                           hidden_matrices(network))}
    assert {"stem.all.linear.weight", "encoder.blocks.0.attention.unit.query.weight",
            "backward_decoder.layers.1.linear2.weight"} <= names
    others = {name for name, parameter in network.named_parameters() if parameter.ndim == 2} - names
    assert others == {"decoder.embedding.weight", "decoder.head.weight", "backward_decoder.embedding.weight",
                      "backward_decoder.head.weight", "ctc.weight", "confidence.weight"}


def test_directions_become_alike_and_stay_where_they_point():
    draw = torch.Generator().manual_seed(2)
    rotated, _ = torch.linalg.qr(torch.randn(3, 24, 24, generator=draw))
    strengths = torch.logspace(0, -1.5, 24)                            # the weakest direction is 30 times weaker
    x = (rotated * strengths) @ torch.linalg.qr(torch.randn(3, 40, 24, generator=draw))[0].mT
    found = orthogonal(x)
    along = (rotated.mT @ found).norm(dim=2)                           # how far each direction is turned into
    assert along.min() > 0.3 and along.max() < 1.3
    torch.testing.assert_close(orthogonal(1000 * x), found, rtol=1e-4, atol=1e-5)


def test_a_matrix_moves_by_a_share_of_the_learning_rate_whatever_its_gradients_size(network):
    before = copy.deepcopy(network)
    optimiser = build(network, "muon", **{**OPTIONS, "weight_decay": 0.0})
    give_gradients(network, 3)
    for parameter in network.parameters():
        parameter.grad *= 1e-4
    optimiser.step()
    matrices = {id(matrix) for matrix in hidden_matrices(network)}
    for (name, new), old in zip(network.named_parameters(), before.parameters()):
        moved = float((new - old).detach().square().mean().sqrt())
        size = _SIZE if id(new) in matrices else 1.0                   # AdamW's first step moves every weight by the rate
        assert moved == pytest.approx(size * 0.01, rel=0.35), name


def test_lying_and_standing_matrices_are_moved_alike(network):
    layer = network.decoder.layers[0].linear1.weight, network.decoder.layers[0].linear2.weight
    with torch.no_grad():
        layer[1].copy_(layer[0].mT)
    optimiser = build(network, "muon", **OPTIONS)
    for seed in range(3):
        give_gradients(network, seed)
        layer[1].grad = layer[0].grad.mT.clone()
        optimiser.step()
    torch.testing.assert_close(layer[1], layer[0].mT.contiguous(), rtol=1e-5, atol=1e-6)


def test_what_is_no_hidden_matrix_is_moved_as_by_adamw(network):
    other = copy.deepcopy(network)
    for model, name in ((network, "muon"), (other, "adamw")):
        optimiser = build(model, name, **OPTIONS)
        for seed in range(3):
            give_gradients(model, seed)
            optimiser.step()
    matrices = {id(matrix) for matrix in hidden_matrices(network)}
    same = [torch.equal(ours, theirs) for ours, theirs in zip(network.parameters(), other.parameters())
            if id(ours) not in matrices]
    assert len(same) > 30 and all(same)


def test_it_goes_on_where_it_stopped(network):
    optimiser = build(network, "muon", **OPTIONS)
    give_gradients(network, 1)
    optimiser.step()
    other = copy.deepcopy(network)
    resumed = build(other, "muon", **OPTIONS)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for model, its in ((network, optimiser), (other, resumed)):
        give_gradients(model, 2)
        its.step()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(network.parameters(), other.parameters()))


def test_a_step_with_infinite_gradients_moves_nothing(network):
    optimiser = build(network, "muon", **OPTIONS)
    give_gradients(network, 1)
    optimiser.found_inf = torch.tensor(0.0)
    optimiser.step()
    before, momentum = copy.deepcopy(network), [copy.deepcopy(optimiser.state[matrix]["momentum"])
                                                for matrix in hidden_matrices(network)]
    give_gradients(network, 2)
    for matrix in hidden_matrices(network):
        matrix.grad[0, 0] = np.inf
    optimiser.found_inf = torch.tensor(1.0)
    optimiser.step()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(network.parameters(), before.parameters()))
    assert all(torch.equal(optimiser.state[matrix]["momentum"], kept)
               for matrix, kept in zip(hidden_matrices(network), momentum))
