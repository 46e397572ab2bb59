"""Beam search over an ensemble: the decoder's opinion, optionally with that of the CTC head at each step (joint decoding,
Watanabe et al. 2017) and of the backward decoder about the hypotheses.

The published solution trains a backward decoder and discards it, and has no CTC head.
"""

from dataclasses import dataclass

import torch

from aslutils.model import ctc
from aslutils.model.ctc import NEVER
from aslutils.model.decoding import mean
from aslutils.system.errors import UserError
from aslutils.task.text import EOS, SOS, STEPS, VOCABULARY


@dataclass(frozen=True)
class BeamSearch:
    """How to search for the phrase instead of taking the likeliest token at each step."""

    beams: int                     # hypotheses W kept at each step
    length_penalty: float          # a: ranks by log probability / ((5 + length) / 6) ** a (Wu et al. 2016); 0: no normalisation
    rerank_weight: float           # share of the backward decoder's log probability in the final ranking; 0: not used
    ctc_share: float = 0.0         # share w of the CTC head: (1 - w) decoder + w CTC, of log probabilities; 0: not used

    def __post_init__(self):
        if self.beams < 1 or self.length_penalty < 0 or not 0 <= self.rerank_weight <= 1 or not 0 <= self.ctc_share < 1:
            raise UserError(f"{self}: beams must be at least 1, length_penalty at least 0, rerank_weight in 0..1, "
                            "ctc_share at least 0 and below 1")

    def joint(self, by_decoder, by_ctc):
        """Log probabilities by both."""
        return (1 - self.ctc_share) * by_decoder + self.ctc_share * by_ctc

    def ranked(self, total, lengths):
        """Log probabilities normalised by lengths, EOS included."""
        return total / ((5.0 + lengths) / 6.0) ** self.length_penalty


@torch.inference_mode()
def search(networks, encoded, settings: BeamSearch):
    """Find the most probable phrase with `settings.beams` hypotheses at a time, by the networks' mean logits.

    encoded: what each network's `encode` returned for one sequence. Returns logits (n, V), the rows before the first EOS, each
    with the chosen token raised just above the likeliest, so that the arg max of each row spells the phrase; and the
    probabilities (n,) of the chosen tokens.
    """
    tokens, rows, total = _hypotheses(networks, encoded, settings)
    lengths = (tokens != EOS).sum(dim=1)                                        # (W,)
    if settings.rerank_weight:
        backward = _backward([network.backward_decoder for network in networks], encoded, tokens, lengths)
        total = (1 - settings.rerank_weight) * total + settings.rerank_weight * backward
    best = settings.ranked(total, (lengths + 1).clamp(max=STEPS)).argmax()
    rows, chosen = rows[best, :lengths[best]], tokens[best, :lengths[best], None]
    raised = rows.scatter(1, chosen, rows.amax(dim=1, keepdim=True) + 1e-3)
    return raised, rows.softmax(dim=1).gather(1, chosen)[:, 0]


def _hypotheses(networks, encoded, settings: BeamSearch):
    """The last W hypotheses: tokens (W, N), EOS after each; their logits (W, N, V) and log probabilities (W,)."""
    width, device, decoders = settings.beams, encoded[0][0].device, [network.decoder for network in networks]
    caches = [decoder.start(*_repeated(frames, width)) for decoder, frames in zip(decoders, encoded)]
    only_end = torch.full((VOCABULARY,), NEVER, device=device)                  # what follows an ended hypothesis
    only_end[EOS] = 0.0
    last = torch.full((width,), SOS, device=device)
    decoder_total = torch.tensor([0.0] + [NEVER] * (width - 1), device=device)
    ctc_total = torch.zeros_like(decoder_total)
    tokens, rows = last.new_zeros(width, 0), decoder_total.new_zeros(width, 0, VOCABULARY)
    if settings.ctc_share:
        frames = ctc.frame_log_probabilities(networks, encoded)
        state = ctc.start(frames, width)
    while tokens.shape[1] < STEPS and (last != EOS).any():
        logits = mean(decoder(last[:, None], cache)[:, 0] for decoder, cache in zip(decoders, caches))         # (W, V)
        ended, lengths = (last == EOS)[:, None], (tokens != EOS).sum(dim=1) + 1
        by_decoder = decoder_total[:, None] + torch.where(ended, only_end, logits.log_softmax(dim=1))
        by_ctc = ctc_total[:, None].expand_as(by_decoder)
        if settings.ctc_share:
            by_ctc = torch.where(ended, by_ctc, ctc.prefix_scores(frames, state, last))
        candidates = settings.joint(by_decoder, by_ctc)
        kept = settings.ranked(candidates, lengths[:, None]).flatten().topk(width).indices                      # of W * V
        parents, before, last = kept // VOCABULARY, last, kept % VOCABULARY
        decoder_total, ctc_total = by_decoder.flatten()[kept], by_ctc.flatten()[kept]
        if settings.ctc_share:
            state = ctc.extended(frames, state, before, parents, last)
        tokens = torch.cat([tokens[parents], last[:, None]], dim=1)
        rows = torch.cat([rows[parents], logits[parents, None]], dim=1)
        for cache in caches:
            cache.reorder(parents)
    return tokens, rows, settings.joint(decoder_total, ctc_total)


def _backward(decoders, encoded, tokens, lengths):
    """Log probabilities (W,) of the reversed hypotheses by the backward decoders' mean logits."""
    steps = torch.arange(min(tokens.shape[1] + 1, STEPS), device=tokens.device)
    places = lengths[:, None] - 1 - steps                                       # where each reversed token is
    targets = torch.where(places >= 0, tokens.gather(1, places.clamp(min=0)), EOS)
    inputs = torch.cat([tokens.new_full((len(tokens), 1), SOS), targets[:, :-1]], dim=1)
    logits = mean(decoder(inputs, decoder.start(*_repeated(frames, len(tokens)))) for decoder, frames in zip(decoders, encoded))
    gains = logits.log_softmax(dim=2).gather(2, targets[:, :, None])[:, :, 0]
    return gains.masked_fill(steps > lengths[:, None], 0.0).sum(dim=1)


def _repeated(encoded, width: int):
    """One sequence's frames (1, T, D) and mask (1, T), repeated for each hypothesis."""
    return tuple(x.expand(width, *x.shape[1:]) for x in encoded)
