"""Greedy decoding, with one network and with several."""

import golden_toy
import pytest
import torch

from aslutils.model.decoding import greedy
from aslutils.task.text import EOS, SOS, STEPS

FRAMES, LENGTHS = torch.randn(3, 20, 130, 3, generator=torch.Generator().manual_seed(3)), torch.tensor([20, 1, 13])


@torch.no_grad()
def spelled(networks):
    return greedy([network.decoder for network in networks], [network.encode(FRAMES, LENGTHS) for network in networks])


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [(1,), (2,), (2, 1)], ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_greedy_decoding_is_recomputing_every_step(rounds, seed):
    networks = [golden_toy.network(round, seed) for round in rounds]
    found, logits = spelled(networks)
    tokens = torch.full((3, 1), SOS)
    for step in range(found.shape[1]):
        with torch.no_grad():
            expected = sum(network(FRAMES, LENGTHS, tokens)["forward"][:, -1] for network in networks) / len(networks)
        going = (found[:, :step] != EOS).all(dim=1)
        torch.testing.assert_close(logits[going, step], expected[going], atol=1e-4, rtol=0)
        assert found[going, step].tolist() == expected[going].argmax(dim=-1).tolist()
        assert (found[~going, step] == EOS).all()
        tokens = torch.cat([tokens, found[:, step:step + 1]], dim=1)


def test_it_goes_on_until_all_have_ended_and_no_further():
    network = golden_toy.network(2)
    with torch.no_grad():
        network.decoder.head.weight[EOS] = 50 * network.decoder.norm.bias
    assert spelled([network])[0].tolist() == [[EOS]] * 3
    with torch.no_grad():
        network.decoder.head.weight[EOS] *= -1
    assert spelled([network])[0].shape == (3, STEPS)
