"""What the pictures are drawn of in their tests."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from configs import model_config

from aslutils.model.network import Network
from aslutils.plots.handsheet import recorded
from aslutils.task.landmarks import HANDS
from aslutils.task.preprocess import standardise

matplotlib.use("Agg")


class Sequences:
    """What the pictures ask of a store."""

    def __init__(self, landmarks, phrases):
        self.recorded = landmarks
        seen = [(~np.isnan(frames[:, HANDS, 0])).any(1).sum() for frames in landmarks]
        self.table = pd.DataFrame({"phrase": phrases, "participant_id": [index % 3 for index in range(len(phrases))],
                                   "length": [len(frames) for frames in landmarks], "hand_frames": seen,
                                   "is_sup": [index % 4 == 3 for index in range(len(phrases))]})

    def landmarks(self, row):
        return self.recorded[row]

    def columns(self, row):
        return self.recorded[row].transpose(0, 2, 1).reshape(len(self.recorded[row]), -1)

    def frames(self, row):
        return standardise(self.recorded[row])


@pytest.fixture(scope="module")
def store():
    phrases = ["asl", "oak st 12", "www.x.org", "555-1234", "a", "unseen", "kim lopez", "42"]
    landmarks = [recorded(phrase, seed=index) for index, phrase in enumerate(phrases)]
    landmarks[5] = np.full((20, 130, 3), np.nan, np.float32)
    return Sequences(landmarks, phrases)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return Network(model_config(dim=16, blocks=1, heads=2, kernel=5, decoder_heads=2, decoder_ffn=16, stem_channels=4))


@pytest.fixture(scope="module")
def predictions(store):
    table = store.table.assign(row=range(len(store.table)), confidence=np.linspace(0.05, 0.95, len(store.table)))
    table["prediction"] = ["asl", "oat st 12", "www.x.or", "555-1234", "", "2 a-e -aroe", "kimm lopez", "4"]
    return table
