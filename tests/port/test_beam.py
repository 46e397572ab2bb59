"""Beam search and the backward decoder's opinion inside the graph, against PyTorch's."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from configs import beam_search, model_config
from toys import ROUND1, TOY, lively, made_columns

from aslutils.model.beam import BeamSearch
from aslutils.model.network import Network
from aslutils.port.compare import network_frames, read_pytorch, read_tflite
from aslutils.port.export import convert
from aslutils.reading.tflite import Model
from aslutils.task.rejection import Verdict
from aslutils.task.text import DUMMY_PHRASE, SOS, STEPS, decode

pytestmark = pytest.mark.slow

NARROW, NORMALISED, RERANKED = BeamSearch(3, 0.0, 0.0), BeamSearch(3, 1.0, 0.0), BeamSearch(4, 0.5, 0.4)
JOINT, JOINT_GREEDY = BeamSearch(4, 0.5, 0.4, 0.3), BeamSearch(1, 0.0, 0.0, 0.4)
SEQUENCES = [made_columns(frames, frames) for frames in (16, 23, 31, 40, 52, 64, 77, 90, 120, 150, 200, 384)]


@pytest.fixture(scope="module")
def sure():
    """Two toy networks that reject nothing: to them nearly every frame shows a character."""
    return [lively(Network(model_config(**TOY | dict(blocks=1, ctc=True, shown=True))), seed) for seed in (2, 6)]


@pytest.fixture(scope="module")
def exported(sure):
    """The networks' export for a beam search, made once."""
    return functools.cache(lambda beam: Model(convert(sure, beam)))


@pytest.mark.parametrize("beam", [NARROW, NORMALISED, RERANKED, JOINT, JOINT_GREEDY],
                         ids=["narrow", "normalised", "reranked", "joint", "joint greedy"])
def test_the_graph_finds_what_pytorch_finds(sure, exported, beam):
    for inputs in SEQUENCES:
        expected, found = read_pytorch(sure, inputs, beam), read_tflite(exported(beam), inputs)
        assert found.text == expected.text
        if expected.text:
            np.testing.assert_allclose(found.logits, expected.logits, atol=1e-3)


@pytest.mark.parametrize("beam", [None, RERANKED], ids=["greedy", "reranked"])
@torch.no_grad()
def test_the_probabilities_are_those_of_the_chosen_tokens(sure, exported, beam):
    unlikely = 0
    for inputs in SEQUENCES:
        answer = exported(beam)(inputs)
        if not answer["probabilities"].any():             # rejected: no character was spelled
            assert read_pytorch(sure, inputs, beam).verdict is Verdict.NO_TEXT
            continue
        tokens = torch.from_numpy(answer["outputs"].argmax(axis=1))
        frames = torch.from_numpy(network_frames(inputs))[None]
        encoded = [network.encode(frames, torch.tensor([frames.shape[1]])) for network in sure]
        before = torch.cat([torch.tensor([SOS]), tokens[:-1]])[None]
        logits = [network.decoder(before, network.decoder.start(*x))[0] for network, x in zip(sure, encoded)]
        expected = torch.stack(logits).mean(0).softmax(-1)
        np.testing.assert_allclose(answer["probabilities"], expected[torch.arange(len(tokens)), tokens], atol=1e-4)
        unlikely += int((expected.argmax(dim=1) != tokens).sum())
    assert (unlikely > 0) == (beam is not None)


def test_a_beam_of_one_is_greedy(sure):
    model = Model(convert(sure, BeamSearch(1, 0.0, 0.0)))
    for inputs in SEQUENCES:
        expected, found = read_pytorch(sure, inputs), read_tflite(model, inputs)
        assert found.text == expected.text
        if len(expected.logits):                          # the chosen logits are raised a little, the others are the same
            np.testing.assert_allclose(found.logits, expected.logits, atol=2e-3)


@pytest.mark.parametrize("beam, count", [(JOINT, 100), (JOINT_GREEDY, 40)], ids=["joint", "joint greedy"])
def test_joint_decoding_reads_sequences_as_pytorch_does_and_not_as_without_the_ctc_head(sure, exported, beam, count):
    lengths = np.random.default_rng(4).integers(15, 160, count)
    sequences = [made_columns(int(length), seed) for seed, length in enumerate(lengths)]
    texts = [read_pytorch(sure, inputs, beam).text for inputs in sequences]
    assert [read_tflite(exported(beam), inputs).text for inputs in sequences] == texts
    without = replace(beam, ctc_share=0.0)
    assert any(read_pytorch(sure, inputs, without).text != text for inputs, text in zip(sequences, texts))


def test_a_wider_beam_and_the_backward_decoder_change_some_texts(sure, exported):
    greedy = [read_pytorch(sure, inputs).text for inputs in SEQUENCES]
    narrow, reranked = ([read_tflite(exported(beam), inputs).text for inputs in SEQUENCES] for beam in (NARROW, RERANKED))
    assert greedy != narrow != reranked


def test_a_search_rejects_and_answers_as_greedy_decoding_does(exported):
    model = exported(RERANKED)
    for inputs in (SEQUENCES[0][:0], SEQUENCES[0][:14], np.full((40, 390), np.nan, np.float32)):
        assert decode(model(inputs)["outputs"].argmax(axis=1)) == DUMMY_PHRASE
    for length in (900, 0, 1, 384, 15, 60):
        outputs = model(made_columns(900, seed=3)[:length])["outputs"]
        assert 1 <= len(outputs) <= STEPS and np.isfinite(outputs).all()


def test_a_network_without_what_the_search_needs_is_named(sure, round2):
    without = lively(Network(model_config(**TOY, **ROUND1)), 1)
    with pytest.raises(ValueError, match="network 2 of 2 has no backward decoder"):
        convert([round2, without], beam_search())
    with pytest.raises(ValueError, match="network 3 of 3 has no CTC head to decode with; set ctc_share to 0"):
        convert([*sure, round2], beam_search(ctc_share=0.2))
