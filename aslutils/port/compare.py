"""PyTorch against TensorFlow against TFLite: the texts that agree, and the largest difference of each layer.

PyTorch, one sequence at a time without padding, is the reference.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
import torch

from aslutils.model.beam import BeamSearch, search
from aslutils.model.decoding import greedy
from aslutils.port.decoding import forced
from aslutils.port.export import to_tflite
from aslutils.port.layers import FrameMask
from aslutils.port.network import Network
from aslutils.port.preprocess import standardise as standardise_in_graph
from aslutils.reading.tflite import SIGNATURE, Model, interpreter
from aslutils.system.progress import progress
from aslutils.task.landmarks import COLUMNS, count_hand_frames
from aslutils.task.preprocess import as_landmarks, fit_length, standardise
from aslutils.task.rejection import (
    PUBLISHED,
    UNKNOWN,
    Limits,
    Verdict,
    certainty,
    surer,
    too_short_to_halve,
    verdict,
    verdict_on_answer,
)
from aslutils.task.text import CHARACTERS, DUMMY_PHRASE, EOS, SOS, STEPS, VOCABULARY, decode, encode


@dataclass
class Answer:
    """An ensemble's prediction for one sequence."""

    text: str                        # the dummy phrase where the sequence is rejected
    verdict: Verdict
    confidence: float                # NaN where no network has a head for it
    logits: np.ndarray               # float32 (n, V), rows before EOS


def network_frames(inputs) -> np.ndarray:
    """Columns (T, 390) as the network takes them, float32 (n, 130, 3); infinite values count as not seen."""
    inputs = np.asarray(inputs, np.float32)
    return fit_length(standardise(as_landmarks(np.where(np.isfinite(inputs), inputs, np.nan))))


@torch.inference_mode()
def read_pytorch(networks, inputs, beam: BeamSearch | None = None, limits: Limits = PUBLISHED, half_rate: bool = False) -> Answer:
    """Read one sequence's columns (T, 390) with PyTorch networks, by their mean reading logit and their mean logits at each step.

    beam: how to search for the phrase; None: the likeliest token at each step; limits: what a reading must reach; half_rate:
    read what is not rejected by every second frame too, and answer the more certain text.
    """
    frames, T, hand_frames = network_frames(inputs), len(inputs), count_hand_frames(inputs)
    found = verdict(T, hand_frames, limits=limits)
    if not len(frames):
        return _rejected(found)
    frames = torch.from_numpy(frames)[None]
    reading = _reading(networks, frames, beam, limits, found is Verdict.READ)
    found = verdict(T, hand_frames, reading.confidence, reading.characters, reading.certainty, limits)
    if found is not Verdict.READ:
        return _rejected(found, reading.confidence)
    if half_rate and not too_short_to_halve(T):
        halved = _reading(networks, frames[:, ::2], beam, limits)
        reading = halved if surer(halved.certainty, reading.certainty) else reading
    return Answer(reading.text, found, reading.confidence, reading.logits)


@dataclass
class _Reading:
    """What networks make of a sequence's frames, before it is rejected or not."""

    text: str
    confidence: float
    certainty: float
    characters: int
    logits: np.ndarray               # float32 (n, V), rows before EOS


def _reading(networks, frames, beam: BeamSearch | None, limits: Limits, spell: bool = True) -> _Reading:
    """Read frames (1, n, 130, 3); without `spell`, or with a confidence below its limit, nothing is spelled."""
    encoded = [network.encode(frames, torch.tensor([frames.shape[1]])) for network in networks]
    logits = [network.reading_logit(x, mask) for network, (x, mask) in zip(networks, encoded)]
    known = [logit for logit in logits if logit is not None]
    confidence = float(torch.cat(known).mean().sigmoid()) if known else UNKNOWN
    if not spell or confidence < limits.confidence:
        return _Reading("", confidence, 0.0, 0, np.empty((0, VOCABULARY), np.float32))
    if beam is None:
        tokens, rows = greedy([network.decoder for network in networks], encoded)
        rows = rows[tokens != EOS]                                              # (n, V)
        probabilities = rows.softmax(dim=1).amax(dim=1)                         # (n,)
    else:
        rows, probabilities = search(networks, encoded, beam)
    text, spelled = decode(rows.argmax(dim=1)), rows.argmax(dim=1) < len(CHARACTERS)
    return _Reading(text, confidence, certainty(confidence, probabilities[spelled].tolist()), len(text), rows.numpy())


def _rejected(found: Verdict, confidence: float = UNKNOWN) -> Answer:
    return Answer(DUMMY_PHRASE, found, confidence, np.eye(VOCABULARY, dtype=np.float32)[encode(DUMMY_PHRASE)[:len(DUMMY_PHRASE)]])


def read_tflite(model: Model, inputs, limits: Limits = PUBLISHED) -> Answer:
    """Read one sequence with an exported model. limits: those that it was exported with."""
    answer = model(inputs)
    confidence, certain = float(answer["confidence"]), float(answer["certainty"])
    characters = int((answer["probabilities"] > 0).sum())                         # the dummy phrase's are 0
    found = verdict_on_answer(len(inputs), count_hand_frames(inputs), confidence, certain, characters, limits)
    return Answer(decode(answer["outputs"].argmax(axis=1)), found, confidence, answer["outputs"])


def compare(model: Model, sequences, reference: list[Answer]) -> pd.DataFrame:
    """One row per sequence: length, the text and confidence by PyTorch and by TFLite, whether the texts agree, and the
    largest difference of logits over the rows that both have.

    sequences: each one's columns (T, 390); reference: their answers from `read_pytorch`.
    """
    rows = []
    for inputs, expected in zip(sequences, reference, strict=True):
        found = read_tflite(model, inputs)
        common = min(len(expected.logits), len(found.logits))
        difference = np.abs(expected.logits[:common] - found.logits[:common]).max() if common else 0.0
        rows.append({"length": len(inputs), "pytorch": expected.text, "tflite": found.text, "agrees": expected.text == found.text,
                     "pytorch_confidence": expected.confidence, "tflite_confidence": found.confidence,
                     "difference": float(difference)})
    return pd.DataFrame(rows)


class Trace(tf.Module):
    """One network's layers, each an output, for `compare_layers`. The same layers as the export's."""

    def __init__(self, network):
        super().__init__()
        self.network = Network(network)

    @tf.function(input_signature=[tf.TensorSpec([None, len(COLUMNS)], tf.float32, name="inputs"),
                                  tf.TensorSpec([STEPS + 1], tf.int32, name="tokens")], autograph=False)
    def layers(self, inputs, tokens):
        """Every layer's output for a sequence and the decoder's input tokens, EOS after them."""
        frames, _ = standardise_in_graph(inputs)
        outputs = {"standardised": frames}
        stem = self.network.stem
        outputs["stem.all"] = stem.all(frames)
        outputs |= {f"stem.{part}": stem.part(part, frames) for part in stem.parts}
        x, mask = stem(frames), FrameMask(tf.shape(frames)[0])
        outputs["stem"] = x
        for index, block in enumerate(self.network.encoder.blocks):
            x = outputs[f"encoder.blocks.{index}"] = block(x, mask)
        if (logit := self.network.reading_logit(x, mask)) is not None:
            outputs["confidence"] = logit
        outputs["decoder"] = forced([self.network.decoder], [(x, mask)], tokens)
        return outputs


@torch.no_grad()
def pytorch_layers(network, inputs, tokens) -> dict[str, np.ndarray]:
    """The same outputs by PyTorch; tokens int (S,), from SOS on."""
    frames = torch.from_numpy(network_frames(inputs))[None]
    mask = torch.ones(frames.shape[:2], dtype=torch.bool)
    stem = network.stem
    outputs = {"standardised": frames, "stem.all": stem.all(frames, mask)}
    outputs |= {f"stem.{part}": stem.part(part, frames, mask) for part in stem.parts}
    x = outputs["stem"] = stem(frames, mask)
    for index, block in enumerate(network.encoder.blocks):
        x = outputs[f"encoder.blocks.{index}"] = block(x, mask)
    if (logit := network.reading_logit(x, mask)) is not None:
        outputs["confidence"] = logit
    outputs["decoder"] = network.decoder(torch.as_tensor(tokens)[None].long(), network.decoder.start(x, mask))
    return {name: values[0].numpy() for name, values in outputs.items()}


def compare_layers(network, sequences) -> pd.DataFrame:
    """The largest difference of each layer from PyTorch, over sequences (T, 390) with at least one frame.

    Columns: layer, shape (of the last sequence), largest (absolute value by PyTorch), tensorflow, tflite (largest
    differences). The decoder is fed the tokens that PyTorch spells.
    """
    trace = Trace(network)
    function = trace.layers.get_concrete_function()
    lite = interpreter(to_tflite(function, trace, ["inputs", "tokens"])).get_signature_runner(SIGNATURE)
    table = {}
    for inputs in progress(sequences, what="comparing layers", unit="sequences", leave=False):
        spelled = read_pytorch([network], inputs).logits
        tokens = np.array([SOS, *spelled.argmax(axis=1)], np.int32)[:STEPS]
        padded = np.pad(tokens, (0, STEPS + 1 - len(tokens)), constant_values=EOS)
        found = {"tensorflow": function(inputs=tf.constant(inputs), tokens=tf.constant(padded)),
                 "tflite": lite(inputs=inputs, tokens=padded)}
        for name, values in pytorch_layers(network, inputs, tokens).items():
            row = table.setdefault(name, {"layer": name, "largest": 0.0, "tensorflow": 0.0, "tflite": 0.0})
            row["shape"], row["largest"] = values.shape, max(row["largest"], float(np.abs(values).max()))
            for framework, outputs in found.items():
                output = np.asarray(outputs[name])[:len(tokens)] if name == "decoder" else np.asarray(outputs[name])
                row[framework] = max(row[framework], float(np.abs(output - values).max()))
    return pd.DataFrame(list(table.values()), columns=["layer", "shape", "largest", "tensorflow", "tflite"])
