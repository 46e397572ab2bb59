"""Toy networks of both rounds, their export, and sequences."""

import numpy as np
import pytest
import torch
from configs import model_config
from toys import ROUND1, TOY, lively, made_columns

from aslutils.model.network import Network
from aslutils.port import export
from aslutils.task.landmarks import COLUMNS

torch.set_num_threads(1)           # a second thread waits more than it helps at this size


@pytest.fixture(scope="session")
def round1():
    """A toy round-1 network: relative attention, one stem, no confidence."""
    return lively(Network(model_config(**TOY, **ROUND1)), 1)


@pytest.fixture(scope="session")
def round2():
    """A toy round-2 network: rotary attention, part stems, confidence."""
    return lively(Network(model_config(**TOY)), 2)


@pytest.fixture(scope="session")
def ensemble(round1, round2):
    """Three networks of different kinds and sizes."""
    return [round2, round1, lively(Network(model_config(**TOY | dict(dim=24, blocks=1, kernel=7, decoder_layers=1))), 3)]


@pytest.fixture(scope="session")
def exported(ensemble) -> bytes:
    """The ensemble as a float32 TFLite model."""
    return export.convert(ensemble)


@pytest.fixture(scope="session")
def sequences() -> list[np.ndarray]:
    """220 sequences of 0 to 260 frames, a few longer, one all NaN."""
    lengths = [0, 1, 14, 15, 384, 385, 500, 860] + np.random.default_rng(0).integers(10, 260, 211).tolist()
    return [made_columns(length, seed) for seed, length in enumerate(lengths)] + [np.full((40, len(COLUMNS)), np.nan, np.float32)]
