"""The decoder with its cache in TensorFlow against PyTorch's teacher forcing."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from aslutils.port.decoder import Decoder
from aslutils.port.decoding import forced
from aslutils.port.layers import FrameMask
from aslutils.task.text import EOS, PAD, SOS, STEPS


def encoded_frames(frames: int, dim: int) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, dim)).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 40])
def test_cached_steps_give_the_logits_of_teacher_forcing(round2, frames):
    encoded = encoded_frames(frames, round2.config.dim)
    tokens = np.random.default_rng(0).integers(0, PAD, STEPS)
    tokens[0], tokens[[5, 6, 20]] = SOS, PAD                            # a PAD in mid-phrase takes no position
    with torch.no_grad():
        mask = torch.ones(1, frames, dtype=torch.bool)
        expected = round2.decoder(torch.from_numpy(tokens)[None], round2.decoder.start(torch.from_numpy(encoded)[None], mask))
    found = forced([Decoder(round2.decoder)], [(tf.constant(encoded), FrameMask(frames))],
                   tf.constant(np.append(tokens, EOS), tf.int32))
    np.testing.assert_allclose(found, expected[0].numpy(), atol=2e-5)


def test_nothing_is_spelled_behind_the_first_end(round2):
    tokens = np.array([SOS, 3, EOS] + [5] * (STEPS - 2))
    encoded = tf.constant(encoded_frames(9, round2.config.dim)), FrameMask(9)
    found = forced([Decoder(round2.decoder)], [encoded], tf.constant(tokens, tf.int32))
    assert np.any(found[:2], axis=1).all() and not np.any(found[2:])
