"""Toy networks with lively weights, and made-up recordings to read with them."""

import numpy as np
import torch

from aslutils.landmarks import COLUMNS
from aslutils.text import EOS

TOY = dict(dim=16, blocks=2, heads=2, kernel=51, decoder_heads=2, decoder_ffn=24, stem_channels=4)
ROUND1 = dict(attention="relative", part_stems=False, backward_decoder=False, confidence=False)


def lively(network, seed: int):
    """The network in evaluation mode, with every weight and running statistic away from its start value.

    Its texts differ from recording to recording, some end early, and some confidences are too low.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            spread = 0.4 if "embedding" in name else 0.15 if parameter.ndim < 2 else 1.2 * parameter[0].numel() ** -0.5
            parameter.add_(torch.randn_like(parameter) * spread)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        network.decoder.head.weight[EOS] *= 1.15
        if network.confidence is not None:
            network.confidence.weight.mul_(3)
            network.confidence.bias.fill_(1.0)
    return network.eval()


def recording(frames: int, seed: int) -> np.ndarray:
    """A made-up recording (frames, 390): landmarks that wander about their places, hands and face missing in stretches."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 0.8, len(COLUMNS)) + 0.02 * rng.standard_normal((frames, len(COLUMNS))).cumsum(axis=0)
    for part in ("left_hand", "right_hand", "face"):
        hidden = (np.arange(frames) // 7 + rng.integers(4)) % 4 < (1 if part == "face" else 2)
        values[np.ix_(hidden, [part in column for column in COLUMNS])] = np.nan
    return values.astype(np.float32)
