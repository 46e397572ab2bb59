"""What the pictures are drawn of in their tests."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.plots.handsheet import recorded
from aslutils.task.landmarks import HANDS
from aslutils.task.preprocess import standardise

matplotlib.use("Agg")


class Recordings:
    """What the pictures ask of a store."""

    def __init__(self, recordings, phrases):
        self.recordings = recordings
        seen = [(~np.isnan(frames[:, HANDS, 0])).any(1).sum() for frames in recordings]
        self.table = pd.DataFrame({"phrase": phrases, "participant_id": [index % 3 for index in range(len(phrases))],
                                   "frames": [len(frames) for frames in recordings], "hand_frames": seen,
                                   "is_sup": [index % 4 == 3 for index in range(len(phrases))]})

    def raw(self, row):
        return self.recordings[row]

    def standardised(self, row):
        return standardise(self.recordings[row])


@pytest.fixture(scope="module")
def store():
    phrases = ["asl", "oak st 12", "www.x.org", "555-1234", "a", "unseen", "kim lopez", "42"]
    recordings = [recorded(phrase, seed=index) for index, phrase in enumerate(phrases)]
    recordings[5] = np.full((20, 130, 3), np.nan, np.float32)
    return Recordings(recordings, phrases)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return Network(ModelConfig(dim=16, blocks=1, heads=2, kernel=5, decoder_heads=2, decoder_ffn=16, stem_channels=4))


@pytest.fixture(scope="module")
def predictions(store):
    table = store.table.assign(row=range(len(store.table)), confidence=np.linspace(0.05, 0.95, len(store.table)))
    table["prediction"] = ["asl", "oat st 12", "www.x.or", "555-1234", "", "2 a-e -aroe", "kimm lopez", "4"]
    return table
