"""The network, for one sequence. Mirrors `aslutils.model.network`."""

import tensorflow as tf

from aslutils.model.network import BLANK
from aslutils.port.decoder import Decoder
from aslutils.port.layers import Linear
from aslutils.port.squeezeformer import Squeezeformer
from aslutils.port.stem import LandmarkStem


class Network(tf.Module):
    """Standardised frames (T, 130, 3), zeros behind the sequence, to encoded frames, decoder steps and a confidence.

    network: the PyTorch one; backward: whether its backward decoder is wanted too.
    """

    def __init__(self, network, name: str = "network", backward: bool = False):
        super().__init__()
        self.stem = LandmarkStem(network.stem, f"{name}.stem")
        self.encoder = Squeezeformer(network.encoder, f"{name}.encoder")
        self.decoder = Decoder(network.decoder, f"{name}.decoder")
        self.backward_decoder = Decoder(network.backward_decoder, f"{name}.backward_decoder") if backward else None
        self.ctc = None if network.ctc is None else Linear.of(network.frame_votes(), name=f"{name}.ctc")
        self.shown = None if network.shown is None else Linear.of(network.shown, name=f"{name}.shown")
        unused = network.confidence is None or network.shown is not None
        self.confidence = None if unused else Linear.of(network.confidence, name=f"{name}.confidence")

    def encode(self, frames, mask):
        """Encoded frames (T, D), and the mask."""
        return self.encoder(self.stem(frames), mask), mask

    def reading_logit(self, encoded, mask):
        """The confidence of a reading, before the sigmoid: logit () of encoded frames (T, D); None without a head for it."""
        if self.shown is None:
            return None if self.confidence is None else tf.reshape(self.confidence(encoded[:1]), [])
        logits = self.shown(encoded)
        log_odds = tf.reduce_logsumexp(logits[:, :BLANK], axis=1) - logits[:, BLANK]                       # (T,)
        shows = tf.minimum(log_odds, 0.0) - tf.math.log(1 + tf.exp(-tf.abs(log_odds)))                     # log probabilities
        return tf.reduce_sum(tf.nn.softmax(mask.hidden(shows)) * log_odds)
