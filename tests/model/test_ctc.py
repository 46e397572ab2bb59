"""CTC prefix scores against the sum over all alignments, and what they change in the beam search."""

from itertools import groupby, product
from math import prod

import numpy as np
import pytest
import torch
from configs import beam_search, model_config
from toys import TOY, lively

from aslutils.model import ctc
from aslutils.model.beam import search
from aslutils.model.network import BLANK, SHOWN_SHARE, Network
from aslutils.task.text import EOS, PAD, SOS

LETTERS = 0, 1, BLANK              # the classes that a frame can have in the sums


def frames(count: int, seed: int = 0) -> torch.Tensor:
    """Log probabilities (T, 60) of a few classes."""
    values = torch.full((count, BLANK + 1), -1e4)
    values[:, LETTERS] = 2 * torch.randn(count, len(LETTERS), generator=torch.Generator().manual_seed(seed))
    return values.log_softmax(dim=1)


def summed(given: torch.Tensor, prefix: tuple, whole: bool) -> float:
    """The log probability that the phrase begins with the prefix, or is it, as a sum over all alignments."""
    total, table = 0.0, given.exp().tolist()
    for alignment in product(LETTERS, repeat=len(given)):
        phrase = tuple(label for label, _ in groupby(alignment) if label != BLANK)
        if phrase == prefix or not whole and phrase[:len(prefix)] == prefix:
            total += prod(row[label] for row, label in zip(table, alignment))
    return np.log(max(total, 1e-30))


@pytest.mark.parametrize("prefix", [(), (0,), (1,), (0, 0), (0, 1), (1, 1, 0), (0, 0, 0), (0, 1, 0, 1)])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_prefix_scores_are_the_sums_over_all_alignments(prefix, count):
    given = frames(count)
    state, last = ctc.start(given, 2), torch.full((2,), SOS)
    for token in prefix:
        tokens = torch.tensor([token, token])
        state, last = ctc.extended(given, state, last, torch.tensor([1, 0]), tokens), tokens
    scores = ctc.prefix_scores(given, state, last)[0]
    for following in (0, 1):
        expected = summed(given, (*prefix, following), whole=False)
        assert max(float(scores[following]), -20) == pytest.approx(max(expected, -20), abs=1e-3)
    assert max(float(scores[EOS]), -20) == pytest.approx(max(summed(given, prefix, whole=True), -20), abs=1e-3)
    assert float(scores[PAD]) < -1e8 and float(scores[SOS]) < -1e8


def test_the_probabilities_of_all_continuations_sum_to_the_prefixes_own():
    given = frames(40, seed=3)
    state, last, before = ctc.start(given, 1), torch.tensor([SOS]), 0.0
    for token in (0, 1, 1, 0):
        scores = ctc.prefix_scores(given, state, last)
        assert float(torch.logsumexp(scores, 1)) == pytest.approx(before, abs=1e-3)
        before, tokens = float(scores[0, token]), torch.tensor([token])
        state, last = ctc.extended(given, state, last, torch.tensor([0]), tokens), tokens


@pytest.fixture
def network():
    return lively(Network(model_config(**TOY | dict(ctc=True))), 4)


def test_frames_vote_by_the_mean_log_probabilities_of_both_their_heads():
    network = lively(Network(model_config(**TOY | dict(ctc=True, shown=True))), 4).eval()
    encoded = torch.randn(1, 7, TOY["dim"], generator=torch.Generator().manual_seed(1))
    by_ctc, by_shown = (head(encoded)[0].log_softmax(1) for head in (network.ctc, network.shown))
    expected = ((1 - SHOWN_SHARE) * by_ctc + SHOWN_SHARE * by_shown).log_softmax(1)
    assert torch.allclose(ctc.frame_log_probabilities([network], [(encoded, None)]), expected, atol=1e-5)
    alone = Network(model_config(**TOY | dict(ctc=True)))
    assert alone.frame_votes() is alone.ctc and Network(model_config(**TOY)).frame_votes() is None


def test_a_sure_ctc_head_decides_what_the_decoder_leaves_open(network, monkeypatch):
    given = torch.full((12, BLANK + 1), -12.0)
    given[range(12), [BLANK, 7, 7, BLANK, 9, 9, BLANK, 9, BLANK, 3, 3, BLANK]] = 0.0
    monkeypatch.setattr(ctc, "frame_log_probabilities", lambda *_: given.log_softmax(1))
    encoded = [network.encode(torch.randn(1, 12, 130, 3), torch.tensor([12]))]
    for beams in (1, 4):
        rows, _ = search([network], encoded, beam_search(beams=beams, rerank_weight=0.0, ctc_share=0.95))
        assert rows.argmax(1).tolist() == [7, 9, 9, 3]


def test_without_a_share_the_ctc_head_is_not_looked_at(network, monkeypatch):
    encoded = [network.encode(torch.randn(1, 20, 130, 3), torch.tensor([20]))]
    monkeypatch.setattr(ctc, "frame_log_probabilities", None)
    search([network], encoded, beam_search(rerank_weight=0.0))
    with pytest.raises(TypeError):
        search([network], encoded, beam_search(rerank_weight=0.0, ctc_share=0.3))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match="ctc_share at least 0 and below 1"):
        beam_search(ctc_share=share)
