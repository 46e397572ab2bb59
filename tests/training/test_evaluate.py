"""Decoding a part of the store, and what is handed in of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from toy import MODEL

from aslutils.model.network import BLANK, Network
from aslutils.task.text import DUMMY_PHRASE, decode, encode
from aslutils.training import evaluate
from aslutils.training.evaluate import postprocess, predict


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(MODEL)


def test_decodes_the_rows_asked_for_in_their_order_whatever_the_batches(store, network):
    rows = np.array([7, 2, 21, 0])
    table = predict(network, store, rows, batch_size=3)
    assert table["row"].tolist() == rows.tolist()
    assert table["phrase"].tolist() == store.table["phrase"].iloc[rows].tolist()
    network.eval()
    for row, prediction, confidence in zip(rows, table["prediction"], table["confidence"]):
        frames = torch.from_numpy(store.frames(row))[None]
        tokens, logit = network.greedy(frames, torch.tensor([frames.shape[1]]))
        assert prediction == decode(tokens[0].numpy())
        assert confidence == pytest.approx(float(logit.sigmoid()), abs=1e-5)


def test_borders_are_of_the_frames_in_the_store_also_where_it_has_more_than_the_network_reads():
    logits = torch.full((2, 8, BLANK + 1), -9.0)
    logits[:, range(8), [BLANK, 0, BLANK, BLANK, 1, BLANK, 2, BLANK]] = 9.0
    batch = {"tokens": torch.from_numpy(np.stack([encode(" !#")] * 2)), "lengths": torch.tensor([8, 8]),
             "row": torch.tensor([0, 1])}
    store = SimpleNamespace(lengths=np.array([8, 800]))
    assert evaluate._borders(logits, batch, store) == ["3 5", "300 500"]


def test_leaves_the_network_in_the_mode_it_was_in(store, network):
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predict(network, store, [0, 1])
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_without_confidence_says_none_and_nothing_is_rejected_for_it(store):
    table = predict(Network(replace(MODEL, confidence=False)), store, [0, 1]).assign(length=30, hand_frames=9)
    assert table["confidence"].isna().all() and postprocess(table)["prediction"].equals(table["prediction"])


def test_short_handless_and_doubtful_sequences_get_the_dummy_phrase():
    table = pd.DataFrame({"length": [14, 15, 15, 15], "hand_frames": [9, 0, 1, 1], "confidence": [1.0, 1.0, 0.149, 0.15],
                          "prediction": list("abcd")})
    assert postprocess(table)["prediction"].tolist() == [DUMMY_PHRASE] * 3 + ["d"]
    assert table["prediction"].tolist() == list("abcd")
