"""Reading every second frame too: PyTorch and both exports take the same one of two readings, the more certain."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from configs import beam_search, model_config
from toys import TOY, lively, made_columns

from aslutils.model.network import BLANK, Network
from aslutils.port.compare import read_pytorch, read_tflite
from aslutils.port.export import convert, with_precision
from aslutils.port.precision import unpack
from aslutils.reading.tflite import Model
from aslutils.task.rejection import MIN_FRAMES, PUBLISHED, Limits, Verdict
from aslutils.task.text import CHARACTERS

pytestmark = pytest.mark.slow

FRAMES = 101                       # odd, so that the last frame counts
SEQUENCES = [made_columns(length, seed) for seed, length in enumerate([0, 1, 14, 15, 29, 30, 31, 100, 101, *range(32, 90, 4)])]


def logit(probability):
    return np.log(probability / (1 - probability))


@pytest.fixture(scope="module")
def headed() -> Network:
    """A toy network with all heads, that rejects some."""
    network = lively(Network(model_config(**TOY | dict(blocks=1, ctc=True, shown=True))), 2)
    with torch.no_grad():
        network.shown.bias[BLANK] += 6                                           # confidences from 0.09 to 0.46
    return network


@pytest.fixture(params=["as published", "no confidence", "all heads"])
def case(request, round1, round2, headed):
    """Networks, how they decode, and what they reject."""
    networks, beam, limits = {"as published": ([round2], None, PUBLISHED), "no confidence": ([round1], None, PUBLISHED),
                              "all heads": ([headed], beam_search(4, 0.5, 0.4, 0.3), Limits(0.15, 0.05))}[request.param]
    return SimpleNamespace(networks=networks, beam=beam, limits=limits)


def test_both_exports_answer_as_pytorch_does(case):
    shapes = (None, FRAMES) if case.beam else (None,)
    models = [Model(convert(case.networks, case.beam, frames, case.limits, half_rate=True)) for frames in shapes]
    longer, verdicts = [made_columns(length, length) for length in (383, 384, 385, 500)], set()
    for inputs in SEQUENCES + longer:
        expected = read_pytorch(case.networks, inputs, case.beam, case.limits, half_rate=True)
        verdicts.add(expected.verdict)
        for model in models if len(inputs) <= FRAMES else models[:1]:
            found = read_tflite(model, inputs)
            assert (found.text, found.verdict) == (expected.text, expected.verdict), len(inputs)
            if len(inputs):
                np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)
    assert verdicts >= {Verdict.READ, Verdict.TOO_SHORT} | ({Verdict.UNSURE} if case.limits.certainty else set())


def test_networks_of_different_heads_share_a_confidence(round1, round2, headed):
    networks = [headed, round1, round2]
    model = Model(convert(networks))
    for inputs in SEQUENCES[6:9]:
        found, expected = read_tflite(model, inputs), read_pytorch(networks, inputs)
        logits = [logit(read_pytorch([network], inputs).confidence) for network in (headed, round2)]
        assert found.text == expected.text and found.confidence == pytest.approx(expected.confidence, abs=1e-4)
        assert logit(found.confidence) == pytest.approx(np.mean(logits), abs=1e-3)


def test_the_clearly_more_certain_text_is_the_answer_with_all_that_belongs_to_it(round2):
    """Standardised together, every second frame is not quite what every second row alone would be: hence the room."""
    once, twice = (Model(convert([round2], half_rate=half)) for half in (False, True))
    taken = []
    for inputs in SEQUENCES:
        full, answer = read_pytorch([round2], inputs), twice(inputs)
        found = read_tflite(twice, inputs)
        if len(inputs) < 2 * MIN_FRAMES or full.verdict is not Verdict.READ:
            assert (found.text, found.verdict) == (full.text, full.verdict)
            continue
        certain, half = (float(once(columns)["certainty"]) for columns in (inputs, inputs[::2]))
        taken.append(found.text != full.text)
        assert half > 1.05 * certain - 0.02 if taken[-1] else half < 1.05 * certain + 0.02
        characters = answer["outputs"].argmax(axis=1) < len(CHARACTERS)
        assert answer["certainty"] == pytest.approx(answer["confidence"] * answer["probabilities"][characters].mean(), rel=1e-3)
        assert answer["certainty"] >= certain - 1e-4
    assert 2 < sum(taken) < len(taken) - 2, "both readings should be met"


def test_both_readings_share_their_weights(headed):
    once, twice = (convert([headed], half_rate=half) for half in (False, True))
    stored = [sum(len(buffer.data) for buffer in unpack(content).buffers if buffer.data is not None) for content in (once, twice)]
    assert stored[1] < 1.1 * stored[0]
    model = Model(with_precision(twice, "float16"))
    assert all(read_tflite(model, inputs).text == read_pytorch([headed], inputs, half_rate=True).text for inputs in SEQUENCES[:8])
