"""Reading every second frame too: PyTorch and both exports take the same one of two readings, the more certain."""

import numpy as np
import pytest
from toys import made_columns

from aslutils.port.compare import read_pytorch, read_tflite
from aslutils.port.export import convert
from aslutils.reading.tflite import Model
from aslutils.task.rejection import MIN_FRAMES, Verdict

pytestmark = pytest.mark.slow

FRAMES = 101                       # odd, so that the last frame counts


@pytest.fixture(scope="module")
def sequences() -> list[np.ndarray]:
    return [made_columns(length, seed) for seed, length in enumerate([0, 1, 14, 15, 29, 30, 31, 100, 101, *range(32, 90, 3)])]


@pytest.fixture(scope="module")
def twice(round2, sequences):
    return [read_pytorch([round2], inputs, half_rate=True) for inputs in sequences]


@pytest.mark.parametrize("frames", [None, FRAMES])
def test_the_export_answers_as_pytorch_does(round2, sequences, twice, frames):
    model = Model(convert([round2], frames=frames, half_rate=True))
    for inputs, expected in zip(sequences, twice, strict=True):
        found = read_tflite(model, inputs)
        assert (found.text, found.verdict) == (expected.text, expected.verdict)
        if expected.verdict is Verdict.READ:
            assert found.confidence == pytest.approx(expected.confidence, abs=1e-4)


def test_the_more_certain_reading_is_the_answer(round2, sequences, twice):
    """Of frames standardised together, so that every second row of the columns is not quite the same."""
    model, halves = Model(convert([round2])), 0
    for inputs, answer in zip(sequences, twice, strict=True):
        once = read_pytorch([round2], inputs)
        if len(inputs) < 2 * MIN_FRAMES or once.verdict is not Verdict.READ:
            assert (answer.text, answer.verdict) == (once.text, once.verdict)
        elif answer.text != once.text:
            halves += 1
            full, half = (float(model(columns)["certainty"]) for columns in (inputs, inputs[::2]))
            assert half > 1.05 * full - 0.02
    assert 3 <= halves < len(sequences) - 10, "both readings should be met"
