"""Toy networks with lively weights, and made-up sequences to read with them."""

import zlib

import numpy as np
import torch

from aslutils.task.landmarks import COLUMNS
from aslutils.task.text import EOS

TOY = dict(dim=16, blocks=2, heads=2, kernel=51, decoder_heads=2, decoder_ffn=24, stem_channels=4)
ROUND1 = dict(attention="relative", part_stems=False, backward_decoder=False, confidence=False)


def lively(network, seed: int):
    """The network in evaluation mode, every weight and running statistic drawn by its name and the seed.

    Its texts differ from sequence to sequence, some end early, and some confidences are too low.
    """
    with torch.no_grad():
        for name, values in [*network.named_parameters(), *network.named_buffers()]:
            if name.split(".")[-1] in ("weight", "bias", "scale", "content_bias", "position_bias", "running_mean", "running_var"):
                rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
                values.copy_(torch.from_numpy(_drawn(name, tuple(values.shape), rng)))
        network.decoder.head.weight[EOS] *= 1.4
    return network.eval()


def _drawn(name: str, shape: tuple[int, ...], rng) -> np.ndarray:
    noise = rng.standard_normal(shape)
    if name.endswith("running_var"):
        return rng.uniform(0.5, 2, shape)
    if name.startswith("confidence"):
        return np.ones(shape) if name.endswith("bias") else noise
    if "embedding" in name:
        return 0.25 * noise
    if len(shape) > 1 and not name.endswith("_bias"):
        return (4 if "cross_attention" in name else 1.4) * noise * np.prod(shape[1:]) ** -0.5   # the text follows the frames
    return (1.0 if name.endswith(("norm.weight", "scale")) else 0.0) + 0.15 * noise


def made_columns(length: int, seed: int) -> np.ndarray:
    """A made-up sequence (length, 390): landmarks that wander about their places, hands and face missing in stretches."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 0.8, len(COLUMNS)) + 0.02 * rng.standard_normal((length, len(COLUMNS))).cumsum(axis=0)
    for part in ("left_hand", "right_hand", "face"):
        hidden = (np.arange(length) // 7 + rng.integers(4)) % 4 < (1 if part == "face" else 2)
        values[np.ix_(hidden, [part in column for column in COLUMNS])] = np.nan
    return values.astype(np.float32)
