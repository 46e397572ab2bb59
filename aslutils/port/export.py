"""Networks to a TFLite file that does everything: preprocessing, the networks, decoding, rejection.

    export([load_network("seed1.pt"), load_network("seed2.pt")], "export")

writes `export/model.tflite` and `export/inference_args.json`, which is what the competition's scorer takes.
"""

from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from aslutils.model.beam import BeamSearch
from aslutils.port import precision as precisions
from aslutils.port.beam import search
from aslutils.port.decoding import greedy, mean
from aslutils.port.layers import FrameMask
from aslutils.port.network import Network
from aslutils.port.preprocess import count_frames, fitted_length, standardise
from aslutils.reading.tflite import FIXED, INPUT, SIGNATURE
from aslutils.system.errors import UserError
from aslutils.system.files import atomic, write_json
from aslutils.task import rejection
from aslutils.task.arguments import NAME, Arguments
from aslutils.task.landmarks import COLUMNS
from aslutils.task.rejection import PUBLISHED, Limits
from aslutils.task.text import CHARACTERS, DUMMY_PHRASE, EOS, INDEX, STEPS, VOCABULARY, encode

SENSITIVE = (".conv/", ".embedding/", ".head/", ".ctc/", ".shown/")    # few weights, but most of the error of float16
TOLERANT = (".encoder.", ".self_attention.", ".cross_attention.output/", ".linear1/", ".linear2/")   # least affected by int8


def _float16(name: str) -> str:
    return "float32" if any(part in name for part in SENSITIVE) else "float16"


def _mixed(name: str) -> str:
    return "int8" if any(part in name for part in TOLERANT) else _float16(name)


def _int8(name: str) -> str:
    return "float32" if any(part in name for part in SENSITIVE) else "int8"


PRECISIONS = {                     # a layer's name -> the precision of its weights; the most faithful first
    "float32": lambda name: "float32",
    "float16": _float16,
    "mixed": _mixed,               # four fifths in int8; `tests/benchmarks/sensitivity.py` shows why the rest is not
    "int8": _int8,
}

DEFAULT = "mixed"                  # two networks of the winning size in 21 MB


class Reading(NamedTuple):
    """What networks make of a sequence's frames, before it is rejected or not."""

    confidence: tf.Tensor          # ()
    certainty: tf.Tensor           # ()
    rows: tf.Tensor                # (33, V): the logits of each step
    probabilities: tf.Tensor       # (33,): of the chosen tokens
    count: tf.Tensor               # int32 (): how many of them spell the phrase
    characters: tf.Tensor          # int32 (): how many of those are characters


class Ensemble(tf.Module):
    """Columns (T, 390) with NaN -> `outputs` (n, 63), the logits of the phrase, `probabilities` (n,) of its tokens,
    `confidence` () and `certainty` ().

    `outputs` are the rows before the first EOS, n in 1..33. A rejected sequence, which includes one with an empty text, is the
    dummy phrase's 11 one-hot rows, probabilities 0. `confidence` is NaN where no network has a head for it; `certainty`
    as `rejection.certainty` has it, 0 where the sequence was rejected before it was spelled. half_rate: what is not
    rejected is read by every second frame too, and the more certain text is the answer.
    """

    rows = None                    # of the columns: any number

    def __init__(self, networks, beam: BeamSearch | None = None, limits: Limits = PUBLISHED, half_rate: bool = False):
        super().__init__()
        self.limits, self.half_rate = limits, half_rate
        backward = beam is not None and beam.rerank_weight > 0
        self.networks = [Network(network, f"network{index}", backward) for index, network in enumerate(networks)]
        self.beam = beam

    def traced(self):
        """`recognise` as a graph."""
        columns = tf.TensorSpec([self.rows, len(COLUMNS)], tf.float32, name=INPUT)
        return tf.function(self.recognise, input_signature=[columns], autograph=False).get_concrete_function()

    def recognise(self, inputs):
        """What the file's signature `serving_default` does."""
        T, frames, hand_frames, mask = self.frames(inputs)
        read = self.read(frames, mask, rejection.rejected(T, hand_frames, limits=self.limits))
        rejected = rejection.rejected(T, hand_frames, read.confidence, read.characters, read.certainty, self.limits)
        if self.half_rate:         # a second chance for what is rejected would let more be invented where nobody spells
            halved = self.read(frames[::2], mask.halved(), rejected | rejection.too_short_to_halve(T))
            surer = rejection.surer(halved.certainty, read.certainty)
            read = Reading(*(tf.where(surer, half, full) for half, full in zip(halved, read)))
        rows = tf.where(rejected, tf.one_hot(encode(DUMMY_PHRASE), VOCABULARY), read.rows)       # (33, V)
        probabilities = tf.where(rejected, 0.0, read.probabilities)
        count = tf.where(rejected, len(DUMMY_PHRASE), read.count)
        return {"confidence": read.confidence, "certainty": read.certainty, **self.answer(rows, probabilities, count)}

    def read(self, frames, mask, rejected) -> Reading:
        """Read frames (n, 130, 3); rejected: bool (), True spells nothing, and so does a confidence below its limit."""
        encoded = [network.encode(frames, mask) for network in self.networks]
        logits = [network.reading_logit(*own) for network, own in zip(self.networks, encoded)]
        known = [logit for logit in logits if logit is not None]
        confidence = tf.sigmoid(mean(known)) if known else tf.constant(rejection.UNKNOWN)
        rows, probabilities, count = self.spell(encoded, rejected | (confidence < self.limits.confidence))
        spelled = (tf.range(STEPS) < count) & (tf.argmax(rows, axis=1) < len(CHARACTERS))       # (33,)
        characters = tf.reduce_sum(tf.cast(spelled, tf.int32))
        certainty = tf.reduce_sum(tf.where(spelled, probabilities, 0.0)) / tf.cast(tf.maximum(characters, 1), tf.float32)
        if known:
            certainty *= confidence
        return Reading(confidence, certainty, rows, probabilities, count, characters)

    def frames(self, inputs):
        """How many frames the sequence has, int32 (); the network's frames; in how many of all a hand is seen; the mask."""
        frames, hand_frames = standardise(inputs)
        return tf.shape(inputs)[0], frames, hand_frames, FrameMask(tf.shape(frames)[0])

    def answer(self, rows, probabilities, count):
        """The first `count` of the rows (33, V) and probabilities (33,)."""
        return {"outputs": rows[:count], "probabilities": probabilities[:count]}

    def spell(self, encoded, rejected):
        """Logits (33, V), the chosen tokens' probabilities (33,), and how many of them spell the phrase."""
        if self.beam is not None:
            return search(self.networks, encoded, rejected, self.beam)
        return greedy([network.decoder for network in self.networks], encoded, rejected)


class FixedEnsemble(Ensemble):
    """The same with a fixed shape: columns (rows, 390) -> `outputs` (33, 63), `probabilities` (33,), the others alike.

    Rows behind the last in which anything was seen are no frames. Behind the phrase, `outputs` spell EOS, `probabilities` are 0.
    """

    def __init__(self, networks, beam: BeamSearch | None, rows: int, limits: Limits, half_rate: bool = False):
        super().__init__(networks, beam, limits, half_rate)
        self.rows = rows

    def frames(self, inputs):
        T = count_frames(inputs)
        frames, hand_frames = standardise(inputs, T)
        return T, frames, hand_frames, FrameMask(frames.shape[0], fitted_length(T))

    def answer(self, rows, probabilities, count):
        spelled = tf.range(STEPS) < count
        return {"outputs": tf.where(spelled[:, None], rows, tf.one_hot(EOS, VOCABULARY)),
                "probabilities": tf.where(spelled, probabilities, 0.0)}


def check(networks, beam: BeamSearch | None = None, precision: str = "auto"):
    """Raise ValueError for what cannot be exported: no networks, one without the head that the beam search needs, or a
    precision that is neither one of `PRECISIONS` nor "auto"."""
    if not networks:
        raise UserError("no networks to export; give at least one checkpoint")
    if precision not in ("auto", *PRECISIONS):
        raise UserError(f"precision is {precision!r}; it must be auto or one of {', '.join(PRECISIONS)}")
    for number, network in enumerate(networks, 1):
        if beam is not None and beam.rerank_weight and network.backward_decoder is None:
            raise UserError(f"network {number} of {len(networks)} has no backward decoder to rank hypotheses with; "
                             "set rerank_weight to 0")
        if beam is not None and beam.ctc_share and network.ctc is None:
            raise UserError(f"network {number} of {len(networks)} has no CTC head to decode with; set ctc_share to 0")


def to_tflite(function, module, inputs: list[str]) -> bytes:
    """A traced function of `module` as a float32 TFLite model of built-in operations, with its signature."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.experimental_lower_to_saved_model = False   # through a SavedModel it takes 3 times the memory and time
    model = precisions.unpack(converter.convert())
    precisions.sign(model, SIGNATURE, inputs, sorted(function.structured_outputs))
    return precisions.pack(model)


def convert(networks, beam: BeamSearch | None = None, frames: int | None = None,
            limits: Limits = PUBLISHED, half_rate: bool = False) -> bytes:
    """The networks as a float32 TFLite model that decodes greedily, or by beam search.

    frames: None for sequences of any length, or the fixed number of rows that it takes (see `FixedEnsemble`); limits:
    what a reading must reach, or it is rejected; half_rate: read what is not
    rejected by every second frame too, and answer the more certain text.
    """
    check(networks, beam)
    ensemble = Ensemble(networks, beam, limits, half_rate) if frames is None else \
        FixedEnsemble(networks, beam, frames, limits, half_rate)
    return to_tflite(ensemble.traced(), ensemble, [INPUT])


def with_precision(content: bytes, precision: str) -> bytes:
    """A float32 model with its weights in another precision: one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}; expected one of {', '.join(PRECISIONS)}")
    return precisions.rewrite(content, PRECISIONS[precision])


def export(networks, folder, precision: str = DEFAULT, beam: BeamSearch | None = None) -> Path:
    """Write `model.tflite` and `inference_args.json` for PyTorch networks of any sizes and either round.

    The model averages the networks' reading logits and, at each step, their logits. precision: one of `PRECISIONS`; beam:
    searches for the phrase instead of taking the likeliest token at each step. Returns the model's path. Raises ValueError as
    `check` does.
    """
    return write_export(with_precision(convert(networks, beam), precision), folder)


def write_export(content: bytes, folder, fixed: bytes | None = None, limits: Limits = PUBLISHED, **usual: int) -> Path:
    """Write a finished model to `folder`, with the columns that it reads and the characters that it spells. Returns its path.

    fixed: the same model with a fixed shape, which becomes `model_fixed.tflite`; None: none, and an earlier one is deleted.
    limits: what `convert` was given. usual: usual_end and usual_characters of its training, if known (see `Arguments`).
    """
    folder = Path(folder)
    (folder / "report.json").unlink(missing_ok=True)             # an earlier export's; notebook 04 writes this one's last
    write_json(folder / NAME, Arguments(COLUMNS, limits=limits, **usual).content())
    write_json(folder / "character_to_prediction_index.json", INDEX)
    (folder / FIXED).unlink(missing_ok=True)
    for name, model in (("model.tflite", content), (FIXED, fixed)):
        if model is not None:
            with atomic(folder / name) as temporary:
                temporary.write_bytes(model)
    return folder / "model.tflite"
