"""CTC prefix scores: how probable the frames make it that the phrase begins with a prefix (Watanabe et al. 2017, "Hybrid
CTC/attention architecture for end-to-end speech recognition").

    log_probabilities = frame_log_probabilities(networks, encoded)
    state = start(log_probabilities, width)                      # W empty prefixes
    scores = prefix_scores(log_probabilities, state, last)       # of each prefix with each further token
    state = extended(log_probabilities, state, last, parents, tokens)

A prefix's state is, for each frame t, the log probability of the prefix by then, with its last character at t and with a blank
at t. All prefixes together cost O(W T V) a step, a product of matrices, and O(W T log T) for the new states.
"""

import torch

from aslutils.model.decoding import mean
from aslutils.model.network import BLANK
from aslutils.task.text import EOS, SOS, VOCABULARY

NEVER = -1e9                       # the log probability of the impossible
LEAST = 1e-30                      # the smallest probability, relative to the likeliest, that a sum tells from 0


def frame_log_probabilities(networks, encoded) -> torch.Tensor:
    """Log probabilities (T, 60) of the characters and the blank at each frame of one sequence, by the networks' mean logits."""
    return mean(network.frame_votes()(frames)[0] for network, (frames, _) in zip(networks, encoded)).log_softmax(dim=1)


def start(frames: torch.Tensor, width: int):
    """The state of `width` empty prefixes: (W, T) with a character at frame t, which is impossible, and with a blank."""
    blank = frames[:, BLANK].cumsum(0).expand(width, -1)
    return torch.full_like(blank, NEVER), blank


def prefix_scores(frames: torch.Tensor, state, last: torch.Tensor) -> torch.Tensor:
    """Log probabilities (W, V) that the phrase begins with each prefix and one further character; for EOS, that it is the prefix.

    frames: (T, 60); last: int (W,), the prefixes' last tokens, SOS for the empty ones.
    """
    before, repeated = _before(state, last)
    peak = before.amax(dim=1, keepdim=True)
    scores = ((before - peak).exp() @ frames[:, :BLANK].exp()).clamp(min=LEAST).log() + peak               # (W, 59)
    again = (repeated + frames[:, last.clamp(max=BLANK)].T).logsumexp(dim=1)
    scores = torch.where(last[:, None] == torch.arange(BLANK, device=last.device), again[:, None], scores)
    whole = torch.logaddexp(*state)[:, -1:]
    never = torch.full((len(last), VOCABULARY), NEVER, device=frames.device)
    return torch.cat([scores, never[:, BLANK:EOS], whole, never[:, EOS + 1:]], dim=1)


def extended(frames: torch.Tensor, state, last: torch.Tensor, parents: torch.Tensor, tokens: torch.Tensor):
    """The state of the prefixes `parents` with one more token each, int (W,) both; that of ended ones means nothing."""
    before, repeated = (part[parents] for part in _before(state, last))
    begun = torch.where((tokens == last[parents])[:, None], repeated, before)
    character = _scan(frames[:, tokens.clamp(max=BLANK)].T, begun)
    return character, _scan(frames[:, BLANK].expand_as(character), _shifted(character, 1, NEVER))


def _before(state, last):
    """Log probabilities (W, T) of each prefix before frame t: in all ways, and in those after which its last character may
    follow once more, with a blank between."""
    character, blank = state
    first = torch.where(last == SOS, 0.0, NEVER)[:, None]
    return (torch.cat([first, part[:, :-1]], dim=1) for part in (torch.logaddexp(character, blank), blank))


def _scan(gains, inputs):
    """x (W, T) with x[t] = gains[t] + logaddexp(x[t - 1], inputs[t]), by doubling (Hillis and Steele 1986)."""
    carried, x, step = gains, gains + inputs, 1
    while step < gains.shape[1]:
        x = torch.logaddexp(carried + _shifted(x, step, NEVER), x)
        carried = carried + _shifted(carried, step, 0.0)
        step *= 2
    return x


def _shifted(x, frames: int, value: float):
    """x (W, T) moved to later frames, with a value in the first."""
    return torch.cat([torch.full_like(x[:, :frames], value), x[:, :-frames]], dim=1)
