"""What `run_all.sh` decides before any stage runs, and what it says of one that failed."""

from pathlib import Path

import pytest
import yaml
from toy import write_profile

from aslutils.run.fingerprint import made_from
from aslutils.run.pipeline import Stage, _failure, plan
from aslutils.run.sessions import run_folder
from aslutils.run.stages import STAGES
from aslutils.system.errors import UserError
from aslutils.system.files import write_json

FOLDS, _, SEEDS, EXPORT, _ = STAGES


@pytest.fixture
def profile(place, tmp_path) -> Path:
    return write_profile(tmp_path / "mine")


def change(profile: Path, stage: str, **values) -> None:
    path = profile / f"{stage}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def planned(profile: Path, run: str = "planned", data: str = "") -> dict[str, Stage]:
    return {stage.name: stage for stage in plan(profile, run, data, [], 1)}


def test_the_profiles_data_counts_unless_the_command_names_others(profile, tmp_path):
    write_json(run_folder("planned") / "corpus.json", {"data": str(tmp_path), "kind": "npy"})
    assert planned(profile)[SEEDS].parameters["data"] == str(tmp_path)                       # an earlier call's
    for stage in (FOLDS, SEEDS):
        change(profile, stage, data=str(tmp_path / "mine"))
    stages = planned(profile)
    assert {stages[name].parameters["data"] for name in (FOLDS, SEEDS)} == {str(tmp_path / "mine")}
    assert tmp_path / "mine" in stages[FOLDS].inputs
    assert planned(profile, data="/other")[SEEDS].parameters["data"] == "/other"


def test_the_profiles_checkpoints_are_exported(profile, tmp_path):
    change(profile, EXPORT, checkpoints=[str(tmp_path / "published.pth")])
    stage = planned(profile)[EXPORT]
    assert stage.parameters["checkpoints"] == [str(tmp_path / "published.pth")] and stage.inputs == [tmp_path / "published.pth"]


@pytest.mark.parametrize("start", ["start.pt", "~/start.pt"])
def test_a_checkpoint_to_begin_with_is_where_the_user_named_it(profile, tmp_path, monkeypatch, start):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    change(profile, SEEDS, init=start)
    stage = planned(profile)[SEEDS]
    assert stage.parameters["init"] == str(tmp_path / "start.pt") and tmp_path / "start.pt" in stage.inputs


@pytest.mark.parametrize("stage, values, words", [
    (FOLDS, {"holdout": 0.1}, "holdout is 0.1 in round 1 and .* in round 2, which use the same data"),
    (SEEDS, {"demo_sequences": 7}, "demo_sequences is .* in round 1 and 7 in round 2"),
    (SEEDS, {"store_dtype": "float32"}, "store_dtype is 'float16' in round 1 and 'float32' in round 2"),
])
def test_rounds_that_do_not_fit_are_refused_before_anything_is_trained(profile, stage, values, words):
    change(profile, stage, **values)
    with pytest.raises(UserError, match=words):
        planned(profile)


def test_all_folds_are_needed(profile):
    for stage in (FOLDS, SEEDS):
        change(profile, stage, fold_count=5)
    with pytest.raises(UserError, match=r"folds is \[.*\], but stage 02 needs all 5 of fold_count"):
        planned(profile)


@pytest.mark.parametrize("content", ["", '{"cells": [{"cell_type": "code", "outp', "{}"])
def test_a_notebook_that_was_cut_off_as_it_was_written_hides_no_error(content, tmp_path):
    (tmp_path / "stage.ipynb").write_text(content)
    (tmp_path / "stage.log").write_text("OSError: [Errno 28] No space left on device\n")
    said = _failure(Stage("stage", {}, [], []), tmp_path / "stage.ipynb", tmp_path / "stage.log")
    assert "No space left on device" in said and "Traceback" not in said


def test_what_changed_behind_a_link_is_noticed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.parquet").write_bytes(b"a")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train_landmarks").symlink_to(tmp_path / "elsewhere")
    before = made_from(FOLDS, {}, [tmp_path / "data"], tmp_path)
    (tmp_path / "elsewhere" / "1.parquet").write_bytes(b"ab")
    assert made_from(FOLDS, {}, [tmp_path / "data"], tmp_path) != before
