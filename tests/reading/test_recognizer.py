"""Reading sequences in every form that people have them, with small models that TensorFlow writes here."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_corpus import as_points, as_results, corpus_rows, made_values, write_competition
from tiny_tflite import constant_model, failing_model, flat_model, flex_model, frame_count_model, mean_model

from aslutils.__main__ import main
from aslutils.reading.landmark_files import as_columns, holistic, sequences_in
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.result import spelled
from aslutils.reading.tflite import Model
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS, HOLISTIC, LANDMARKS
from aslutils.task.text import DUMMY_PHRASE, EOS

ROOT = Path(__file__).resolve().parents[2]


def table(length: int = 30, seed: int = 1) -> pd.DataFrame:
    return pd.DataFrame(made_values(length, seed), columns=ALL_COLUMNS)


def test_a_reading_says_text_confidence_probabilities_and_time(export):
    reading = Recognizer(export).read(table())
    assert reading.text == "ab" and reading.reason is None and reading.confidence == pytest.approx(0.9)
    expected = np.exp(8) / (np.exp(8) + 62)
    np.testing.assert_allclose(reading.probabilities, [expected, expected], rtol=1e-5)
    assert reading.length == 30 and reading.milliseconds > 0


def test_probabilities_that_the_model_says_are_taken_as_they_are():
    rows = np.eye(63, dtype=np.float32)[[32, 62, 33]]
    text, probabilities = spelled(rows, np.array([0.9, 0.4, 0.05], np.float32))
    assert text == "ab" and probabilities.tolist() == pytest.approx([0.9, 0.05])


def test_probabilities_of_large_logits_are_finite():
    assert spelled(np.eye(63, dtype=np.float32)[[32]] * 1000)[1].tolist() == [1.0]


def test_every_form_of_a_sequence_is_the_same_to_the_model(spelling, tmp_path):
    columns = table()
    columns.assign(sequence_id=7).to_parquet(tmp_path / "one.parquet")
    np.save(tmp_path / "array.npy", columns[COLUMNS].to_numpy())
    forms = [columns, columns[COLUMNS].to_numpy(), as_points(columns), as_results(columns), tmp_path / "one.parquet",
             str(tmp_path / "array.npy"), columns.assign(sequence_id=7), columns.iloc[:, ::-1]]
    confidences = [spelling.read(form).confidence for form in forms]
    assert confidences[0] != 0.5 and confidences == [confidences[0]] * len(forms)
    assert spelling.read(columns[COLUMNS].to_numpy()[:, ::-1]).confidence != confidences[0]


def test_results_without_a_hand_are_nan_and_iris_landmarks_are_left_out():
    point = SimpleNamespace(x=0.1, y=0.2, z=0.3)
    frames = holistic([SimpleNamespace(face_landmarks=[point] * 478, left_hand_landmarks=[], pose_landmarks=None,
                                       right_hand_landmarks=[point] * 21)])
    assert frames.shape == (1, 543, 3)
    assert not np.isnan(frames[0, :468]).any() and np.isnan(frames[0, 468:522]).all() and not np.isnan(frames[0, 522:]).any()


def test_what_was_not_seen_reaches_the_model_as_nan():
    inputs = as_columns(table(), COLUMNS)
    np.testing.assert_array_equal(np.isnan(inputs), np.isnan(table()[COLUMNS].to_numpy()))
    assert np.isnan(inputs).any()


def test_masked_values_were_not_seen():
    columns = np.random.default_rng(1).random((20, len(COLUMNS)))
    hidden = columns < 0.3
    masked = np.ma.MaskedArray(np.where(hidden, 0.0, columns), hidden)
    np.testing.assert_array_equal(as_columns(masked, COLUMNS), np.where(hidden, np.nan, columns).astype(np.float32))


def test_a_fixed_shape_without_probabilities_is_read_to_its_end():
    model = Model(constant_model("ab", [EOS] * 31, frames=40))
    assert model.frames == 40 and len(model(np.ones((20, len(COLUMNS))))["outputs"]) == 2


def test_what_the_model_is_not_sure_of_is_never_shown(tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model(DUMMY_PHRASE, confidence=0.07))
    reading = Recognizer(tmp_path).read(table())
    assert reading.text is None and reading.reason == "not sure enough to read it (confidence 0.07)"
    assert len(reading.probabilities) == 0


def test_a_model_without_confidence_reads_all_the_same(tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("abc", confidence=float("nan")))
    reading = Recognizer(tmp_path).read(table())
    assert reading.text == "abc" and np.isnan(reading.confidence)


@pytest.mark.parametrize(("frames", "reason"), [(0, "no hands seen"),
                                                (14, "too short: at least 15 frames are needed, there are 14")])
def test_short_sequences_are_rejected_with_the_reason(export, frames, reason):
    reading = Recognizer(export).read(table(30).iloc[:frames])
    assert reading.text is None and reading.reason == reason and reading.length == frames


def test_a_sequence_without_hands_is_rejected(export):
    columns = table()
    columns.loc[:, ["hand" in column for column in columns]] = np.nan
    assert Recognizer(export).read(columns).reason == Recognizer(export).read([]).reason == "no hands seen"


def test_landmarks_in_another_order_are_refused(export):
    points = as_points(table())
    face, left, pose, right = np.split(points, [468, 489, 522], axis=1)
    with pytest.raises(ValueError, match="as if their order were .*; expected face, left_hand, pose, right_hand"):
        Recognizer(export).read(np.concatenate([pose, face, left, right], axis=1))
    with pytest.raises(ValueError, match="single landmarks are missing.*expected face, left_hand, pose, right_hand"):
        Recognizer(export).read(table().to_numpy().reshape(-1, sum(HOLISTIC.values()), 3))     # all x, all y, all z


RESULT = SimpleNamespace(pose_landmarks=None)


@pytest.mark.parametrize("landmarks", [RESULT, [RESULT, None], {"x": 1}, ["abc"], [[1.0, 2.0], [3.0]]])
def test_what_is_no_array_of_numbers_is_refused_with_what_was_expected(export, landmarks):
    with pytest.raises(ValueError, match=r"expected \(frames, 390\), .* or a list of Holistic results"):
        Recognizer(export).read(landmarks)


@pytest.mark.parametrize("shape", [(30, 389), (30, 130, 3), (30, 543, 2), (390,)])
def test_another_shape_is_named(export, shape):
    with pytest.raises(ValueError, match=r"expected \(frames, 390\), or \(frames, 543, 3\)"):
        Recognizer(export).read(np.zeros(shape))


def test_a_table_without_a_column_or_with_several_sequences_is_named(export):
    recognizer, columns = Recognizer(export), table()
    with pytest.raises(ValueError, match="it lacks the column x_face_61"):
        recognizer.read(columns.drop(columns="x_face_61"))
    several = columns.assign(sequence_id=[5] * 15 + [6] * 15)
    with pytest.raises(ValueError, match="2 sequences, sequence_id 5 first"):
        recognizer.read(several)
    with pytest.raises(ValueError, match="no sequence has the sequence_id 9"):
        recognizer.read(several, 9)
    assert recognizer.read(several, 6).length == 15


def test_files_that_cannot_be_read_are_named(export, tmp_path):
    recognizer = Recognizer(export)
    (tmp_path / "clip.xyz").write_bytes(b"?")
    with pytest.raises(ValueError, match="clip.xyz is a text file; expected a .parquet file"):
        recognizer.read(tmp_path / "clip.xyz")
    with pytest.raises(FileNotFoundError, match="none.npy"):
        recognizer.read(tmp_path / "none.npy")
    for name in ("cut.npy", "cut.parquet"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ValueError, match=f"{name} (cannot be read|is cut short)"):
            recognizer.read(tmp_path / name)
    np.save(tmp_path / "short.npy", np.zeros((30, 389)))
    with pytest.raises(ValueError, match=r"short.npy cannot be read: the landmarks have the shape \(30, 389\); expected"):
        recognizer.read(tmp_path / "short.npy")
    table().drop(columns="x_face_61").to_parquet(tmp_path / "short.parquet")
    with pytest.raises(ValueError, match="short.parquet cannot be read: it lacks the column x_face_61"):
        recognizer.read(tmp_path / "short.parquet")


def test_without_pyarrow_one_line_says_how_to_install_it(export, tmp_path, capsys, monkeypatch):
    table().to_parquet(tmp_path / "one.parquet")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["read", str(export), str(tmp_path / "one.parquet")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "needs pyarrow" in said[0] and "one.parquet" in said[0] and "pip install pyarrow" in said[0]


def test_one_sequence_of_a_file_is_read_and_a_file_of_several_says_so(spelling, tmp_path):
    first, second, path = table(20, seed=1), table(30, seed=2), tmp_path / "two.parquet"
    both = pd.concat([first.assign(sequence_id=5), second.assign(sequence_id=6)])
    both.to_parquet(path)
    with pytest.raises(ValueError, match="two.parquet holds 2 sequences, sequence_id 5 first; say which"):
        spelling.read(path)
    with pytest.raises(ValueError, match="two.parquet holds no sequence 7"):
        spelling.read(path, 7)
    for sequence, expected in ((5, first), (6, second)):
        assert {spelling.read(form, sequence).confidence for form in (both, path)} == {spelling.read(expected).confidence}
        np.testing.assert_array_equal(sequences_in(path, COLUMNS)[sequence], expected[COLUMNS].to_numpy())


def test_models_that_cannot_read_sequences_are_named(tmp_path):
    good, half = constant_model("ab"), len(constant_model("ab")) // 2
    for content, said in ((b"not a model", "not a TFLite model"), (b"", "not a TFLite model"), (good[:half], "or is cut short"),
                          (constant_model("a", signature="other"), "no signature 'serving_default'"),
                          (constant_model("a", argument="frames"), "takes .'frames'.; expected the one argument 'inputs'"),
                          (constant_model("a", output="logits"), "expected 'outputs' among them"),
                          (frame_count_model(389), "reads 389 columns"),
                          (flat_model(), r"'outputs' has the shape \[1\]; expected \(steps, tokens\)")):
        (tmp_path / "model.tflite").write_bytes(content)
        with pytest.raises(ValueError, match=said):
            Recognizer(tmp_path)
    with pytest.raises(FileNotFoundError, match="no TFLite model at"):
        Recognizer(tmp_path / "elsewhere.tflite")


def test_threads_that_share_a_model_get_their_own_answers():
    model, frames = Model(frame_count_model(len(COLUMNS))), [1 + 37 * number % 200 for number in range(1000)]
    with ThreadPoolExecutor(4) as pool:
        steps = list(pool.map(lambda count: len(model(np.zeros((count, len(COLUMNS))))["outputs"]), frames))
    assert steps == frames


def test_the_columns_beside_the_model_are_used(tmp_path):
    (tmp_path / "model.tflite").write_bytes(mean_model())
    columns, swapped = table(), [*COLUMNS[::-1]]
    (tmp_path / "inference_args.json").write_text(f'{{"selected_columns": {swapped}}}'.replace("'", '"'))
    recognizer = Recognizer(tmp_path)
    assert recognizer.read(columns).confidence == recognizer.read(columns[swapped].to_numpy()).confidence
    (tmp_path / "inference_args.json").write_text('{"selected_columns": ["x_face_0"]}')
    with pytest.raises(ValueError, match="reads 390 columns"):
        Recognizer(tmp_path)


def test_the_command_prints_a_row_a_sequence(export, tmp_path, capsys):
    write_competition(tmp_path)
    np.save(tmp_path / "array.npy", table()[COLUMNS].to_numpy())
    assert main(["read", str(export), str(tmp_path / "train_landmarks" / "100.parquet"), str(tmp_path / "array.npy")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 6 + 1 and "ab" in lines[-1]
    rows = corpus_rows()
    short = rows["length"][rows["file_id"] == 100] < 15
    assert sum("at least 15" in line or "no hands" in line for line in lines) == short.sum() > 0
    assert main(["read", str(export), "none.npy", str(tmp_path / "array.npy")]) == 1        # the others are read all the same
    said = capsys.readouterr()
    assert said.err == "there is no file none.npy\n" and "ab" in said.out
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["read", "--model", str(empty), "none.npy"]) == main(["read", str(empty), "none.npy"]) == 1
    assert capsys.readouterr().err.count("no TFLite model") == 2


def test_reading_imports_numpy_and_litert_alone_in_a_fresh_interpreter(export):
    code = f"""
import json, sys
def packages():
    files = [(name.split(".")[0], getattr(module, "__file__", None) or "") for name, module in sys.modules.items()]
    return {{package for package, file in files if "site-packages" in file}}
before = packages()
from aslutils.reading.recognizer import Recognizer
recognizer = Recognizer({str(export)!r})
import numpy as np
text = recognizer.read(np.random.default_rng(1).random((20, {3 * len(LANDMARKS)}))).text
print(json.dumps([text, sorted(packages() - before)]))
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    text, imported = json.loads(run.stdout)
    assert text == "ab" and imported == ["ai_edge_litert", "numpy"]


def test_real_sequences_are_read(export, shared):
    path = sorted((shared / "realdata" / "competition" / "train_landmarks").glob("*.parquet"))[0]
    lengths = pd.read_parquet(path, columns=["frame"]).groupby(level=0, sort=False).size()[:5]
    readings = [Recognizer(export).read(path, sequence) for sequence in lengths.index]
    assert [reading.text for reading in readings] == ["ab"] * 5 and [reading.length for reading in readings] == lengths.tolist()


def test_a_sequence_that_is_asked_for_is_looked_for_in_columns_and_index_levels_or_missed(spelling, tmp_path):
    both = pd.concat([table(20, 1).assign(sequence_id=5, frame=range(20)),
                      table(30, 2).assign(sequence_id=6, frame=range(30))])
    expected = spelling.read(table(30, 2)).confidence
    for form in (both, both.set_index("sequence_id"), both.set_index(["sequence_id", "frame"]),
                 both.set_index(["frame", "sequence_id"]), both.assign(sequence_id=both["sequence_id"].astype(str))):
        assert spelling.read(form, 6).confidence == expected
    assert spelling.read(both, both["sequence_id"].iloc[-1]).confidence == expected                      # numpy's own type
    nowhere = both.drop(columns="sequence_id")
    with pytest.raises(ValueError, match="sequence_id 6 is asked for, but the table has no column or index level sequence_id"):
        spelling.read(nowhere, 6)
    with pytest.raises(ValueError, match="asked for, but an array is one sequence, without an id"):
        spelling.read(nowhere[COLUMNS].to_numpy(), 6)
    nowhere.to_parquet(tmp_path / "nowhere.parquet")
    with pytest.raises(ValueError, match="nowhere.parquet cannot be read: it lacks the column sequence_id"):
        spelling.read(tmp_path / "nowhere.parquet", 6)


def test_rows_are_read_in_the_order_of_their_column_frame_and_doubled_ones_once(spelling, tmp_path):
    whole = table().assign(sequence_id=7, frame=range(30))
    expected = spelling.read(whole).confidence
    shuffled = whole.sample(frac=1, random_state=1)
    shuffled.to_parquet(tmp_path / "shuffled.parquet")
    assert spelling.read(shuffled).confidence == spelling.read(tmp_path / "shuffled.parquet").confidence == expected
    doubled = pd.concat([whole, whole[3:5].assign(x_face_0=9)])
    doubled.to_parquet(tmp_path / "doubled.parquet")
    for form in (doubled, tmp_path / "doubled.parquet"):
        with pytest.warns(UserWarning, match=r"sequence 7: frame 3 occurs twice \(2 such rows\); the first row of each is kept"):
            assert spelling.read(form).confidence == expected


def test_a_folder_of_parts_is_read_as_one_file(spelling, tmp_path):
    whole = table().assign(sequence_id=7)
    (tmp_path / "x.parquet").mkdir()
    for number, part in ((2, whole[:11]), (10, whole[11:])):                 # as dask names them: not in the alphabet's order
        part.to_parquet(tmp_path / "x.parquet" / f"part.{number}.parquet")
    (tmp_path / "x.parquet" / "._part.2.parquet").write_bytes(b"macOS")
    assert spelling.read(tmp_path / "x.parquet").confidence == spelling.read(whole).confidence


def test_a_text_without_characters_has_a_reason(tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model([EOS, EOS]))
    reading = Recognizer(tmp_path).read(table())
    assert reading.text is None and reading.reason == str(reading)[1:-1] == "no character recognised"


@pytest.mark.parametrize("model, failing", [(failing_model, [6]), (flex_model, [5, 6])])
def test_a_model_that_fails_while_running_is_named_and_the_batch_says_at_which_sequence(model, failing, tmp_path, capsys):
    (tmp_path / "model.tflite").write_bytes(model())
    pd.concat([table(100).assign(sequence_id=5), table(30).assign(sequence_id=6)]).to_parquet(tmp_path / "two.parquet")
    assert main(["read", str(tmp_path), str(tmp_path / "two.parquet")]) == 1
    said = capsys.readouterr()
    lines = said.err.strip().splitlines()
    assert len(lines) == len(failing), lines
    for line, sequence in zip(lines, failing):
        assert re.search(rf"two.parquet, sequence {sequence}: .*model.tflite cannot be run: .", line), line
    assert (failing == [6]) == bool(re.search(r"two.parquet +5 +100", said.out))                   # the other sequence is read
