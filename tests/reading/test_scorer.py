"""The competition's scorer on small submissions that TensorFlow writes here."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rapidfuzz.distance import Levenshtein
from small_corpus import corpus_rows, write_competition
from tiny_tflite import constant_model, frame_count_model

from aslutils.__main__ import main
from aslutils.reading.scorer import open_submission, pack, score_submission, summary
from aslutils.task.landmarks import COLUMNS
from aslutils.task.text import EOS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A competition folder of 18 sequences."""
    folder = tmp_path_factory.mktemp("competition")
    write_competition(folder)
    return folder


def write_submission(folder: Path, model: bytes, columns=COLUMNS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.tflite").write_bytes(model)
    (folder / "inference_args.json").write_text(json.dumps({"selected_columns": list(columns)}))
    return folder


@pytest.fixture(scope="module")
def submission(tmp_path_factory) -> Path:
    """Answers `3 creekhouse` to everything, with a token that is no character inside."""
    return write_submission(tmp_path_factory.mktemp("submission"), constant_model("3 creek", [EOS], "house"))


def test_the_score_is_characters_less_distance_over_characters(submission, data):
    result = score_submission(submission, data)
    phrases = result["predictions"]["phrase"]
    assert set(result["predictions"]["prediction"]) == {"3 creekhouse"}
    right = phrases == "3 creekhouse"
    assert 0 < right.sum() < len(phrases)
    assert (result["predictions"]["score"][right] == 1).all() and (result["predictions"]["score"][~right] < 1).all()
    distance = sum(Levenshtein.distance(phrase, "3 creekhouse") for phrase in phrases)
    assert result["score"] == pytest.approx((phrases.str.len().sum() - distance) / phrases.str.len().sum())


def test_each_sequence_is_read_with_all_its_frames_and_only_the_selected_columns(data, tmp_path):
    columns = ["x_face_0", "z_right_hand_20", "y_pose_3"]
    result = score_submission(write_submission(tmp_path, frame_count_model(3), columns), data)
    table = result["predictions"]
    expected = corpus_rows().set_index("sequence_id")["length"]
    assert table["length"].tolist() == [expected[sequence] for sequence in table["sequence_id"]]
    assert (table["prediction"].str.len() == table["length"]).all()


def test_the_figures_follow_from_the_times(submission, data):
    result = score_submission(submission, data)
    times = result["predictions"]["milliseconds"]
    assert result["mean_ms"] == pytest.approx(times.mean()) and result["p95_ms"] >= np.median(times) > 0
    assert result["projected_hours"] == pytest.approx(times.mean() * 68 / 3600)
    assert result["megabytes"] == pytest.approx((submission / "model.tflite").stat().st_size / 1e6) and result["fits"]


@pytest.mark.parametrize("limit", ["MAX_MEGABYTES", "MAX_HOURS"])
def test_a_submission_over_either_limit_does_not_fit_and_it_says_so(submission, data, monkeypatch, limit):
    monkeypatch.setattr(f"aslutils.reading.scorer.{limit}", 0)
    result = score_submission(submission, data, limit=2)
    assert not result["fits"] and "over the competition's limits" in summary(result)


def test_a_packed_export_scores_as_its_folder_does(submission, data, tmp_path):
    pack(submission, tmp_path / "submission.zip")
    assert score_submission(tmp_path / "submission.zip", data)["score"] == score_submission(submission, data)["score"]


def named(*ids):
    """The file and id of sequences, files in which the small corpus has them."""
    files = corpus_rows().set_index("sequence_id")["file_id"]
    return pd.DataFrame({"file_id": [files.get(sequence, 100) for sequence in ids], "sequence_id": ids})


def test_a_selection_and_a_limit_are_kept(submission, data):
    result = score_submission(submission, data, sequences=named(1003, 1001, 1010))
    assert sorted(result["predictions"]["sequence_id"]) == [1001, 1003, 1010]
    every = score_submission(submission, data)["predictions"]["sequence_id"].tolist()
    limited = score_submission(submission, data, limit=4)["predictions"]["sequence_id"]
    assert limited.tolist() == [every[0], every[5], every[11], every[17]]                 # spread evenly
    with pytest.raises(ValueError, match="no sequence 100/77"):
        score_submission(submission, data, sequences=named(77))


def test_a_sequence_that_its_file_lacks_is_listed(submission, data, tmp_path):
    for entry in data.iterdir():
        os.symlink(entry, tmp_path / entry.name)
    table = pd.read_csv(data / "train.csv")
    (tmp_path / "train.csv").unlink()
    pd.concat([table, table.iloc[:1].assign(sequence_id=99)]).to_csv(tmp_path / "train.csv", index=False)
    result = score_submission(submission, tmp_path)
    assert result["absent"] == [(100, 99)] and result["sequences"] == len(table)


def test_the_command_prints_figures_or_one_json_object(submission, data):
    command = [sys.executable, "-m", "aslutils", "score", str(submission), str(data)]
    root = Path(__file__).resolve().parents[2]
    spoken = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True).stdout
    assert "MB of 40" in spoken and "h of 5 for 68,000" in spoken and "18 sequences" in spoken
    figures = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=root, check=True).stdout)
    assert figures["sequences"] == 18 and {"score", "megabytes", "mean_ms", "p95_ms", "projected_hours", "fits"} <= set(figures)


def test_a_wrong_submission_is_one_line_and_a_failure(data, tmp_path, capsys):
    assert main(["score", str(tmp_path / "none.zip"), str(data)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def replaced(submission, tmp_path, name, content: bytes | None):
    folder = write_submission(tmp_path / "broken", (submission / "model.tflite").read_bytes())
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("name", "content", "message"), [
    ("inference_args.json", None, "lacks inference_args.json at its top level; it holds model.tflite"),
    ("model.tflite", None, "lacks model.tflite"),
    ("model.tflite", b"no model", "not a TFLite model"),
    ("inference_args.json", b"{}", "selected_columns"),
    ("inference_args.json", b'{"selected_columns": ["x_face_0"]}', "reads 390 columns, but its inference_args.json selects 1"),
])
def test_a_broken_submission_is_named(submission, tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        open_submission(replaced(submission, tmp_path, name, content))


def test_a_zip_file_without_the_model_or_cut_short_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "submission.zip", "w") as archive:
        archive.writestr("export/model.tflite", b"")
    with pytest.raises(ValueError, match="lacks model.tflite at its top level; it holds export/model.tflite"):
        open_submission(tmp_path / "submission.zip")
    (tmp_path / "half.zip").write_bytes((tmp_path / "submission.zip").read_bytes()[:40])
    with pytest.raises(ValueError, match="half.zip is not a zip file"):
        open_submission(tmp_path / "half.zip")


def test_a_model_without_the_signature_or_the_output_is_named(tmp_path):
    with pytest.raises(ValueError, match="no signature 'serving_default'.*other"):
        open_submission(write_submission(tmp_path / "a", constant_model("a", signature="other")))
    with pytest.raises(ValueError, match=r"returns \[.*'logits'\]; expected 'outputs'"):
        open_submission(write_submission(tmp_path / "b", constant_model("a", output="logits")))
    with pytest.raises(ValueError, match="takes .'frames'.; expected the one argument 'inputs'"):
        open_submission(write_submission(tmp_path / "c", constant_model("a", argument="frames")))


def test_a_selected_column_that_the_files_lack_is_named(data, tmp_path):
    columns = [*COLUMNS[:-1], "x_face_999"]
    with pytest.raises(ValueError, match=r"100.parquet cannot be read: it lacks the column x_face_999"):
        score_submission(write_submission(tmp_path, constant_model("a"), columns), data)


def test_a_landmark_file_that_is_damaged_or_not_there_is_named(submission, own):
    folder, _ = own
    path = next((folder / "train_landmarks").iterdir())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"{path} cannot be read"):
        score_submission(submission, folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"no file {path}"):
        score_submission(submission, folder)


def test_a_folder_without_train_csv_is_named(submission, tmp_path):
    with pytest.raises(FileNotFoundError, match="train.csv"):
        score_submission(submission, tmp_path)


def test_real_sequences_are_read(submission, shared):
    result = score_submission(submission, shared / "realdata" / "competition")
    assert result["sequences"] > 20 and result["predictions"]["length"].min() > 0
