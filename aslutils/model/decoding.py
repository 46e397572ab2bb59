"""Spelling the phrase by the likeliest token at each step, with one network or several. `beam.py` searches instead."""

import torch

from aslutils.task.text import EOS, SOS, STEPS


def mean(values):
    """The mean over networks."""
    return torch.stack(list(values)).mean(dim=0)


@torch.inference_mode()
def greedy(decoders, encoded):
    """Spell each sequence by the likeliest token of the decoders' mean logits at each step, until all have ended.

    encoded: what each decoder's network returned from `encode`. Returns tokens int (B, S), S at most 33, EOS from each
    sequence's end on, and the logits (B, S, V) that decided them.
    """
    caches = [decoder.start(*frames) for decoder, frames in zip(decoders, encoded)]
    frames, _ = encoded[0]
    token = torch.full((len(frames), 1), SOS, device=frames.device)
    tokens, rows = [], []
    while len(tokens) < STEPS and (token != EOS).any():
        logits = mean(decoder(token, cache) for decoder, cache in zip(decoders, caches))        # (B, 1, V)
        token = logits.argmax(dim=-1).masked_fill(token == EOS, EOS)                            # (B, 1)
        tokens.append(token)
        rows.append(logits)
    return torch.cat(tokens, dim=1), torch.cat(rows, dim=1)
