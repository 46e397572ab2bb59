"""The export of a fixed shape: the variable one's texts, with nothing dynamic in it."""

import numpy as np
import pytest
from configs import beam_search, model_config
from toys import TOY, lively, made_columns

from aslutils.model.network import Network
from aslutils.port import export
from aslutils.port.compare import read_tflite
from aslutils.port.precision import schema, unpack
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.tflite import FIXED, Model
from aslutils.task.landmarks import COLUMNS
from aslutils.task.preprocess import fit_length
from aslutils.task.text import DUMMY_PHRASE, EOS

pytestmark = pytest.mark.slow
FRAMES = 96


@pytest.fixture(scope="module")
def fixed(ensemble) -> bytes:
    return export.convert(ensemble, frames=FRAMES)


def assert_alike(variable: bytes, fixed: bytes, sequences):
    """Both read the same texts from the sequences, with the same logits and confidence."""
    variable, fixed = Model(variable), Model(fixed)
    texts = set()
    for inputs in sequences:
        expected, found = read_tflite(variable, inputs), read_tflite(fixed, inputs)
        assert (found.text, found.verdict) == (expected.text, expected.verdict), len(inputs)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-3)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)
        texts.add(found.text)
    assert len(texts) > 20


def test_300_sequences_of_all_lengths_read_as_with_the_variable_export(exported, fixed):
    lengths = [*range(FRAMES + 1), *np.random.default_rng(1).integers(0, FRAMES + 1, 300 - FRAMES - 1)]
    assert_alike(exported, fixed, [made_columns(length, seed) for seed, length in enumerate(lengths)])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_beams_ctc_and_backward_decoder_read_as_with_the_variable_export(share):
    networks, beam = [lively(Network(model_config(**TOY | dict(ctc=True))), 2)], beam_search(4, 0.5, 0.4, share)
    variable, fixed = export.convert(networks, beam), export.convert(networks, beam, frames=FRAMES)
    assert_alike(variable, fixed, [made_columns(length, length) for length in range(10, FRAMES + 1, 2)])


def test_more_rows_than_the_network_takes_are_resampled_as_in_the_variable_export(exported, ensemble):
    fixed = Model(export.convert(ensemble, frames=500))
    for length in (383, 384, 385, 430, 500):
        inputs = made_columns(length, length)
        assert read_tflite(fixed, inputs).text == read_tflite(Model(exported), inputs).text


def test_no_tensor_is_dynamic_and_every_operator_is_built_in(fixed):
    model = unpack(fixed)
    assert not any(code.customCode for code in model.operatorCodes)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            signature = tensor.shapeSignature                                    # -1: of any size; None: as the shape says
            assert (signature is None or -1 not in signature) and (tensor.hasRank or not len(tensor.shape)), tensor.name
    main = model.subgraphs[0]
    assert {tuple(main.tensors[index].shape) for index in main.inputs} == {(FRAMES, len(COLUMNS))}
    assert sorted(tuple(main.tensors[index].shape) for index in main.outputs) == [(), (), (33,), (33, 63)]
    assert any(code.builtinCode == schema.BuiltinOperator.WHILE for code in model.operatorCodes)


def test_rows_of_nan_behind_a_sequence_are_no_frames_and_those_within_it_are(exported, fixed):
    inputs = made_columns(40, 5)
    inputs[20] = np.nan
    runner = Model(fixed).runner
    answer = runner(inputs=np.pad(inputs, ((0, FRAMES - 40), (0, 0)), constant_values=np.nan))
    expected = Model(exported)(inputs)["outputs"]
    np.testing.assert_allclose(answer["outputs"][:len(expected)], expected, atol=1e-3)
    assert (answer["outputs"][len(expected):].argmax(axis=1) == EOS).all() and not answer["probabilities"][len(expected):].any()


def test_a_longer_sequence_is_resampled_as_the_network_would(exported, fixed):
    full = Model(exported)
    for length in (97, 150, 288):
        inputs = made_columns(length, length)
        np.testing.assert_allclose(Model(fixed)(inputs)["outputs"], full(fit_length(inputs, FRAMES))["outputs"], atol=1e-3)


def test_rows_in_which_nothing_was_seen_at_the_end_cost_a_long_sequence_no_frame(exported, fixed):
    inputs = made_columns(FRAMES, 3)
    longer = np.pad(inputs, ((0, 200), (0, 0)), constant_values=np.nan)
    np.testing.assert_allclose(Model(fixed)(longer)["outputs"], Model(exported)(inputs)["outputs"], atol=1e-3)


@pytest.mark.parametrize("precision", ["mixed", "int8"])
def test_the_fixed_shape_takes_every_precision(exported, fixed, precision):
    variable, smaller = export.with_precision(exported, precision), export.with_precision(fixed, precision)
    assert len(smaller) < 0.8 * len(fixed)
    agree = [read_tflite(Model(variable), inputs).text == read_tflite(Model(smaller), inputs).text
             for inputs in (made_columns(length, length) for length in range(20, FRAMES, 4))]
    assert np.mean(agree) > 0.75                                                # random weights decide by narrow margins


def test_a_recogniser_takes_either_file(exported, fixed, tmp_path):
    export.write_export(exported, tmp_path, fixed=fixed)
    assert (tmp_path / FIXED).read_bytes() == fixed
    inputs = made_columns(60, 9)
    either = [Recognizer(path).read(inputs) for path in (tmp_path, tmp_path / FIXED)]
    assert either[0].spelled == either[1].spelled and either[0].verdict == either[1].verdict
    export.write_export(exported, tmp_path)
    assert not (tmp_path / FIXED).exists()


@pytest.mark.parametrize("inputs", [np.zeros((0, len(COLUMNS))), np.full((FRAMES, len(COLUMNS)), np.nan),
                                    np.full((60, len(COLUMNS)), np.inf), made_columns(1, 0)],
                         ids=["no frames", "nan", "infinite", "one frame"])
def test_what_cannot_be_read_is_the_dummy_phrase(fixed, inputs):
    assert read_tflite(Model(fixed), inputs).text == DUMMY_PHRASE
