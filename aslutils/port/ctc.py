"""CTC prefix scores inside the graph. Mirrors `aslutils.model.ctc`."""

import tensorflow as tf

from aslutils.model.ctc import LEAST, NEVER
from aslutils.model.network import BLANK
from aslutils.port.decoding import mean
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.text import EOS, SOS, VOCABULARY


def frame_log_probabilities(networks, encoded):
    """Log probabilities (T, 60) of the characters and the blank at each frame; behind the sequence there are blanks alone."""
    frames = tf.nn.log_softmax(mean([network.ctc(frames) for network, (frames, _) in zip(networks, encoded)]))
    _, mask = encoded[0]
    return mask.replaced(frames, tf.one_hot(BLANK, BLANK + 1, on_value=0.0, off_value=NEVER))


def start(frames, width: int):
    """The state of `width` empty prefixes: (W, T) with a character at frame t, and with a blank."""
    blank = tf.tile(tf.cumsum(frames[:, BLANK])[None], [width, 1])
    return tf.fill(tf.shape(blank), NEVER), blank


def prefix_scores(frames, state, last):
    """Log probabilities (W, V) that the phrase begins with each prefix and a further character; for EOS, that it is a prefix."""
    before, repeated = _before(state, last)
    peak = tf.reduce_max(before, axis=1, keepdims=True)
    sums = tf.matmul(tf.exp(before - peak), tf.exp(frames[:, :BLANK]))
    scores = tf.math.log(tf.maximum(sums, LEAST)) + peak                                                   # (W, 59)
    again = repeated + _column(frames, last)
    highest = tf.reduce_max(again, axis=1, keepdims=True)
    again = tf.math.log(tf.reduce_sum(tf.exp(again - highest), axis=1, keepdims=True)) + highest           # (W, 1)
    scores = tf.where(last[:, None] == tf.range(BLANK), again, scores)
    whole = _logaddexp(*state)[:, -1:]
    never = tf.fill([last.shape[0], VOCABULARY], NEVER)
    return tf.concat([scores, never[:, BLANK:EOS], whole, never[:, EOS + 1:]], axis=1)


def extended(frames, state, last, parents, tokens):
    """The state of the prefixes `parents` with one more token each."""
    before, repeated = (tf.gather(part, parents) for part in _before(state, last))
    begun = tf.where((tokens == tf.gather(last, parents))[:, None], repeated, before)
    character = _scan(_column(frames, tokens), begun)
    return character, _scan(tf.zeros_like(character) + frames[:, BLANK], _shifted(character, 1, NEVER))


def _column(frames, tokens):
    """The log probabilities (W, T) of a token each, at every frame."""
    return tf.gather(tf.transpose(frames), tf.minimum(tokens, BLANK))


def _before(state, last):
    character, blank = state
    first = tf.where(last == SOS, 0.0, NEVER)[:, None]
    return [tf.concat([first, part[:, :-1]], axis=1) for part in (_logaddexp(character, blank), blank)]


def _scan(gains, inputs):
    carried, x, step = gains, gains + inputs, 1
    while step < (gains.shape[1] or MAX_FRAMES):
        x = _logaddexp(carried + _shifted(x, step, NEVER), x)
        carried = carried + _shifted(carried, step, 0.0)
        step *= 2
    return x


def _shifted(x, frames: int, value: float):
    return tf.pad(x, [[0, 0], [frames, 0]], constant_values=value)[:, :tf.shape(x)[1] if x.shape[1] is None else x.shape[1]]


def _logaddexp(a, b):
    return tf.maximum(a, b) + tf.math.log(1 + tf.exp(-tf.abs(a - b)))
