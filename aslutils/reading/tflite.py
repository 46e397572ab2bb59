"""An exported TFLite model, run by LiteRT: opens it, checks it, calls it with one sequence. Only this module imports LiteRT."""

import re
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np

from aslutils.system.errors import UserError
from aslutils.system.inputs import regular_file
from aslutils.task.preprocess import fit_length
from aslutils.task.text import EOS, STEPS

SIGNATURE, INPUT, OUTPUT = "serving_default", "inputs", "outputs"   # what the competition's scorer calls and reads
FIXED = "model_fixed.tflite"                                        # the export with a fixed shape, beside model.tflite
NAMES = "model.tflite", FIXED                                       # of a folder's model: the first that is there
PROBABILITIES = "probabilities"                                     # and what our models return besides


def interpreter(path, threads: int = 1, source: str = "the model"):
    """A LiteRT interpreter of a `.tflite` file, the folder of an export, or a model's bytes.

    source: the name of the bytes in errors. Raises FileNotFoundError, or ValueError if it is not a TFLite model.
    """
    from ai_edge_litert.interpreter import Interpreter

    if not isinstance(path, bytes):
        path = _file(path)
        source = str(path)
    try:
        return Interpreter(model_content=path if isinstance(path, bytes) else path.read_bytes(), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{source} is not a TFLite model, or is cut short: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """LiteRT's message in one line, without the places in its own sources."""
    lines = [re.sub(r"^\S+\.(?:cc|h|cpp):\d+\s*", "", line).strip() for line in str(error).splitlines()]
    words = "; ".join(dict.fromkeys(filter(None, lines))) or type(error).__name__
    return words if len(words) <= 200 else f"{words[:195]} ..."


def is_model(path) -> bool:
    """Whether a path is meant as a model: a `.tflite` file, a folder with a model or without any parquet file, or a
    name without a suffix of nothing that is there, but no camera's."""
    path = Path(path)
    if path.is_dir():
        return any((path / name).exists() for name in NAMES) or not any(path.glob("*.parquet"))
    absent = not path.exists() and not path.suffix and path.name != "webcam" and not path.name.isdecimal()
    return path.suffix.lower() == ".tflite" or absent


class Model:
    """A TFLite model with the competition's signature. Threads that share an instance take turns.

    One of a fixed shape gets rows of NaN behind a shorter sequence; a longer one is resampled to it first. It reads what the
    model of any length reads, but for longer sequences, and where nothing was seen in the last rows: these are no frames to it.

    Arguments as for `interpreter`. Raises as it does, and ValueError naming the file and what it lacks: the signature
    `serving_default`, the argument `inputs`, the output `outputs`, both of rank 2.
    """

    def __init__(self, path, threads: int = 1, source: str = "the model"):
        self.source = source if isinstance(path, bytes) else str(_file(path))
        self.interpreter = interpreter(path, threads, source)
        self.outputs = self._check(self.interpreter.get_signature_list())
        with self._running():
            self.runner = self.interpreter.get_signature_runner(SIGNATURE)
        self._turn = Lock()                                                       # without the lock LiteRT mixes up sequences
        shape = self._table(INPUT, self.runner.get_input_details(), "(frames, columns)")
        answered = self._table(OUTPUT, self.runner.get_output_details(), "(steps, tokens)")
        self.frames, self.columns = map(int, shape) if len(shape) else (-1, -1)   # -1: any number
        self.filled = self.frames != -1 and len(answered) and answered[0] == STEPS    # with EOS behind the phrase

    def _check(self, signatures: dict) -> list[str]:
        if SIGNATURE not in signatures:
            raise UserError(f"{self.source} has no signature {SIGNATURE!r} (it has {sorted(signatures) or 'none'}); "
                             "export it with aslutils.port.export, or save it with signatures={'serving_default': ...}")
        signature = signatures[SIGNATURE]
        if list(signature["inputs"]) != [INPUT]:
            raise UserError(f"{self.source}: {SIGNATURE} takes {signature['inputs']}; expected the one argument {INPUT!r}")
        if OUTPUT not in signature["outputs"]:
            raise UserError(f"{self.source}: {SIGNATURE} returns {signature['outputs']}; expected {OUTPUT!r} among them")
        return list(signature["outputs"])

    def _table(self, name: str, details: dict, expected: str) -> np.ndarray:
        """The shape of an input or output, which must have two axes; empty if the model leaves it open."""
        shape = details[name]["shape_signature"]
        if len(shape) not in (0, 2):
            raise UserError(f"{self.source}: {name!r} has the shape {shape.tolist()}; expected {expected}")
        return shape

    def counted(self, inputs: np.ndarray) -> np.ndarray:
        """The rows of a sequence (n, columns) that are frames to it: with a fixed shape none behind the last that shows any."""
        return inputs if self.frames == -1 else _shown(inputs)

    def __call__(self, inputs) -> dict[str, np.ndarray]:
        """All outputs for one sequence: `inputs` (frames, columns) with NaN where not seen.

        `outputs` and `probabilities` end with the phrase, for a fixed shape too.
        """
        inputs = np.ascontiguousarray(inputs, dtype=np.float32)
        if inputs.ndim != 2 or self.columns not in (-1, inputs.shape[1]):
            raise UserError(f"{self.source} expects the shape (frames, {self.columns}), got {inputs.shape}. "
                             "Do the selected columns of inference_args.json belong to this model?")
        with self._turn, self._running():
            answer = self.runner(**{INPUT: inputs if self.frames == -1 else _of_length(inputs, self.frames)})
        if self.filled:
            ended = np.append(answer[OUTPUT].argmax(axis=1), EOS) == EOS
            answer |= {name: answer[name][:ended.argmax()] for name in (OUTPUT, PROBABILITIES) if name in answer}
        return answer

    @contextmanager
    def _running(self):
        """Turn LiteRT's errors, such as an operator that it lacks, into one line that names the model."""
        try:
            yield
        except (ValueError, RuntimeError, MemoryError) as error:
            raise UserError(f"{self.source} cannot be run: {_reason(error)}") from error


def _of_length(inputs: np.ndarray, frames: int) -> np.ndarray:
    """A sequence (n, columns) as exactly `frames` rows: resampled, or with rows of NaN behind it."""
    inputs = fit_length(_shown(inputs), frames)
    return np.pad(inputs, ((0, frames - len(inputs)), (0, 0)), constant_values=np.nan)


def _shown(inputs: np.ndarray) -> np.ndarray:
    """The rows (n, columns) up to the last in which anything was seen."""
    return inputs[:len(inputs) - np.isfinite(inputs).any(axis=1)[::-1].argmax()] if np.isfinite(inputs).any() else inputs[:0]


def _file(path) -> Path:
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in NAMES if (path / name).exists()), path / NAMES[0])
    if not path.exists():
        raise FileNotFoundError(f"no TFLite model at {path}; notebook 04 writes one")
    return regular_file(path)
