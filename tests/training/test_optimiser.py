"""Muon: which weights it moves, how far, and that it goes on where it stopped."""

import copy

import numpy as np
import pytest
import torch
from configs import model_config

from aslutils.model.network import Network
from aslutils.training.optimiser import build, hidden_matrices, orthogonal

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


def test_directions_stay_where_they_point_and_the_weak_ones_grow():
    draw = torch.Generator().manual_seed(2)
    left, _ = torch.linalg.qr(torch.randn(3, 24, 24, generator=draw))
    right, _ = torch.linalg.qr(torch.randn(3, 40, 24, generator=draw))
    strengths = torch.logspace(0, -1.5, 24)                            # the weakest direction is 30 times weaker
    x = (left * strengths) @ right.mT
    found = left.mT @ orthogonal(x) @ right
    along = found.diagonal(dim1=1, dim2=2)
    assert along.min() > 0.3 and along.max() < 1.3                     # now at most 4 times
    assert (found - torch.diag_embed(along)).abs().max() < 1e-4
    torch.testing.assert_close(orthogonal(1000 * x), orthogonal(x), rtol=1e-4, atol=1e-5)


def moved_plainly(matrix: np.ndarray, gradients: list[np.ndarray], rate: float, weight_decay: float) -> np.ndarray:
    """Muon of one matrix, as one reads it in the sources."""
    momentum = np.zeros_like(matrix)
    for gradient in gradients:
        momentum = 0.95 * momentum + 0.05 * gradient
        x = 0.95 * momentum + 0.05 * gradient                          # Nesterov's
        x = x / np.linalg.norm(x)
        for _ in range(3):
            x = 3.4445 * x - 4.7750 * (x @ x.T) @ x + 2.0315 * (x @ x.T) @ (x @ x.T) @ x
        matrix = matrix - rate * (weight_decay * matrix + 0.4 * max(matrix.shape) ** 0.5 * x)
    return matrix


def test_wide_and_tall_matrices_move_as_in_the_sources(network):
    layer = network.decoder.layers[0]
    matrices = layer.linear1.weight, layer.linear2.weight              # (F, D) and (D, F)
    before = [matrix.detach().numpy().astype(float) for matrix in matrices]
    optimiser, gradients = build(network, "muon", **OPTIONS), []
    for seed in range(3):
        give_gradients(network, seed)
        gradients.append([matrix.grad.numpy().astype(float) for matrix in matrices])
        optimiser.step()
    for matrix, start, its in zip(matrices, before, zip(*gradients)):
        expected = moved_plainly(start, list(its), 0.01, 0.05)
        assert np.abs(matrix.detach().numpy() - expected).max() < 1e-3 * np.abs(expected - start).max()


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


def test_a_step_that_overflows_in_fp16_moves_nothing(network):
    optimiser, scaler = build(network, "muon", **OPTIONS), torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(torch.ones(()))                                       # makes the scale's tensor
    matrices = hidden_matrices(network)

    def step(seed, overflows):
        give_gradients(network, seed)
        if overflows:
            matrices[0].grad[0, 0] = np.inf
        scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 4.0)      # makes all gradients NaN if one is infinite
        scaler.step(optimiser)
        scaler.update()
        return ([parameter.detach().clone() for parameter in network.parameters()]
                + [optimiser.state[matrix]["momentum"].clone() for matrix in matrices])

    first, second, third = step(1, False), step(2, True), step(3, False)
    assert all(map(torch.equal, first, second)) and scaler.get_scale() == 1.0
    assert not any(map(torch.equal, second, third)) and all(torch.isfinite(value).all() for value in third)


def test_another_name_and_a_closure_are_refused(network):
    with pytest.raises(ValueError, match="there is no optimiser 'sgd'; there are adamw, muon"):
        build(network, "sgd", **OPTIONS)
    with pytest.raises(ValueError, match="takes no closure"):
        build(network, "muon", **OPTIONS).step(lambda: 0.0)
