"""The stem in TensorFlow against PyTorch."""

import numpy as np
import torch
from toys import made_columns

from aslutils.model.stem import standardise_part as standardise_part_pytorch
from aslutils.port.compare import network_frames
from aslutils.port.stem import LandmarkStem, Stem, standardise_part


def pytorch(layer, frames) -> np.ndarray:
    return layer(torch.from_numpy(frames)[None], torch.ones(1, len(frames), dtype=torch.bool))[0].detach().numpy()


def test_one_stem_gives_pytorchs_features(round2):
    for part, landmarks in (("left_hand", 21), ("pose", 12)):           # an odd and an even number of landmarks
        frames = np.random.default_rng(0).standard_normal((40, landmarks, 3)).astype(np.float32)
        layer = round2.stem.parts[part]
        np.testing.assert_allclose(Stem(layer, part)(frames), pytorch(layer, frames), atol=1e-5)


def test_the_landmark_stem_adds_the_part_stems(round1, round2):
    frames = network_frames(made_columns(40, seed=1))
    for network in (round1, round2):
        found = LandmarkStem(network.stem)(frames)
        assert found.shape == (40, network.config.dim)
        np.testing.assert_allclose(found, pytorch(network.stem, frames), atol=2e-5)


def test_a_part_is_standardised_as_in_pytorch():
    part = np.random.default_rng(0).standard_normal((7, 21, 3)).astype(np.float32)
    part[1] = 0                                                         # not seen at all
    part[2, :, 1] = 0.7                                                 # all landmarks equal in y
    part[3, 4:9] = 0                                                    # some landmarks not seen
    part[4, 2] = 0.25, -0.25, 1                                         # x + y exactly 0
    part[5] = 1 / 3
    part[6] *= 1e-25                                                    # the squares are too small for single precision
    found = standardise_part(part).numpy()
    np.testing.assert_allclose(found, standardise_part_pytorch(torch.from_numpy(part)).numpy(), atol=1e-5)
    assert not found[1].any() and not found[2, :, 1].any() and not found[3, 4:9].any() and not found[4, 2].any()
    assert not found[5:].any()
