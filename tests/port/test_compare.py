"""The table that compares layers."""

import pytest
from configs import model_config
from toys import TOY, lively, made_columns

from aslutils.model.network import Network
from aslutils.port.compare import compare_layers

pytestmark = pytest.mark.slow


def test_every_layer_of_both_rounds_agrees_in_tensorflow_and_tflite(round1, round2):
    headed = lively(Network(model_config(**TOY, shown=True)), 3)
    for network in (round1, round2, headed):
        table = compare_layers(network, [made_columns(frames, frames) for frames in (20, 90, 400)])
        assert table["layer"].tolist()[-1] == "decoder" and "encoder.blocks.1" in set(table["layer"])
        assert len(table) == (6 if network is round1 else 11)
        assert (table["largest"] > 0.1).all()
        assert (table[["tensorflow", "tflite"]] < 1e-4).all(axis=None)


def test_a_wrong_weight_shows_in_its_layer_and_behind(round1, monkeypatch):
    from aslutils.port import squeezeformer

    original = squeezeformer.FeedForward.__call__
    monkeypatch.setattr(squeezeformer.FeedForward, "__call__", lambda layer, x, T: original(layer, x, T) * 1.01)
    table = compare_layers(round1, [made_columns(40, 1)]).set_index("layer")
    assert table.loc["stem", "tflite"] < 1e-4 < table.loc["encoder.blocks.0", "tflite"]
    assert table.loc["encoder.blocks.0", "tensorflow"] > 1e-4
