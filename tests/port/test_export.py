"""The exported file: the same texts as PyTorch, whatever it is given."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor

import golden_toy
import numpy as np
import pytest
import torch
from configs import beam_search
from toys import made_columns

from aslutils.model.published import from_published
from aslutils.port import export
from aslutils.port.compare import compare, read_pytorch, read_tflite
from aslutils.port.precision import schema, unpack
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.tflite import FIXED, Model
from aslutils.task.landmarks import COLUMNS
from aslutils.task.rejection import Limits, Verdict
from aslutils.task.text import CHARACTERS, DUMMY_PHRASE, EOS, PAD, decode, encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table(ensemble, exported, sequences):
    """PyTorch and TFLite side by side on all sequences."""
    return compare(Model(exported), sequences, [read_pytorch(ensemble, inputs) for inputs in sequences])


def test_pytorch_and_tflite_read_the_same_texts(table):
    assert len(table) >= 200 and table["pytorch"].nunique() > 60
    assert table["agrees"].all()
    assert table["difference"].max() < 1e-4
    seen = table["pytorch_confidence"].notna()
    np.testing.assert_allclose(table["tflite_confidence"][seen], table["pytorch_confidence"][seen], atol=1e-5)


def test_the_sequences_meet_every_rule(table):
    rejected = table["tflite"] == DUMMY_PHRASE
    assert rejected[table["length"] < 15].all() and rejected.iloc[-1]              # the last is all NaN
    unsure = table["pytorch_confidence"] < 0.15
    assert rejected[unsure].all() and unsure.any() and not rejected.all()
    assert (table["tflite"] != "").all() and (table["tflite"].str.len() == 33).any()


def test_a_rejected_sequence_answers_the_dummy_phrases_one_hot_rows(exported):
    answer = Model(exported)(made_columns(14, seed=0))
    np.testing.assert_array_equal(answer["outputs"], np.eye(63)[encode(DUMMY_PHRASE)[:11]])
    np.testing.assert_array_equal(answer["probabilities"], np.zeros(11))


@pytest.mark.parametrize("inputs", [
    np.zeros((0, len(COLUMNS))), np.zeros((1, len(COLUMNS))), np.zeros((60, len(COLUMNS))), np.full((60, len(COLUMNS)), np.nan),
    np.full((60, len(COLUMNS)), np.inf), np.full((60, len(COLUMNS)), 1e30), made_columns(900, 1)],
    ids=["no frames", "one frame", "zeros", "nan", "infinite", "huge", "900 frames"])
def test_every_sequence_gets_an_answer(exported, inputs):
    answer = Model(exported)(inputs)
    assert 1 <= len(answer["outputs"]) <= 33 and answer["outputs"].shape[1] == 63
    assert np.isfinite(answer["outputs"]).all() and 0 <= answer["confidence"] <= 1


def test_one_interpreter_answers_alike_through_300_lengths(exported):
    model, rng = Model(exported), np.random.default_rng(3)
    inputs = made_columns(40, seed=8)
    before = model(inputs)["outputs"]
    for length in [*[0, 900] * 10, 1, 384, 385, 1, *rng.integers(0, 901, 296)]:
        answer = model(made_columns(900, seed=9)[:length])
        assert np.isfinite(answer["outputs"]).all()
    np.testing.assert_array_equal(model(inputs)["outputs"], before)


def test_threads_with_an_interpreter_each_agree(exported, sequences):
    def read(_):
        model = Model(exported)
        return [read_tflite(model, inputs).text for inputs in sequences[8:40]]

    with ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(read, range(4)))
    assert texts[0] == texts[1] == texts[2] == texts[3]


def test_round_1_networks_alone_export_without_a_confidence(round1):
    model = Model(export.convert([round1]))
    for frames in (15, 60, 400):
        inputs = made_columns(frames, seed=frames)
        expected, found = read_pytorch([round1], inputs), read_tflite(model, inputs)
        assert found.text == expected.text and np.isnan(found.confidence)


def test_only_built_in_operations_are_used(exported):
    operators = unpack(exported).operatorCodes
    assert all(code.builtinCode != schema.BuiltinOperator.CUSTOM and code.customCode is None for code in operators)


def test_the_folder_holds_what_the_scorer_takes(tmp_path, ensemble, exported, monkeypatch):
    monkeypatch.setattr(export, "convert", lambda *_: exported)
    path = export.export(ensemble, tmp_path / "export", precision="mixed")
    assert path == tmp_path / "export" / "model.tflite"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "character_to_prediction_index.json", "inference_args.json", "model.tflite"]
    assert json.loads((path.parent / "inference_args.json").read_text()) == {"selected_columns": COLUMNS}
    assert Model(path.parent).outputs == ["certainty", "confidence", "outputs", "probabilities"]
    export.write_export(path.read_bytes(), path.parent, usual_end=12, usual_characters=9)
    assert json.loads((path.parent / "inference_args.json").read_text()) == {
        "selected_columns": COLUMNS, "usual_end": 12, "usual_characters": 9}


@pytest.mark.parametrize("beam", [None, beam_search(beams=3)])
def test_an_empty_text_is_rejected_in_pytorch_export_scorer_and_recogniser_alike(beam, round2, tmp_path):
    """A network whose decoder likes EOS best of all spells nothing, and whose confidence head is sure of it."""
    network = copy.deepcopy(round2)
    for decoder in (network.decoder, network.backward_decoder):
        ended = torch.zeros_like(decoder.head.weight)
        ended[EOS] = 1
        decoder.head.weight.data = ended
        decoder.norm.weight.data.zero_()
        decoder.norm.bias.data.fill_(1)
    network.confidence.weight.data.zero_()
    network.confidence.bias.data.fill_(3)
    inputs = made_columns(40, seed=1)
    expected = read_pytorch([network], inputs, beam)
    folder = export.export([network], tmp_path, precision="float32", beam=beam).parent
    found = read_tflite(Model(folder), inputs)
    assert expected.verdict is found.verdict is Recognizer(folder).read(inputs).verdict is Verdict.NO_TEXT
    assert expected.text == found.text == DUMMY_PHRASE
    assert expected.confidence == pytest.approx(found.confidence) and found.confidence > 0.9


@pytest.mark.parametrize("logit, verdicts", [(0, {0.4: Verdict.READ, 0.6: Verdict.UNSURE}), (-2.2, {0.05: Verdict.READ})])
def test_less_confidence_than_an_export_asks_for_is_a_rejection_everywhere(round2, tmp_path, logit, verdicts):
    network = copy.deepcopy(round2)
    network.confidence.weight.data.zero_()
    network.confidence.bias.data.fill_(logit)                                # always the same confidence
    inputs = made_columns(40, seed=1)
    for least, expected in verdicts.items():
        limits = Limits(confidence=least)
        contents = [export.convert([network], frames=frames, limits=limits) for frames in (None, 100)]
        export.write_export(contents[0], tmp_path, fixed=contents[1], limits=limits)
        known = json.loads((tmp_path / "inference_args.json").read_text())
        assert known["min_confidence"] == least and "min_certainty" not in known
        reference = read_pytorch([network], inputs, limits=limits)
        readings = [Recognizer(tmp_path / name).read(inputs) for name in ("model.tflite", FIXED)]
        assert {reference.verdict, *(reading.verdict for reading in readings)} == {expected}
        for content in contents:
            assert read_tflite(Model(content), inputs).text == reference.text


@pytest.mark.parametrize("head, beam", [(True, beam_search(beams=3)), (False, None)])
def test_a_text_that_is_less_certain_than_an_export_asks_for_is_a_rejection_everywhere(head, beam, round1, round2, tmp_path):
    """The certainty is the confidence, if there is one, times the mean probability of the characters."""
    network, inputs = round2 if head else round1, made_columns(40, seed=1)
    probabilities = Model(export.convert([network], beam))(inputs)["probabilities"]
    reading = read_pytorch([network], inputs, beam)
    assert reading.verdict is Verdict.READ and len(reading.text) == len(probabilities)      # every token is a character
    certainty = (reading.confidence if head else 1) * float(probabilities.mean())
    for share, expected in ((0.99, Verdict.READ), (1.01, Verdict.UNSURE)):
        limits = Limits(certainty=share * certainty)
        content = export.convert([network], beam, limits=limits)
        fixed = export.convert([network], beam, 100, limits) if expected is Verdict.UNSURE else None
        export.write_export(content, tmp_path, fixed=fixed, limits=limits)
        assert json.loads((tmp_path / "inference_args.json").read_text())["min_certainty"] == limits.certainty
        readings = [Recognizer(path).read(inputs) for path in sorted(tmp_path.glob("*.tflite"))]
        reference, found = read_pytorch([network], inputs, beam, limits), read_tflite(Model(content), inputs)
        assert {reference.verdict, found.verdict, *(reading.verdict for reading in readings)} == {expected}
        assert found.text == reference.text == (DUMMY_PHRASE if expected is Verdict.UNSURE else reading.text)
        assert [reading.certainty for reading in readings] == pytest.approx([certainty] * len(readings), rel=1e-3)
    sure = f"confidence {reading.confidence:.2f}, " if head else ""
    (tmp_path / "inference_args.json").unlink()                                  # the model rejects whatever a reader asks for
    alone = Recognizer(tmp_path / "model.tflite").read(inputs)
    assert alone.text is None and alone.verdict is read_tflite(Model(content), inputs).verdict is Verdict.UNSURE
    assert len(readings) == 2 and readings[0].reason == f"not sure enough to read it ({sure}certainty {certainty:.2f})"


def test_tokens_that_are_no_characters_are_left_out_of_the_certainty(round2):
    network = copy.deepcopy(round2)
    with torch.no_grad():
        network.decoder.head.weight[PAD] *= 2
    model, met = Model(export.convert([network])), 0
    for inputs in (made_columns(40, seed) for seed in range(40)):
        answer = model(inputs)
        characters = answer["outputs"].argmax(axis=1) < len(CHARACTERS)
        certainty = answer["confidence"] * answer["probabilities"][characters].mean() if characters.any() else 0.0
        if not answer["probabilities"].any() or abs(answer["confidence"] * answer["probabilities"].mean() / certainty - 1) < 0.03:
            continue                                                             # rejected, or PAD changes next to nothing
        met += 1
        assert answer["certainty"] == pytest.approx(certainty, rel=1e-4)
        found = [read_pytorch([network], inputs, limits=Limits(0.0, share * float(certainty))).verdict for share in (0.99, 1.01)]
        assert found == [Verdict.READ, Verdict.UNSURE]
    assert met > 2


def test_no_networks_is_an_error():
    with pytest.raises(ValueError, match="at least one checkpoint"):
        export.convert([])


def test_a_misspelt_precision_is_named_before_anything_is_made(round1):
    export.check([round1], precision="auto")
    with pytest.raises(ValueError, match="float64.*auto or one of float32"):
        export.check([round1], precision="float64")


@pytest.mark.parametrize("round", [1, 2])
def test_golden_greedy_texts(shared, round):
    golden = np.load(shared / "golden" / f"network_round{round}.npz")
    network = from_published({name[2:]: torch.from_numpy(golden[name]) for name in golden.files if name.startswith("w/")})
    model = Model(export.convert([network.eval()]))
    for sequence in range(3):
        expected = "" if (round, sequence) == (2, 0) else decode(golden[f"{sequence}/greedy"][1:])     # that one: unsure
        expected = expected or DUMMY_PHRASE
        assert read_tflite(model, golden[f"{sequence}/raw"]).text == expected


@pytest.mark.parametrize("round", [1, 2])
def test_our_own_golden_greedy_text(round):
    with np.load(golden_toy.FILE) as file:
        tokens = file[f"{round}/1/greedy"]
    network, sequence = golden_toy.network(round), golden_toy.sequences()[1]
    anything = Limits(confidence=0.0)                                                # round 2's toy is sure by 0.08
    answer = read_tflite(Model(export.convert([network], limits=anything)), sequence["raw"], anything)
    assert answer.verdict is Verdict.READ and answer.text == decode(tokens[1:])
