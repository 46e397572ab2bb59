"""The decoder's attention over the frames, beside the hand in them."""

import numpy as np

from aslutils.plots.hands import close_ups, draw_hand, in_picture, signing_hand
from aslutils.plots.style import INK, ORANGE, picture, readable, styled
from aslutils.task.preprocess import fit_length
from aslutils.task.text import CHARACTERS, EOS, decode

HANDS, ROW, COUNT = 0.85, 0.17, 12  # inches: height of the hands and of a character's line; number of hands


@styled
def attention(network, store, row: int):
    """The decoder's attention over the frames of sequence `row`, one line per character, the hand above.

    network: aslutils.model.network.Network. The weights are those of the cross-attention, averaged over layers and heads, during
    greedy decoding; the point on each line marks the maximum.
    """
    frames = fit_length(store.landmarks(row))
    tokens, weights = attention_weights(network, fit_length(store.frames(row)))
    names = [readable(CHARACTERS[token]) if token < len(CHARACTERS) else "end" if token == EOS else "none" for token in tokens]
    title = f"Where the decoder looks: signed “{store.table['phrase'].iloc[row]}”, read “{decode(tokens)}”"
    figure = picture(HANDS + ROW * len(names) + 0.95, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[HANDS, ROW * len(names) + 0.1])
    lower.imshow(weights, aspect="auto", cmap="Blues", interpolation="nearest", vmin=0, vmax=max(weights.max(), 0.2),
                 extent=(-0.5, len(frames) - 0.5, len(names) - 0.5, -0.5))
    lower.scatter(weights.argmax(1), range(len(names)), s=16, color=ORANGE, edgecolor=INK, linewidth=0.8, zorder=3)
    lower.set_yticks(range(len(names)), names)
    lower.set(xlabel="frame (darker: more attention; dot: maximum)", ylabel="character read")
    lower.grid(False)
    _hands(upper, frames)
    return figure


def _hands(axes, frames):
    """The signing hand, cut into COUNT stretches of time: in each the frame nearest its middle in which the hand is seen."""
    hand, seen = signing_hand(frames)
    width = len(frames) / COUNT
    middles = (np.arange(COUNT) + 0.5) * width - 0.5
    near = np.abs(np.flatnonzero(seen) - middles[:, None]) if seen.any() else np.full((COUNT, 1), np.inf)
    shown = near.min(1) <= width / 2 + 0.5
    chosen = np.flatnonzero(seen)[near.argmin(1)[shown]]
    axes.set_axis_off()
    axes.set_ylim(0.6, -0.6)
    for middle, close in zip(middles[shown], close_ups(in_picture(frames[np.ix_(chosen, hand)]))):
        draw_hand(axes, close * (width, 1), (middle, 0), width=1.5)


def attention_weights(network, frames: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The tokens predicted from standardised frames (T, 130, 3), and the attention of each over the frames, (S, T)."""
    import torch

    from aslutils.task.text import SOS

    training = network.training
    network.eval()
    device = next(network.parameters()).device
    inputs = torch.from_numpy(np.ascontiguousarray(frames))[None].to(device)
    lengths = torch.tensor([len(frames)], device=device)
    weights = []

    def keep(attention, arguments):
        x, key = arguments[:2]
        query = attention.split(attention.query(x))                              # (1, H, S, D/H)
        weights.append((query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1))

    with torch.no_grad():
        tokens = network.greedy(inputs, lengths)[0]
        hooks = [layer.cross_attention.register_forward_pre_hook(keep) for layer in network.decoder.layers]
        try:
            encoded, mask = network.encode(inputs, lengths)
            start = torch.full((1, 1), SOS, device=device)
            network.decoder(torch.cat([start, tokens[:, :-1]], dim=1), network.decoder.start(encoded, mask))
        finally:
            for hook in hooks:
                hook.remove()
    network.train(training)
    return tokens[0].tolist(), torch.cat(weights).mean((0, 1)).cpu().numpy()
