"""Small models that TensorFlow writes here."""

from pathlib import Path

import pytest
from tiny_tflite import constant_model, mean_model

from aslutils.reading.recognizer import Recognizer
from aslutils.task.text import EOS


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    """An export that reads `ab` with the confidence 0.9 everywhere."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "model.tflite").write_bytes(constant_model("a", [EOS], "b"))
    return folder


@pytest.fixture(scope="module")
def spelling(tmp_path_factory) -> Recognizer:
    """A recogniser whose confidence is a weighted mean of what it is given: another order would show."""
    path = tmp_path_factory.mktemp("export") / "model.tflite"
    path.write_bytes(mean_model())
    return Recognizer(path)
