"""Beam search inside the graph, with optional ranking by the backward decoder. Mirrors `aslutils.model.beam`."""

import tensorflow as tf

from aslutils.model.beam import BeamSearch
from aslutils.model.ctc import NEVER
from aslutils.port import ctc
from aslutils.port.decoding import mean
from aslutils.task.text import EOS, PAD, SOS, STEPS, VOCABULARY


def search(networks, encoded, rejected, settings: BeamSearch):
    """Find the most probable phrase with `settings.beams` hypotheses at a time, by the networks' mean logits.

    networks: port Networks; encoded: each one's frames (T, D) and mask; rejected: bool (), True spells nothing.
    Returns as `decoding.greedy` does; the chosen token of each row is raised just above the likeliest, so that the arg max spells
    the phrase.
    """
    tokens, rows, total = _hypotheses(networks, encoded, rejected, settings)
    lengths = tf.reduce_sum(tf.cast(tokens != EOS, tf.int32), axis=1)             # (W,)
    if settings.rerank_weight:
        backward = _backward([network.backward_decoder for network in networks], encoded, tokens, lengths)
        total = (1 - settings.rerank_weight) * total + settings.rerank_weight * backward
    counted = tf.cast(tf.minimum(lengths + 1, STEPS), tf.float32)                 # EOS included, where it fits
    best = tf.argmax(settings.ranked(total, counted), output_type=tf.int32)
    rows, chosen = rows[best], tf.one_hot(tokens[best], VOCABULARY)               # (33, V)
    raised = tf.where(chosen > 0, tf.reduce_max(rows, axis=1, keepdims=True) + 1e-3, rows)
    return raised, tf.reduce_sum(tf.nn.softmax(rows) * chosen, axis=1), lengths[best]


def _hypotheses(networks, encoded, rejected, settings: BeamSearch):
    """The last W hypotheses: tokens int32 (W, 33), EOS after each; their logits (W, 33, V) and log probabilities (W,)."""
    width, decoders = settings.beams, [network.decoder for network in networks]
    memories = [decoder.start(*frames) for decoder, frames in zip(decoders, encoded)]
    only_end = tf.one_hot(EOS, VOCABULARY, on_value=0.0, off_value=NEVER)         # what follows an ended hypothesis

    def going(step, last, *_):
        return (step < STEPS) & tf.reduce_any(last != EOS)

    frames = ctc.frame_log_probabilities(networks, encoded) if settings.ctc_share else None

    def body(step, last, counts, lengths, decoder_total, ctc_total, state, tokens, rows, caches):
        """One more token for each hypothesis: the best W of all continuations replace the W before."""
        results = [decoder(last, counts, step, memory, cache) for decoder, memory, cache in zip(decoders, memories, caches)]
        logits = mean([logits for logits, _ in results])                          # (W, V)
        ended = tf.equal(last, EOS)
        by_decoder = decoder_total[:, None] + tf.where(ended[:, None], only_end, tf.nn.log_softmax(logits))
        by_ctc = ctc_total[:, None] + tf.zeros_like(by_decoder)
        if settings.ctc_share:
            by_ctc = tf.where(ended[:, None], by_ctc, ctc.prefix_scores(frames, state, last))
        candidates = settings.joint(by_decoder, by_ctc)
        lengths += tf.cast(~ended, tf.int32)
        ranked = tf.reshape(settings.ranked(candidates, tf.cast(lengths[:, None], tf.float32)), [-1])
        _, kept = tf.math.top_k(ranked, settings.beams)                           # (W,) of W * V
        parents, before, last = kept // VOCABULARY, last, kept % VOCABULARY
        if settings.ctc_share:
            state = ctc.extended(frames, state, before, parents, last)
        now = tf.equal(tf.range(STEPS), step)                                     # (33,)
        tokens = tf.where(now, last[:, None], tf.gather(tokens, parents))
        rows = tf.where(now[:, None], tf.gather(logits, parents)[:, None], tf.gather(rows, parents))
        counts = tf.gather(counts, parents) + tf.cast(last != PAD, tf.int32)
        caches = tf.nest.map_structure(lambda cache: tf.gather(cache, parents), [cache for _, cache in results])
        decoder_total, ctc_total = (tf.gather(tf.reshape(total, [-1]), kept) for total in (by_decoder, by_ctc))
        return (step + 1, last, counts, tf.gather(lengths, parents), decoder_total, ctc_total, state, tokens, rows, caches)

    state = (0, tf.fill([width], tf.where(rejected, EOS, SOS)), tf.ones(width, tf.int32), tf.zeros(width, tf.int32),
             tf.constant([0.0] + [NEVER] * (width - 1)), tf.zeros(width), ctc.start(frames, width) if settings.ctc_share else (),
             tf.fill([width, STEPS], EOS), tf.zeros((width, STEPS, VOCABULARY)), [decoder.caches(width) for decoder in decoders])
    *_, decoder_total, ctc_total, _, tokens, rows, _ = tf.while_loop(going, body, state)
    return tokens, rows, settings.joint(decoder_total, ctc_total)


def _backward(decoders, encoded, tokens, lengths):
    """Log probabilities (W,) of the reversed hypotheses by the backward decoders' mean logits."""
    memories = [decoder.start(*frames) for decoder, frames in zip(decoders, encoded)]
    places = lengths[:, None] - 1 - tf.range(STEPS)                               # (W, 33): where each reversed token is
    reversed_tokens = tf.gather(tokens, tf.maximum(places, 0), batch_dims=1)
    reversed_tokens = tf.where(places >= 0, reversed_tokens, EOS)

    def going(step, *_):
        return (step < STEPS) & tf.reduce_any(step <= lengths)

    def body(step, last, counts, total, caches):
        results = [decoder(last, counts, step, memory, cache) for decoder, memory, cache in zip(decoders, memories, caches)]
        logits = mean([logits for logits, _ in results])
        following = reversed_tokens[:, step]
        gained = tf.reduce_sum(tf.nn.log_softmax(logits) * tf.one_hot(following, VOCABULARY), axis=1)
        total += tf.where(step <= lengths, gained, 0.0)
        return step + 1, following, counts + tf.cast(following != PAD, tf.int32), total, [cache for _, cache in results]

    width = tokens.shape[0]
    state = (0, tf.fill([width], SOS), tf.ones(width, tf.int32), tf.zeros(width), [decoder.caches(width) for decoder in decoders])
    return tf.while_loop(going, body, state)[3]
