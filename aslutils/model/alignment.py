"""Where each character of a known phrase lies among the frames: the likeliest alignment by the CTC head (Viterbi 1967)."""

import torch

from aslutils.model.network import BLANK

NEVER = float("-inf")


def borders(logits: torch.Tensor, lengths: torch.Tensor, phrases: torch.Tensor, characters: torch.Tensor,
            ) -> list[list[int] | None]:
    """The frames before which each phrase can be cut between two characters: in the middle between the frames that show them.

    logits: float (B, T, 60), the CTC head's, blank last; lengths: int (B,), frames of each sequence; phrases: int (B, S), the
    characters from the beginning of each row; characters: int (B,), how many. Returns for each sequence `characters - 1` rising
    frames in 1..length - 1; None where it has too few frames for its characters and the blanks between equal ones.
    """
    path = _path(logits.log_softmax(dim=-1), lengths, phrases.clamp(max=BLANK - 1), characters)
    found = []
    for states, length, count in zip(path.cpu(), lengths.tolist(), characters.tolist()):
        states, own = states[:length].contiguous(), 2 * torch.arange(count) + 1
        first, end = (torch.searchsorted(states, own, right=right) for right in (False, True))   # of each character's frames
        found.append(((end[:-1] + first[1:]) // 2).tolist() if bool((end > first).all()) else None)
    return found


def _path(frames, lengths, phrases, characters):
    """The likeliest states (B, T) that end with each phrase: 2 c + 1 at its character c, even at a blank beside it."""
    B, T, _ = frames.shape
    labels = torch.full((B, 2 * phrases.shape[1] + 1), BLANK, device=frames.device)
    labels[:, 1::2] = phrases
    skips = torch.zeros_like(labels, dtype=torch.bool)               # a blank may be left out between different characters
    skips[:, 3::2] = phrases[:, 1:] != phrases[:, :-1]
    never = torch.full_like(labels, NEVER, dtype=frames.dtype)
    best = never.clone()
    best[:, 0] = 0.0                                                 # before the first frame: at the first blank
    taken = []
    for t in range(T):
        ways = torch.stack([best, torch.cat([never[:, :1], best[:, :-1]], 1),
                            torch.where(skips, torch.cat([never[:, :2], best[:, :-2]], 1), never)])
        gained, way = ways.max(dim=0)                                # stay, go on, go on past a blank
        within = (t < lengths)[:, None]
        best = torch.where(within, gained + frames[:, t].gather(1, labels), best)
        taken.append(torch.where(within, way, 0))
    last = 2 * characters[:, None]                                   # the blank behind the phrase, or its last character
    ends = torch.cat([last, (last - 1).clamp(min=0)], 1)
    state = ends.gather(1, best.gather(1, ends).argmax(dim=1, keepdim=True))
    states = []
    for way in reversed(taken):
        states.append(state)
        state = state - way.gather(1, state)
    return torch.cat(states[::-1], 1)
