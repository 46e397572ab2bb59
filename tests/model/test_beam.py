"""Beam search and the backward decoder's opinion against a plain search over lists."""

import pytest
import torch
from configs import beam_search, model_config
from toys import TOY, lively

from aslutils.model.beam import BeamSearch, search
from aslutils.model.decoding import greedy
from aslutils.model.network import Network
from aslutils.task.text import EOS, SOS, STEPS

FRAMES = (16, 23, 31, 40, 52, 64, 77, 90)


@pytest.fixture(scope="module")
def networks():
    return [lively(Network(model_config(**TOY | dict(blocks=1))), seed) for seed in (2, 5)]


@pytest.fixture(scope="module")
def encoded(networks):
    """What the networks make of a sequence of each length."""
    sequences = [torch.randn(1, length, 130, 3, generator=torch.Generator().manual_seed(length)) for length in FRAMES]
    with torch.no_grad():
        return [[network.encode(frames, torch.tensor([frames.shape[1]])) for network in networks] for frames in sequences]


@torch.no_grad()
def log_probabilities(decoders, encoded, tokens):
    """(S, V) after each of `tokens`, from SOS on, by the mean logits; every step computed from the start."""
    logits = [decoder(torch.tensor([tokens]), decoder.start(*frames))[0] for decoder, frames in zip(decoders, encoded)]
    return torch.stack(logits).mean(0).log_softmax(-1)


def plain_search(networks, encoded, settings) -> list[int]:
    """The tokens that a beam search over lists finds."""
    def normalised(total, tokens):
        return total / ((5 + len(tokens)) / 6) ** settings.length_penalty

    hypotheses = [(0.0, [])]                              # tokens with the EOS that ends them
    for _ in range(STEPS):
        grown = [(total, tokens) for total, tokens in hypotheses if tokens[-1:] == [EOS]]
        for total, tokens in hypotheses:
            if tokens[-1:] != [EOS]:
                following = log_probabilities([network.decoder for network in networks], encoded, [SOS, *tokens])[-1]
                grown += [(total + float(gain), [*tokens, token]) for token, gain in enumerate(following)]
        hypotheses = sorted(grown, key=lambda item: -normalised(*item))[:settings.beams]
    if settings.rerank_weight:
        hypotheses = [(_with_backward(networks, encoded, *item, settings), item[1]) for item in hypotheses]
    return [token for token in max(hypotheses, key=lambda item: normalised(*item))[1] if token != EOS]


def _with_backward(networks, encoded, total, tokens, settings) -> float:
    phrase = [token for token in tokens if token != EOS]
    targets = [*phrase[::-1], EOS][:STEPS]
    gains = log_probabilities([network.backward_decoder for network in networks], encoded, [SOS, *targets[:-1]])
    backward = sum(float(gains[place, token]) for place, token in enumerate(targets))
    return (1 - settings.rerank_weight) * total + settings.rerank_weight * backward


@pytest.mark.slow
@pytest.mark.parametrize("settings", [BeamSearch(3, 0.0, 0.0), BeamSearch(3, 1.0, 0.0), BeamSearch(4, 0.5, 0.4)],
                         ids=["narrow", "normalised", "reranked"])
def test_the_search_finds_what_a_plain_search_finds(networks, encoded, settings):
    found = [search(networks, states, settings)[0].argmax(dim=1).tolist() for states in encoded]
    assert found == [plain_search(networks, states, settings) for states in encoded]
    assert len({tuple(tokens) for tokens in found}) > 3


def test_a_beam_of_one_is_greedy(networks, encoded):
    for states in encoded:
        spelled, _ = greedy([network.decoder for network in networks], states)
        found = search(networks, states, BeamSearch(1, 0.0, 0.0))[0].argmax(dim=1)
        assert found.tolist() == spelled[spelled != EOS].tolist()


@pytest.mark.parametrize("wrong", [dict(beams=0), dict(length_penalty=-1.0), dict(rerank_weight=1.5)])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="beams must be at least 1, length_penalty at least 0, rerank_weight in 0..1"):
        beam_search(**wrong)
