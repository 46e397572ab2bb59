"""The network: stems, Squeezeformer encoder, decoder, and heads that training, the search and the confidence use."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from aslutils.model.config import ModelConfig
from aslutils.model.decoder import Decoder
from aslutils.model.decoding import greedy
from aslutils.model.layers import Linear, frame_mask
from aslutils.model.squeezeformer import Squeezeformer
from aslutils.model.stem import LandmarkStem
from aslutils.task.landmarks import COORDINATES, LANDMARKS
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.text import CHARACTERS

BLANK = len(CHARACTERS)            # no character, for the heads of single frames: their classes are the 59 characters and this
SHOWN_SHARE = 0.3                  # of the head that says what frames show in their vote: slow words gain most (docs/results.md)


class Network(nn.Module):
    """Fingerspelling landmarks to text.

    frames: float (B, T, L, C), standardised, 0 where not seen, T at most 384; lengths: int (B,), real frames, 1..T.
    Frames after a sequence's length never change its result. Other shapes and lengths raise ValueError; the values of
    lengths on a GPU are not checked in training.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.stem = LandmarkStem(config)
        self.encoder = Squeezeformer(config)
        self.decoder = Decoder(config)
        self.backward_decoder = Decoder(config) if config.backward_decoder else None
        self.confidence = Linear(config.dim, 1) if config.confidence else None
        self.ctc = Linear(config.dim, BLANK + 1) if config.ctc else None
        self.shown = Linear(config.dim, BLANK + 1) if config.shown else None

    def encode(self, frames, lengths):
        """Encoded frames (B, T, D), 0 at and after each sequence's length, and the mask of real frames bool (B, T)."""
        self._check(frames, lengths)
        mask = frame_mask(lengths, frames.shape[1])
        frames = frames.masked_fill(~mask[..., None, None], 0.0)
        return self.encoder(self.stem(frames, mask), mask), mask

    def forward(self, frames, lengths, tokens, backward_tokens=None):
        """Everything that the loss needs, in one pass.

        tokens, backward_tokens: int (B, S), the decoders' inputs, from SOS on. Returns a dict: `forward` (B, S, V),
        and where the network has the heads `backward` (B, S, V), `confidence` logits (B,), `ctc` and `shown` (B, T, 60).
        """
        encoded, mask = self.encode(frames, lengths)
        outputs = {"forward": self.decoder(tokens, self.decoder.start(encoded, mask))}
        if self.backward_decoder is not None and backward_tokens is not None:
            outputs["backward"] = self.backward_decoder(backward_tokens, self.backward_decoder.start(encoded, mask))
        if self.confidence is not None:
            outputs["confidence"] = self.confidence_logit(encoded)
        if self.ctc is not None:
            outputs["ctc"] = self.ctc(encoded)
        if self.shown is not None:
            outputs["shown"] = self.shown(encoded)
        return outputs

    def confidence_logit(self, encoded):
        """Confidence logits (B,) from the first encoded frame."""
        return self.confidence(encoded[:, 0]).squeeze(-1)

    def reading_logit(self, encoded, mask):
        """The confidence of a reading, before the sigmoid: logits (B,); None without a head for it.

        By the head that says what frames show, where there is one: the log odds that a frame shows a character, averaged over
        all frames, each weighted by that probability. By them, spelling is told from other movements better than by
        the confidence head (docs/results.md), which learns from the scores of round 1 alone. A sequence that shows a
        character in a few of very many frames gets a low one.
        """
        if self.shown is None:
            return None if self.confidence is None else self.confidence_logit(encoded)
        logits = self.shown(encoded).float()
        log_odds = logits[..., :BLANK].logsumexp(dim=2) - logits[..., BLANK]                                    # (B, T)
        weights = F.logsigmoid(log_odds).masked_fill(~mask, float("-inf")).softmax(dim=1)
        return (weights * log_odds).sum(dim=1)

    def frame_votes(self) -> nn.Linear | None:
        """The layer by which single frames vote in a search: the CTC head, with a share of the one that says what frames show.

        Its logits are the heads' mean log probabilities, but for what is the same for all classes. None without a CTC head.
        """
        if self.ctc is None or self.shown is None:
            return self.ctc
        votes = copy.deepcopy(self.ctc)
        with torch.no_grad():
            for own, other in zip(votes.parameters(), self.shown.parameters()):
                own.lerp_(other, SHOWN_SHARE)
        return votes

    @torch.inference_mode()
    def greedy(self, frames, lengths):
        """Decode each sequence by its likeliest token at each step.

        Returns tokens int (B, S), S at most 33, EOS from each sequence's end on, and confidence logits (B,) or None.
        """
        return self.spell(*self.encode(frames, lengths))

    @torch.inference_mode()
    def spell(self, encoded, mask):
        """As `greedy`, of encoded frames."""
        tokens, _ = greedy([self.decoder], [(encoded, mask)])
        return tokens, None if self.confidence is None else self.confidence_logit(encoded)

    def _check(self, frames, lengths):
        if frames.ndim != 4 or frames.shape[2:] != (len(LANDMARKS), len(COORDINATES)):
            raise ValueError(f"frames have the shape {tuple(frames.shape)}; expected "
                             f"(sequences, frames, {len(LANDMARKS)}, {len(COORDINATES)})")
        if frames.shape[1] > MAX_FRAMES:
            raise ValueError(f"{frames.shape[1]} frames; the network reads at most {MAX_FRAMES}: "
                             "resample longer sequences first (aslutils.task.preprocess.resample)")
        if lengths.shape != frames.shape[:1]:
            raise ValueError(f"lengths have the shape {tuple(lengths.shape)}; expected ({frames.shape[0]},), one per sequence")
        unwatched = self.training and lengths.device.type != "cpu"              # checking would make a training GPU wait
        if len(lengths) and not unwatched and not 1 <= int(lengths.min()) <= int(lengths.max()) <= frames.shape[1]:
            raise ValueError(f"lengths {lengths.tolist()} must be in 1..{frames.shape[1]}; "
                             "a sequence without frames has nothing to encode (it gets the dummy phrase)")
