"""Beam search and the backward decoder's opinion against a plain search with PyTorch."""

import functools

import numpy as np
import pytest
import torch
from toys import ROUND1, TOY, lively, recording

from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.port.beam import Beam
from aslutils.port.compare import network_frames, read_pytorch, read_tflite
from aslutils.port.export import convert
from aslutils.text import DUMMY_PHRASE, EOS, SOS, STEPS, decode
from aslutils.tflite import Model

NARROW, NORMALISED, RERANKED = Beam(3, 0.0, 0.0), Beam(3, 1.0, 0.0), Beam(4, 0.5, 0.4)
RECORDINGS = [recording(frames, frames) for frames in (16, 23, 31, 40, 52, 64, 77, 90, 120, 150, 200, 384)]


@pytest.fixture(scope="module")
def sure():
    """Two toy networks that reject nothing."""
    networks = [lively(Network(ModelConfig(**TOY | dict(blocks=1))), seed) for seed in (2, 5)]
    for network in networks:
        torch.nn.init.constant_(network.confidence.bias, 100.0)
    return networks


@pytest.fixture(scope="module")
def exported(sure):
    """The networks' export for a beam search, made once."""
    return functools.cache(lambda beam: Model(convert(sure, beam)))


@torch.no_grad()
def log_probabilities(decoders, encoded, tokens) -> np.ndarray:
    """(S, V) after each of `tokens`, from SOS on, by the mean logits; every step computed from the start."""
    logits = [decoder(torch.tensor([tokens]), decoder.start(*frames))[0] for decoder, frames in zip(decoders, encoded)]
    return torch.stack(logits).mean(0).log_softmax(-1).numpy()


def plain_search(networks, inputs, beam: Beam) -> list[int]:
    """The tokens that a beam search over lists finds."""
    frames = torch.from_numpy(network_frames(inputs))[None]
    with torch.no_grad():
        encoded = [network.encode(frames, torch.tensor([frames.shape[1]])) for network in networks]

    def normalised(total, tokens):
        return total / ((5 + len(tokens)) / 6) ** beam.length_penalty

    hypotheses = [(0.0, [])]                              # tokens with the EOS that ends them
    for _ in range(STEPS):
        grown = [(total, tokens) for total, tokens in hypotheses if tokens[-1:] == [EOS]]
        for total, tokens in hypotheses:
            if tokens[-1:] != [EOS]:
                following = log_probabilities([network.decoder for network in networks], encoded, [SOS, *tokens])[-1]
                grown += [(total + float(gain), [*tokens, token]) for token, gain in enumerate(following)]
        hypotheses = sorted(grown, key=lambda item: -normalised(*item))[:beam.width]
    if beam.backward_weight:
        hypotheses = [(_with_backward(networks, encoded, *item, beam), item[1]) for item in hypotheses]
    return [token for token in max(hypotheses, key=lambda item: normalised(*item))[1] if token != EOS]


def _with_backward(networks, encoded, total, tokens, beam) -> float:
    phrase = [token for token in tokens if token != EOS]
    targets = [*phrase[::-1], EOS][:STEPS]
    gains = log_probabilities([network.backward_decoder for network in networks], encoded, [SOS, *targets[:-1]])
    backward = sum(float(gains[place, token]) for place, token in enumerate(targets))
    return (1 - beam.backward_weight) * total + beam.backward_weight * backward


@pytest.mark.parametrize("beam", [NARROW, NORMALISED, RERANKED], ids=["narrow", "normalised", "reranked"])
def test_the_search_in_the_graph_finds_what_a_plain_search_finds(sure, exported, beam):
    model, found, expected = exported(beam), [], []
    for inputs in RECORDINGS[:6]:
        found.append(model(inputs)["outputs"].argmax(axis=1))
        expected.append(plain_search(sure, inputs, beam) or [EOS])
    assert [tokens.tolist() for tokens in found] == expected
    assert len({tuple(tokens) for tokens in expected}) > 3


def test_a_beam_of_one_is_greedy(sure):
    model = Model(convert(sure, Beam(1, 0.0, 0.0)))
    for inputs in RECORDINGS:
        expected, found = read_pytorch(sure, inputs), read_tflite(model, inputs)
        assert found.text == expected.text
        if len(expected.logits):                          # the chosen logits are raised a little, the others are the same
            np.testing.assert_allclose(found.logits, expected.logits, atol=2e-3)


def test_a_wider_beam_and_the_backward_decoder_change_some_texts(sure, exported):
    greedy = [read_pytorch(sure, inputs).text for inputs in RECORDINGS]
    narrow, reranked = ([read_tflite(exported(beam), inputs).text for inputs in RECORDINGS] for beam in (NARROW, RERANKED))
    assert greedy != narrow != reranked


def test_a_search_rejects_and_answers_as_greedy_decoding_does(exported):
    model = exported(RERANKED)
    for inputs in (RECORDINGS[0][:0], RECORDINGS[0][:14], np.full((40, 390), np.nan, np.float32)):
        assert decode(model(inputs)["outputs"].argmax(axis=1)) == DUMMY_PHRASE
    for length in (900, 0, 1, 384, 15, 60):
        outputs = model(recording(900, seed=3)[:length])["outputs"]
        assert 1 <= len(outputs) <= STEPS and np.isfinite(outputs).all()


def test_a_network_without_a_backward_decoder_is_named(round2):
    without = lively(Network(ModelConfig(**TOY, **ROUND1)), 1)
    with pytest.raises(ValueError, match="network 2 of 2 has no backward decoder"):
        convert([round2, without], Beam())


@pytest.mark.parametrize("wrong", [dict(width=0), dict(length_penalty=-1.0), dict(backward_weight=1.5)])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="width must be at least 1, length_penalty at least 0, backward_weight in 0..1"):
        Beam(**wrong)
