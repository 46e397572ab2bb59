"""The notebooks: paired, clean, their parameters known, and each of use on its own."""

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import papermill
import pytest
import torch
import yaml
from small_corpus import write_competition
from toy import MODEL

from aslutils.model.checkpoint import load_checkpoint, save_published
from aslutils.model.network import Network
from aslutils.reading.tflite import FIXED, Model
from aslutils.run.place import KIT
from aslutils.run.stages import CONFIGS, STAGES, TRAININGS, configs, defaults, parameters
from aslutils.system.inputs import read_json
from aslutils.system.parameters import read_params
from aslutils.task.text import DUMMY_PHRASE, decode

PROFILES = sorted(path.name for path in (KIT / "params").iterdir())


def cells(name, suffix):
    return jupytext.read(KIT / "notebooks" / f"{name}{suffix}").cells


@pytest.mark.parametrize("name", STAGES)
def test_both_files_of_a_pair_say_the_same(name):
    notebook, script = (
        [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in cells(name, suffix)]
        for suffix in (".ipynb", ".py"))
    assert notebook == script


@pytest.mark.parametrize("name", STAGES)
def test_a_notebook_is_committed_without_outputs_and_begins_with_words(name):
    notebook = nbformat.read(KIT / "notebooks" / f"{name}.ipynb", 4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert notebook.cells[0].cell_type == "markdown" and notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_has_a_type_a_literal_and_a_comment(name):
    (cell,) = [cell for cell in cells(name, ".ipynb") if "parameters" in cell.metadata.get("tags", [])]
    for line in re.findall(r"^\w.*$", cell.source, re.MULTILINE):
        assert re.match(r"\w+: (str|int|float|bool|list) = .+  # \S", line), line
    assert len(ast.parse(cell.source).body) > 1   # IPython takes a lone `run: str = ...` for its magic %run


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_is_a_parameter_and_every_parameter_a_setting(name):
    configs(name, defaults(name))
    settings = {item.name for kind in CONFIGS[name] for item in fields(kind)} - {"ctc", "shown"}     # follow their weights
    assert settings == set(defaults(name))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", STAGES)
def test_every_key_of_a_parameter_file_is_a_parameter_of_its_notebook_and_every_line_has_a_comment(profile, name):
    path = KIT / "params" / profile / f"{name}.yaml"
    parameters(name, path)
    assert all("#" in line for line in path.read_text().splitlines() if re.match(r"\w", line))


@pytest.mark.parametrize("name", STAGES)
def test_a_default_stands_in_the_notebook_alone(name):
    assert set(read_params(KIT / "params" / "demo" / f"{name}.yaml")) == {"run"}
    with_default = {item.name for kind in CONFIGS[name] for item in fields(kind) if item.default is not MISSING}
    assert with_default <= {"ctc", "shown"}


@pytest.mark.parametrize("profile", ["winning", "beyond"])
@pytest.mark.parametrize("name", TRAININGS)
def test_the_parameters_of_full_size_are_complete(profile, name):
    given = set(read_params(KIT / "params" / profile / f"{name}.yaml"))
    assert set(defaults(name)) - given == {
        "demo_sequences", "demo_supplemental", "demo_participants", "demo_characters", "demo_long", "demo_pace", "demo_missing",
        "demo_resting", "demo_varied", "demo_seed"}


BOTH = dict(heads=4, kernel=51, decoder_layers=2, decoder_heads=4, decoder_ffn=512, stem_channels=32, stem_momentum=0.95,
            dropout=0.1, decoder_attention_dropout=0.2, mask_probability=0.2, ignore_pad=False, ctc_weight=0.0, shown_weight=0.0,
            batch_size=64, accumulate=8, optimiser="adamw", learning_rate=4.5e-3, warmup_epochs=10.0, beta2=0.999, clip=4.0,
            fold_count=4, holdout=0.0)
PUBLISHED = {
    "01_round1_folds": dict(BOTH, dim=144, blocks=6, attention="relative", part_stems=False, backward_decoder=False,
                            confidence=False, epochs=300, weight_decay=0.05, precision="no", min_frames=15, folds=[0, 1, 2, 3]),
    "03_fullfit": dict(BOTH, dim=208, blocks=14, attention="rotary", part_stems=True, backward_decoder=True, backward_weight=0.4,
                       confidence=True, confidence_weight=0.02, epochs=400, weight_decay=0.08, precision="auto", min_frames=1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_winning_parameters_are_the_published_ones(name):
    values = read_params(KIT / "params/winning" / f"{name}.yaml")
    assert {key: values[key] for key in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", STAGES)
def test_what_goes_beyond_the_winning_parameters_says_what_they_had_and_why(name):
    winning, beyond = ((KIT / "params" / profile / f"{name}.yaml").read_text().splitlines() for profile in ("winning", "beyond"))
    body = [[line for line in lines if not line.startswith("#")] for lines in (winning, beyond)]
    assert len(body[0]) == len(body[1])
    for before, line in zip(*body):
        assert (before != line) == ("# winning: " in line), line
        assert before == line or "; " in line.split("# winning: ")[1], "what winning has; why it differs"


def run(name, out: Path, *options, cwd=KIT) -> subprocess.CompletedProcess:
    """papermill as a person calls it."""
    notebook = KIT / "notebooks" / f"{name}.ipynb"
    return subprocess.run([sys.executable, "-m", "papermill", str(notebook), str(out), "--no-progress-bar", *map(str, options)],
                          capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def kaggle_root(tmp_path, monkeypatch):
    """A made-up Kaggle machine, so that runs lie in a folder of the test."""
    for name in ("input", "working"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_a_notebook_without_its_input_says_which_to_run_first(kaggle_root):
    done = run("02_build_oof", kaggle_root / "out.ipynb")
    assert done.returncode and "run notebook 01_round1_folds first" in done.stderr


@pytest.mark.slow
def test_an_unknown_parameter_is_an_error_that_names_the_right_one(kaggle_root):
    done = run("02_build_oof", kaggle_root / "out.ipynb", "-p", "wurst", 3)
    assert done.returncode and "there is no parameter 'wurst'; did you mean 'worst'?" in done.stderr


@pytest.mark.slow
def test_published_checkpoints_are_exported_without_training_and_without_data(kaggle_root):
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_published(kaggle_root / f"checkpoint_last_seed{seed}.pth", Network(replace(MODEL, decoder_heads=4)))
    names = [str(kaggle_root / f"checkpoint_last_seed{seed}.pth") for seed in (1, 2)]
    done = run("04_convert_tflite", kaggle_root / "out.ipynb", "-p", "run", "published", "-p", "precision", "float16",
               "-y", f"checkpoints: {names}")
    assert done.returncode == 0, done.stderr
    export = kaggle_root / "working/published/export"
    report = read_json(export / "report.json")
    assert report["agreement"] is None and report["milliseconds"] > 0
    assert report["seeds"] == 2 and report["variant"] == "float16" and report["score"] is None
    assert "This run has no data" in (kaggle_root / "out.ipynb").read_text()
    assert report["fixed"][0]["megabytes"] > 0.1 and Model(export / FIXED).frames == 384
    answer = Model(export)(np.full((30, 390), np.nan, np.float32))
    assert decode(answer["outputs"].argmax(axis=1)) == DUMMY_PHRASE


def test_papermill_tells_every_parameter_with_its_comment():
    told = papermill.inspect_notebook(KIT / "notebooks" / "03_fullfit.ipynb")
    assert told["seed"]["inferred_type_name"] == "int" and "decides weights" in told["seed"]["help"]


@pytest.mark.slow
def test_on_kaggle_round_one_finds_the_attached_files_and_the_attached_kit(kaggle_root, monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    data = kaggle_root / "input" / "asl-fingerspelling"
    write_competition(data)
    kit = kaggle_root / "input" / "asl-kit"
    for part in ("aslutils", "params"):
        shutil.copytree(KIT / part, kit / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (data, kit):
        subprocess.run(["chmod", "-R", "a-w", str(path)], check=True)
    elsewhere = kaggle_root / "working"
    shutil.copy(KIT / "notebooks" / "01_round1_folds.ipynb", elsewhere / "__notebook__.ipynb")
    sizes = {"epochs": 1, "warmup_epochs": 0.1, "dim": 16, "blocks": 1, "heads": 2, "decoder_heads": 2, "decoder_ffn": 16,
             "fold_count": 2, "holdout": 0.0, "processes": 1, "min_frames": 1}
    options = [part for name, value in sizes.items() for part in ("-p", name, str(value))]
    done = subprocess.run([sys.executable, "-m", "papermill", "__notebook__.ipynb", "out.ipynb", "--no-progress-bar", *options,
                           "-y", "folds: [1]"], capture_output=True, text=True, cwd=elsewhere,
                          env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"})
    assert done.returncode == 0, done.stderr
    said = (elsewhere / "out.ipynb").read_text()
    assert f"attached at {data}" in said
    assert (elsewhere / "demo/round1/fold1/predictions.csv").is_file() and not (elsewhere / "demo/round1/fold0").exists()
    subprocess.run(["chmod", "-R", "u+w", str(kaggle_root)], check=True)


PARTIAL = {"demo_sequences": 60, "demo_supplemental": 10, "demo_participants": 12, "fold_count": 2, "folds": [0], "epochs": 1,
           "warmup_epochs": 0.1, "dim": 16, "threads": 1}


@pytest.mark.slow
@pytest.mark.parametrize("round, stage, folder, told", [
    ("round1", "01_round1_folds", "fold0", ["Data: "]),
    ("round2", "03_fullfit", "seed4", ["every score is 1", "held-out participants"]),      # alone, without round 1
])
def test_a_partial_file_trains_the_same_network_under_papermill_and_by_the_command(round, stage, folder, told, kaggle_root):
    values = {name: value for name, value in PARTIAL.items() if name in defaults(stage)}
    (kaggle_root / "partial.yaml").write_text(yaml.safe_dump(values))
    done = run(stage, kaggle_root / "out.ipynb", "-f", kaggle_root / "partial.yaml", "-p", "run", "notebook", "-p", "seed", 4,
               cwd=KIT / "notebooks")
    assert done.returncode == 0, done.stderr
    said = "".join(output.get("text", "") for cell in nbformat.read(kaggle_root / "out.ipynb", 4).cells
                   for output in cell.get("outputs", []))
    assert all(words in said for words in told)
    command = subprocess.run([sys.executable, "-m", "aslutils", "train", round, "--params", str(kaggle_root / "partial.yaml"),
                              "-p", "run", "command", "-p", "seed", "4"], capture_output=True, text=True, cwd=KIT)
    assert command.returncode == 0, command.stderr
    ours, theirs = (load_checkpoint(kaggle_root / "working" / name / round / folder / "checkpoint.pt")
                    for name in ("command", "notebook"))
    assert ours.facts == theirs.facts and ours.facts["dim"] == 16
    ours, theirs = ours.network.state_dict(), theirs.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
