"""All five notebooks in a row, toy-sized: what they leave, what is kept on a second call, how a failure is told."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from toy import write_profile

from aslutils.__main__ import main
from aslutils.port.export import with_precision
from aslutils.reading.tflite import FIXED
from aslutils.run.fingerprint import difference, made_from, modules
from aslutils.run.pipeline import Pipeline, plan
from aslutils.run.place import KIT
from aslutils.run.sessions import run_folder
from aslutils.run.stages import STAGES
from aslutils.system.parameters import CHANGE_NO_RESULT, read_params

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(place):
    """A made-up Kaggle machine without data, and a profile of toy parameters."""
    write_profile(place / "toy")
    return place


@pytest.fixture(scope="module")
def first_run(place):
    began = time.monotonic()
    assert main(["run", "--profile", str(place / "toy"), "--processes", "1"]) == 0
    shutil.copytree(place / "working" / "toy", place / "whole")              # tests below change the run
    (place / "lasted").write_text(str(time.monotonic() - began))
    return place / "working" / "toy"


@pytest.fixture(scope="module")
def whole(first_run, place) -> tuple[Path, float]:
    """What the first run left, and how many seconds it took."""
    return place / "whole", float((place / "lasted").read_text())


def test_five_notebooks_leave_a_scored_submission(first_run):
    with zipfile.ZipFile(first_run / "submission" / "submission.zip") as submission:
        assert sorted(submission.namelist()) == ["inference_args.json", "model.tflite"]
    report = json.loads((first_run / "submission" / "report.json").read_text())
    assert report["sequences"] == 10 and report["megabytes"] < 40 and report["mean_ms"] > 0
    assert json.loads((first_run / "export" / "report.json").read_text())["seeds"] == 2
    assert (first_run / "export" / "dataset-metadata.json").is_file()
    executed = sorted(path.stem for path in (first_run / "notebooks").glob("*.ipynb"))
    assert executed == list(STAGES)
    for path in (first_run / "notebooks").glob("*.ipynb"):
        outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
        assert any("image/png" in output.get("data", {}) for output in outputs), f"{path.name} shows no picture"
        assert not any("Warning" in output.get("text", "") for output in outputs), f"{path.name} shows a warning"


def test_a_second_call_keeps_every_stage_and_ends_with_the_table(first_run, place, capsys):
    before = {path: path.stat().st_mtime_ns for path in first_run.rglob("checkpoint.pt")}
    assert len(before) == 2 + len(list(first_run.glob("round1/*")))                 # seeds and folds
    assert main(["run", "--profile", str(place / "toy")]) == 0
    told = capsys.readouterr().out
    assert told.count("nothing has changed") == 5 and "started" not in told
    assert "score by the competition's scorer" in told and str(first_run / "submission" / "submission.zip") in told
    assert before == {path: path.stat().st_mtime_ns for path in first_run.rglob("checkpoint.pt")}


def test_a_changed_parameter_redoes_its_stage_and_what_follows_from_it(first_run, place, capsys):
    path = place / "toy" / "04_convert_tflite.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "precision": "float16", "fixed_frames": 0}))
    assert (first_run / "export" / FIXED).is_file()
    assert main(["run", "--profile", str(place / "toy")]) == 0
    told = capsys.readouterr().out
    assert told.count("nothing has changed") == 3
    assert "04_convert_tflite: started" in told and "05_submission_kernel: started" in told
    report = json.loads((first_run / "export" / "report.json").read_text())
    assert report["variant"] == "float16" and report["fixed"] == [] and not (first_run / "export" / FIXED).exists()
    model, before = (folder / "export" / "model.tflite" for folder in (first_run, place / "whole"))      # before in float32
    assert model.read_bytes() == with_precision(before.read_bytes(), "float16")


def test_parameters_that_change_no_result_and_a_missing_data_option_redo_nothing(first_run, place, capsys):
    path = place / "toy" / "01_round1_folds.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "checkpoint_minutes": 3.0, "evaluate_every": 5}))
    assert main(["run", "--profile", str(place / "toy")]) == 0
    assert "started" not in capsys.readouterr().out


def test_a_changed_training_is_refused_rather_than_lost(first_run, place, capsys):
    path = place / "toy" / "03_fullfit.yaml"
    before = path.read_text()
    weights = {found: found.read_bytes() for found in first_run.glob("round2/*/checkpoint.pt")}
    assert len(weights) == 2
    path.write_text(yaml.safe_dump({**yaml.safe_load(before), "learning_rate": 0.001}))
    executed = (first_run / "notebooks" / "03_fullfit.ipynb").read_bytes()
    assert main(["run", "--profile", str(place / "toy")]) == 1
    assert "learning_rate (0.0024, now 0.001)" in capsys.readouterr().err
    assert weights == {found: found.read_bytes() for found in first_run.glob("round2/*/checkpoint.pt")}
    assert (first_run / "notebooks" / "03_fullfit.ipynb").read_bytes() == executed
    path.write_text(before)


def test_a_failing_notebook_is_told_by_name_error_and_place(first_run, place, capsys):
    profile = place / "broken"
    profile.mkdir()
    for notebook in STAGES:
        values = read_params(place / "toy" / f"{notebook}.yaml")
        changed = {"fold_count": 50, "folds": list(range(50))}
        changed = {name: value for name, value in changed.items() if name in values}
        profile.joinpath(f"{notebook}.yaml").write_text(yaml.safe_dump({**values, **changed}))
    assert main(["run", "--profile", str(profile)]) == 1
    told = capsys.readouterr().err
    assert "01_round1_folds failed" in told and "cannot make 50 folds" in told
    assert str(place / "working" / "broken" / "notebooks" / "unfinished" / "01_round1_folds.ipynb") in told


def test_a_stage_that_stopped_at_its_time_limit_is_told_and_goes_on(place, capsys):
    profile = place / "limited"
    profile.mkdir()
    for notebook in STAGES:
        values = read_params(place / "toy" / f"{notebook}.yaml")
        profile.joinpath(f"{notebook}.yaml").write_text(yaml.safe_dump(
            {**values, "max_minutes": 1e-6, "processes": 1} if notebook.startswith("01") else values))
    assert main(["run", "--profile", str(profile)]) == 3
    told = capsys.readouterr().err
    assert "01_round1_folds stopped early" in told and "Run again to continue" in told


@pytest.mark.parametrize("end, processes", [
    (signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGHUP, 2), (signal.SIGKILL, 2), (signal.SIGKILL, 1)])
def test_however_it_ends_it_leaves_neither_notebook_nor_kernel_running_and_until_then_a_second_call_is_refused(
        place, end, processes):
    def running():
        """The processes that execute the notebook, and its kernel, which has a session of its own."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words, environment = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
                if str(place).encode() in environment and (b"aslutils.run.execute" in words or b"ipykernel_launcher" in words):
                    found.append(int(folder.name))
        return found

    def wait(until, seconds):
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            time.sleep(0.1)

    command = [sys.executable, "-m", "aslutils", "run", "--profile", str(place / "toy"), "--run", "ended"]
    process = subprocess.Popen(command, cwd=KIT)
    wait(lambda: len(running()) == processes, 30)     # 1: the notebook's process has just begun to import papermill
    assert len(running()) == processes
    if processes == 2:
        second = subprocess.run(command, cwd=KIT, capture_output=True, text=True)
        assert second.returncode == 1 and f"is being run by process {process.pid}: wait for it, or" in second.stderr
    process.send_signal(end)
    assert process.wait(30) == (-end if end == signal.SIGKILL else 130)
    wait(lambda: not running(), 10)               # left alone, the stage would end after 20 seconds
    assert running() == []


@pytest.mark.parametrize("arguments, words", [
    (["--profile", "winnig"], "there is no profile 'winnig'; there are beyond, demo, hands, winning"),
    (["--from", "06"], "there is no stage '06'"),
    (["--data", "/no/such/folder"], "there is no folder /no/such/folder"),
    (["--sedes", "1"], "unrecognized arguments"),
        (["--processes", "-1"], "not a whole number of at least 0"), (["--seeds", "1", "x"], "not a whole number of at least"),
])
def test_a_wrong_option_says_what_there_is(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", *arguments])
    assert stop.value.code == 2 and words in capsys.readouterr().err


def test_a_folder_that_is_no_data_at_all_is_refused_by_name(place, tmp_path, capsys):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert main(["run", "--profile", str(place / "toy"), "--run", "none", "--data", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_stage_is_known_by_its_inputs_and_by_the_parameters_that_change_results(tmp_path):
    def made(**parameters):
        return made_from("03_fullfit", {"seed": 1, **parameters}, [tmp_path / "table.csv"], tmp_path)

    (tmp_path / "table.csv").write_text("a")
    known = made()
    for name in CHANGE_NO_RESULT:
        assert made(**{name: "other"}) == known, name
    assert difference(known, made(epochs=2)) == "epochs is 2, was None"
    os.utime(tmp_path / "table.csv", (1, 1))
    assert made() == known and difference(known, made()) == ""
    (tmp_path / "table.csv").write_text("b")
    assert difference(known, made()) == "table.csv has changed"


def test_a_stage_is_made_by_the_code_that_its_notebook_imports_and_a_training_by_a_version():
    found = {stage: {str(path.relative_to(KIT)) for path in modules(stage)} for stage in STAGES}
    assert {"aslutils/port/squeezeformer.py", "aslutils/port/__init__.py"} <= found["04_convert_tflite"]
    assert {"aslutils/kaggle/card.py", "aslutils/kaggle/card.md"} <= found["05_submission_kernel"]
    assert "aslutils/port/squeezeformer.py" not in found["02_build_oof"]
    assert "aslutils/reading/scorer.py" in found["05_submission_kernel"]
    assert (KIT / "aslutils/plots/__init__.py").is_file()
    assert not [path for paths in found.values() for path in paths if path.startswith("aslutils/plots/")]
    assert set(made_from("03_fullfit", {}, [], KIT)["code"]) == {"training", "store", "demo"}
    assert "notebooks/04_convert_tflite.ipynb" in made_from("04_convert_tflite", {}, [], KIT)["code"]


@pytest.mark.parametrize("profile, asked, trained", [("beyond", [], 4), ("beyond", [7], 1), ("winning", [], 2), ("demo", [], 2)])
def test_the_profile_names_the_seeds_if_the_command_does_not(profile, asked, trained):
    stages = plan(KIT / "params" / profile, "seeds", "", asked, 1)
    (round2,) = (stage for stage in stages if stage.name == "03_fullfit")
    assert len(round2.outputs) == trained and (round2.parameters["seeds"] == asked or not asked)


def test_the_shell_commands_help_needs_nothing_installed(tmp_path):
    for name in ("run_all.sh", "aslutils", "params"):
        (shutil.copytree if (KIT / name).is_dir() else shutil.copy)(KIT / name, tmp_path / name)
    done = subprocess.run([str(tmp_path / "run_all.sh"), "--help"], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")})
    assert done.returncode == 0 and "--profile" in done.stdout
    assert not Path(tmp_path / ".venv").exists()


def run_all(root: Path, profile: Path, seconds: float) -> int:
    """All five stages on a made-up machine; after `seconds` the process group is killed. Returns the exit code."""
    command = [sys.executable, "-m", "aslutils", "run", "--profile", str(profile), "--processes", "2"]
    with open(root / "log", "a") as log:
        process = subprocess.Popen(command, cwd=KIT, env=os.environ | {"ASLUTILS_KAGGLE_ROOT": str(root)}, stdout=log, stderr=log,
                                   start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def files(run_folder: Path) -> set[str]:
    """The names of what the first three stages leave, TensorBoard's without their time and process."""
    later = re.compile(r"(export|submission)/|(notebooks|notebooks/unfinished|stages)/0[45]|report.html")
    names = {path.relative_to(run_folder) if "events.out" not in path.name else path.parent.relative_to(run_folder)
             for path in run_folder.rglob("*") if path.is_file() and not path.parent.parent.name == "events"}
    return {str(name) for name in names if not later.match(str(name))}


def test_killed_at_a_random_moment_it_leaves_the_same_weights_and_tables(whole, tmp_path, monkeypatch):
    """The kill falls into the first three stages, unless the machine is faster now; only these come to their end here."""
    theirs, lasted = whole
    profile = write_profile(tmp_path / "toy")     # its own: tests above change the other one
    for name in ("input", "working"):
        (tmp_path / name).mkdir()
    moment = random.uniform(0.03, 0.3) * lasted
    print(f"killed after {moment:.1f} s")         # shown if the test fails
    assert run_all(tmp_path, profile, moment) == -signal.SIGKILL
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(tmp_path))
    pipeline = Pipeline(run_folder("toy"), fresh=False)
    for stage in plan(profile, "toy", "", [], 2)[:3]:
        pipeline.run_stage(stage)
    ours = tmp_path / "working" / "toy"
    for path in sorted(theirs.rglob("*.pt")):
        weights, other = (torch.load(folder / path.relative_to(theirs), weights_only=True)["model"] for folder in (theirs, ours))
        assert all(torch.equal(weights[name], other[name]) for name in weights), path
    for name in ("folds.csv", "train_folded_oof_supp.csv", "store/columns.bin", "store/table.parquet",
                 *(str(path.relative_to(theirs)) for path in theirs.glob("round*/*/predictions.csv"))):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    for path in theirs.glob("round*/*/history.csv"):
        table, other = (pd.read_csv(folder / path.relative_to(theirs)) for folder in (theirs, ours))
        np.testing.assert_array_equal(*(found.drop(columns="samples_per_second").to_numpy() for found in (table, other)))
    assert files(ours) == files(theirs)
    assert not [path for path in ours.rglob("*") if path.name.endswith(".part") or path.name.startswith("resume")]
    assert all(len(list(folder.glob("events.out*"))) == 1 for folder in ours.glob("round*/*/events"))
