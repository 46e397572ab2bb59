"""A TFLite model of ours, run by LiteRT: opened, checked, called with one recording. The only room that imports LiteRT."""

from pathlib import Path
from threading import Lock

import numpy as np

SIGNATURE, INPUT, OUTPUT = "serving_default", "inputs", "outputs"   # what the competition's scorer calls and reads


def interpreter(path, threads: int = 1, source: str = "the model"):
    """A LiteRT interpreter of a `.tflite` file, the folder that holds `model.tflite`, or a model's bytes.

    source: what errors call bytes. Raises FileNotFoundError, or ValueError when it is no TFLite model.
    """
    from ai_edge_litert.interpreter import Interpreter

    if not isinstance(path, bytes):
        path, source = _file(path), str(path)
    try:
        return Interpreter(model_content=path if isinstance(path, bytes) else path.read_bytes(), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{source} is no TFLite model, or is cut short: {error}") from error


class Model:
    """A TFLite model with the competition's signature. Threads that share an instance take turns.

    Arguments as for `interpreter`. Raises as it does, and ValueError that names the file and what it lacks: the signature
    `serving_default`, the argument `inputs`, the output `outputs`, both tables.
    """

    def __init__(self, path, threads: int = 1, source: str = "the model"):
        self.source = source if isinstance(path, bytes) else str(path)
        self.interpreter = interpreter(path, threads, source)
        self.outputs = self._check(self.interpreter.get_signature_list())
        self.runner = self.interpreter.get_signature_runner(SIGNATURE)
        self._turn = Lock()                                                       # without it LiteRT mixes recordings up
        shape = self._table(INPUT, self.runner.get_input_details(), "(frames, columns)")
        self._table(OUTPUT, self.runner.get_output_details(), "(steps, tokens)")
        self.columns = int(shape[1]) if len(shape) else -1                        # -1: any number

    def _check(self, signatures: dict) -> list[str]:
        if SIGNATURE not in signatures:
            raise ValueError(f"{self.source} has no signature {SIGNATURE!r} (it has {sorted(signatures) or 'none'}); "
                             "export it with aslutils.port.export, or save it with signatures={'serving_default': ...}")
        signature = signatures[SIGNATURE]
        if list(signature["inputs"]) != [INPUT]:
            raise ValueError(f"{self.source}: {SIGNATURE} takes {signature['inputs']}; expected the one argument {INPUT!r}")
        if OUTPUT not in signature["outputs"]:
            raise ValueError(f"{self.source}: {SIGNATURE} returns {signature['outputs']}; expected {OUTPUT!r} among them")
        return list(signature["outputs"])

    def _table(self, name: str, details: dict, expected: str) -> np.ndarray:
        """The shape of an input or output, which must have two axes; empty where the model leaves it open."""
        shape = details[name]["shape_signature"]
        if len(shape) not in (0, 2):
            raise ValueError(f"{self.source}: {name!r} has the shape {shape.tolist()}; expected {expected}")
        return shape

    def __call__(self, inputs) -> dict[str, np.ndarray]:
        """All outputs for one recording: `inputs` (frames, columns) with NaN where nothing was seen."""
        inputs = np.ascontiguousarray(inputs, dtype=np.float32)
        if inputs.ndim != 2 or self.columns not in (-1, inputs.shape[1]):
            raise ValueError(f"{self.source} reads (frames, {self.columns}) values; it was given {inputs.shape}. "
                             "Do the selected columns of inference_args.json belong to this model?")
        with self._turn:
            return self.runner(**{INPUT: inputs})


def _file(path) -> Path:
    path = Path(path)
    if path.is_dir():
        path = path / "model.tflite"
    if not path.is_file():
        raise FileNotFoundError(f"no TFLite model at {path}; notebook 04 writes one")
    return path
