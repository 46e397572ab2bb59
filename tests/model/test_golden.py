"""The network against golden numbers: the published solution's in ../shared, and our own everywhere."""

import golden_toy
import numpy as np
import pytest
import torch

from aslutils.model.published import from_published, to_published
from aslutils.task import text
from aslutils.task.preprocess import as_landmarks, standardise

TOLERANCE = 1e-4                   # absolute, on features, logits and losses; tokens are exact


def published(shared, round):
    """The published solution's weights, and its golden arrays of each sequence."""
    with np.load(shared / "golden" / f"network_round{round}.npz") as file:
        arrays = dict(file)
    weights = {name[2:]: torch.from_numpy(value) for name, value in arrays.items() if name.startswith("w/")}
    sequences = [{name[2:]: value for name, value in arrays.items() if name.startswith(f"{index}/")} for index in range(3)]
    return weights, sequences


@pytest.mark.parametrize("round", [1, 2])
def test_every_published_number_comes_out(shared, round):
    weights, sequences = published(shared, round)
    network = from_published(weights).eval()
    for golden in sequences:
        found = golden_toy.answers(network, golden["frames"], golden["tokens"])
        assert set(found) == set(golden) - {"raw", "frames", "tokens", "phrase"}
        assert_equal(found, golden)


@pytest.mark.parametrize("round", [1, 2])
def test_published_sequences_are_standardised_and_their_phrases_tokenised_alike(shared, round):
    for golden in published(shared, round)[1]:
        np.testing.assert_allclose(standardise(as_landmarks(golden["raw"])), golden["frames"], atol=TOLERANCE)
        assert text.encode(str(golden["phrase"])).tolist() == golden["tokens"].tolist()


@pytest.mark.parametrize("round", [1, 2])
def test_published_weights_come_back_as_they_were(shared, round):
    weights, _ = published(shared, round)
    written = to_published(from_published(weights))
    assert set(weights) - set(written) == {name for name in weights if name.endswith("num_batches_tracked")}
    for name, value in written.items():
        derived = name in ("cos", "sin") or name.endswith("embed_positions.weights")
        torch.testing.assert_close(value, weights[name], atol=1e-6 if derived else 0, rtol=0, msg=name)


@pytest.mark.parametrize("round", [1, 2])
def test_every_number_of_our_own_comes_out(round):
    with np.load(golden_toy.FILE) as file:
        arrays = dict(file)
    network = golden_toy.network(round)
    for index, sequence in enumerate(golden_toy.sequences()):
        golden = {name.split("/", 2)[2]: value for name, value in arrays.items() if name.startswith(f"{round}/{index}/")}
        found = golden_toy.answers(network, sequence["frames"], sequence["tokens"])
        assert set(found) == set(golden)
        assert_equal(found, golden)


def assert_equal(found, golden):
    assert found["greedy"].tolist() == golden["greedy"].tolist()
    for name, value in found.items():
        np.testing.assert_allclose(value, golden[name], atol=TOLERANCE, rtol=0, err_msg=name)
