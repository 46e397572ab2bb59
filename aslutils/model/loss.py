"""Teacher forcing and the training loss of both rounds."""

import torch
import torch.distributed as distributed
from torch.nn import functional as F

from aslutils.model.config import LossConfig
from aslutils.model.layers import processes, sum_over_processes
from aslutils.model.network import BLANK
from aslutils.task.text import CHARACTERS, EOS, MASK, SOS


def label_lengths(tokens):
    """Characters and EOS of each token row (B, S) -> int (B,)."""
    return (tokens == EOS).int().argmax(dim=1) + 1


def reverse(tokens):
    """The backward decoder's labels: characters in reverse, EOS, then 0 (the space, as published); (B, S) -> (B, S)."""
    characters = label_lengths(tokens)[:, None] - 1                             # (B, 1)
    step = torch.arange(tokens.shape[1], device=tokens.device)[None]
    reversed_tokens = tokens.gather(1, (characters - 1 - step).clamp(min=0))
    reversed_tokens = reversed_tokens.masked_fill(step > characters, 0)
    return reversed_tokens.masked_fill(step == characters, EOS)


def decoder_inputs(labels, mask_probability: float, replace_probability: float = 0.0):
    """Labels (B, S) as a decoder's inputs: some replaced by MASK, some by any character, shifted right after SOS."""
    if mask_probability or replace_probability:
        drawn = torch.rand(labels.shape, device=labels.device)
        if replace_probability:
            characters = torch.randint(len(CHARACTERS), labels.shape, device=labels.device)
            labels = torch.where(drawn < mask_probability + replace_probability, characters, labels)
        labels = labels.masked_fill(drawn < mask_probability, MASK)
    return torch.cat([torch.full_like(labels[:, :1], SOS), labels[:, :-1]], dim=1)


def cross_entropy(logits, labels, counted):
    """Mean cross entropy over the positions where `counted` bool (B, S) is True, over all processes together."""
    losses = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    return _mean((losses * counted).sum(), counted.sum())


def _mean(total, count):
    """total / count of all processes, times their number: data-parallel training averages the gradients again."""
    with torch.no_grad():
        count = sum_over_processes(count.float())
    return total / count.clamp(min=1) * processes()


def _longest(lengths):
    """The longest label of all processes' batches."""
    longest = lengths.max()
    if processes() > 1:
        distributed.all_reduce(longest, distributed.ReduceOp.MAX)
    return longest


def ctc_loss(logits, lengths, tokens):
    """Mean over sequences of the CTC loss a character; logits (B, T, 60), blank last; impossible alignments count 0."""
    characters = label_lengths(tokens) - 1
    losses = F.ctc_loss(logits.float().log_softmax(dim=-1).transpose(0, 1), tokens.clamp(max=len(CHARACTERS) - 1),
                        lengths, characters, blank=BLANK, reduction="none", zero_infinity=True)
    losses = losses / characters.clamp(min=1)
    return _mean(losses.sum(), torch.ones_like(losses).sum())


def compute_loss(model, batch: dict, config: LossConfig) -> dict:
    """All parts of the loss of one batch, as tensors; `loss` is the one to minimise.

    model: the network, or accelerate's wrapper of it; batch: frames (B, T, L, C), lengths (B,), tokens (B, S), score (B,) and,
    if the network has a head for it, shown (B, T), -1 where that is not known.
    """
    tokens = batch["tokens"]
    lengths = label_lengths(tokens)
    step = torch.arange(tokens.shape[1], device=tokens.device)[None]
    backward_labels = reverse(tokens)
    hidden = config.mask_probability, config.replace_probability
    outputs = model(batch["frames"], batch["lengths"], decoder_inputs(tokens, *hidden), decoder_inputs(backward_labels, *hidden))
    own = step < lengths[:, None]
    parts = {"forward": cross_entropy(outputs["forward"], tokens, own if config.ignore_pad else torch.ones_like(own))}
    loss = parts["forward"]
    if "backward" in outputs:
        counted = own if config.ignore_pad else (step < _longest(lengths)).expand_as(own)
        parts["backward"] = cross_entropy(outputs["backward"], backward_labels, counted)
        loss = (1 - config.backward_weight) * loss + config.backward_weight * parts["backward"]
    if "confidence" in outputs:
        losses = F.binary_cross_entropy_with_logits(outputs["confidence"].float(), batch["score"], reduction="none")
        parts["confidence"] = _mean(losses.sum(), torch.ones_like(losses).sum())
        loss = (1 - config.confidence_weight) * loss + config.confidence_weight * parts["confidence"]
    if "ctc" in outputs:
        parts["ctc"] = ctc_loss(outputs["ctc"], batch["lengths"], tokens)
        loss = loss + config.ctc_weight * parts["ctc"]
    if "shown" in outputs:
        parts["shown"] = cross_entropy(outputs["shown"], batch["shown"].clamp(min=0), batch["shown"] >= 0)
        loss = loss + config.shown_weight * parts["shown"]
    return {"loss": loss, **parts}

