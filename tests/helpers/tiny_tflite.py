"""TFLite models of a few operations with the competition's signature, for tests of what runs them."""

import numpy as np
import tensorflow as tf

from aslutils.port.precision import pack, sign, unpack
from aslutils.task.landmarks import COLUMNS
from aslutils.task.text import INDEX, VOCABULARY


def tokens_of(*parts) -> list[int]:
    """Texts and lists of tokens, one after another."""
    return [token for part in parts for token in ([INDEX[character] for character in part] if isinstance(part, str) else part)]


def constant_model(*parts, confidence: float = 0.9, argument="inputs", output="outputs", signature="serving_default",
                   frames: int | None = None) -> bytes:
    """Answers the same tokens to every sequence, with a confidence. frames: of a fixed shape."""
    rows = np.eye(VOCABULARY, dtype=np.float32)[tokens_of(*parts)] * 8

    def answer(inputs):
        zero = tf.reduce_sum(tf.zeros_like(inputs))
        return {"confidence": zero + confidence, output: rows + zero}

    return _convert(answer, len(COLUMNS), argument, signature, frames)


def hasty_model(text: str) -> bytes:
    """Answers the same text to every sequence, as certain as 60 frames are of its frames."""
    rows = np.eye(VOCABULARY, dtype=np.float32)[tokens_of(text)]

    def answer(inputs):
        certainty = tf.minimum(60 / tf.cast(tf.shape(inputs)[0], tf.float32), 1.0)
        return {"confidence": certainty, "certainty": certainty, "probabilities": certainty + tf.zeros(len(rows)),
                "outputs": rows + 0 * certainty}

    return _convert(answer, len(COLUMNS))


def frame_count_model(columns: int) -> bytes:
    """Answers one `a` a frame."""
    return _convert(lambda inputs: {"outputs": tf.one_hot(tf.fill([tf.shape(inputs)[0]], INDEX["a"]), VOCABULARY)}, columns)


def flat_model() -> bytes:
    """Answers one number a sequence, as a classifier of something else would."""
    return _convert(lambda inputs: {"outputs": tf.reshape(tf.reduce_sum(inputs), [1])}, len(COLUMNS))


def mean_model() -> bytes:
    """Answers `a` with a confidence that depends on the value and the place of everything seen."""
    weights = np.random.default_rng(0).standard_normal(len(COLUMNS)).astype(np.float32) / 100

    def answer(inputs):
        seen = tf.abs(inputs) < 1e30
        return {"confidence": tf.sigmoid(tf.reduce_sum(tf.where(seen, inputs, 0.0) * weights)),
                "outputs": tf.one_hot(tf.fill([1], INDEX["a"]), VOCABULARY)}

    return _convert(answer, len(COLUMNS))


def failing_model() -> bytes:
    """Fails while running, unless a sequence has 100 frames."""
    return _convert(lambda inputs: {"outputs": tf.reshape(inputs, [100, len(COLUMNS)])[:, :VOCABULARY]}, len(COLUMNS))


def flex_model() -> bytes:
    """Needs an operator of TensorFlow that LiteRT lacks."""
    return _convert(lambda inputs: {"outputs": tf.math.lgamma(inputs)[:, :VOCABULARY]}, len(COLUMNS))


def _convert(answer, columns: int, argument: str = "inputs", signature: str = "serving_default",
             frames: int | None = None) -> bytes:
    function = tf.function(answer, input_signature=[tf.TensorSpec([frames, columns], tf.float32)], autograph=False)
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.experimental_lower_to_saved_model = False
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    model = unpack(converter.convert())
    sign(model, signature, [argument], sorted(concrete.structured_outputs))
    return pack(model)
