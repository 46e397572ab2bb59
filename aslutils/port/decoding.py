"""Spelling the phrase inside the graph: the mean logits of all networks at each step, until EOS."""

import tensorflow as tf

from aslutils.task.text import EOS, PAD, SOS, STEPS, VOCABULARY


def mean(values):
    """The mean over networks."""
    return tf.add_n(values) / float(len(values)) if len(values) > 1 else values[0]


def greedy(decoders, encoded, rejected):
    """Spell by the likeliest token at each step.

    decoders: port Decoders; encoded: each one's frames (T, D) and mask; rejected: bool (), True spells nothing.
    Returns logits (33, V), 0 after the phrase, the chosen tokens' probabilities (33,), and the rows before the first EOS,
    int32 ().
    """
    first = tf.where(rejected, EOS, SOS)[None]
    rows, count = _spell(decoders, encoded, first, lambda step, logits: tf.argmax(logits, axis=1, output_type=tf.int32))
    return rows, tf.reduce_max(tf.nn.softmax(rows), axis=1), count


def forced(decoders, encoded, tokens):
    """Logits (33, V) along given tokens, int32 (34,), from SOS to the first EOS; 0 from there on."""
    return _spell(decoders, encoded, tokens[:1], lambda step, logits: tokens[None, step + 1])[0]


def _spell(decoders, encoded, first, following):
    """Steps from the token `first`, int32 (1,), to EOS, at most 33; following(step, logits (1, V)) is the next token."""
    memories = [decoder.start(*frames) for decoder, frames in zip(decoders, encoded)]

    def going(step, token, count, rows, caches):
        return (step < STEPS) & (token[0] != EOS)

    def body(step, token, count, rows, caches):
        results = [decoder(token, count, step, memory, cache) for decoder, memory, cache in zip(decoders, memories, caches)]
        logits = mean([logits for logits, _ in results])                          # (1, V)
        rows += tf.cast(tf.equal(tf.range(STEPS), step), tf.float32)[:, None] * logits
        token = following(step, logits)
        count += tf.cast(token != PAD, tf.int32)
        return step + 1, token, count, rows, [cache for _, cache in results]

    state = 0, first, tf.ones(1, tf.int32), tf.zeros((STEPS, VOCABULARY)), [decoder.caches(1) for decoder in decoders]
    step, token, _, rows, _ = tf.while_loop(going, body, state)
    return rows, step - tf.cast(tf.equal(token[0], EOS), tf.int32)
