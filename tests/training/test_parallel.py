"""Data-parallel training in two CPU processes is the training of one."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml
from small_corpus import write_competition
from toy import MODEL

from aslutils.model.checkpoint import load_network
from aslutils.run.pipeline import KIT

pytestmark = pytest.mark.slow

# By Muon, the default, which leaves what is no matrix to AdamW.
PARAMS = {"fold_count": 2, "seed": 1, "epochs": 4, "batch_size": 6, "accumulate": 2, "learning_rate": 0.01, "warmup_epochs": 0.5,
          "precision": "no", "threads": 1, "tracker": "", "mask_probability": 0.0,
          "checkpoint_minutes": 0.0, "augmentations": [{"name": "Mirror", "p": 0.5}, {"name": "CutMix", "p": 0.5}],
          **{name: value for name, value in MODEL.__dict__.items() if name not in ("ctc", "shown")}, "dropout": 0.0,
          "decoder_attention_dropout": 0.0}


@pytest.fixture(scope="module")
def place(place):
    write_competition(place / "data")
    return place


def train(place, run, together, round="round2", **changed):
    """Run the training command, in one process or by torchrun in several; the run's seed folder and the exit code."""
    path = place / f"{run}.yaml"
    path.write_text(yaml.safe_dump({**PARAMS, "run": run, "data": str(place / "data"), **changed}))
    start = [] if together == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(together)]
    done = subprocess.run([sys.executable, *start, "-m", "aslutils", "train", round, "--params", str(path)],
                          capture_output=True, text=True,
                          cwd=KIT, env={**os.environ, "ASLUTILS_KAGGLE_ROOT": str(place), "OMP_NUM_THREADS": "1"})
    return place / "working" / run / "round2" / "seed1", done


@pytest.fixture(scope="module")
def alone(place):
    folder, done = train(place, "alone", 1)
    assert done.returncode == 0, done.stderr
    return folder


def assert_same_training(folder, alone, tolerance=1e-3):
    ours, theirs = (pd.read_csv(path / "history.csv") for path in (folder, alone))
    assert len(ours) == len(theirs) == PARAMS["epochs"]
    for part in ("loss", "forward", "backward", "confidence"):
        assert ours[part].to_numpy() == pytest.approx(theirs[part].to_numpy(), abs=tolerance)
    one, other = (load_network(path / "checkpoint.pt").state_dict() for path in (folder, alone))
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 10 * tolerance
    assert all(torch.isfinite(value).all() for value in one.values())


def test_two_processes_give_the_loss_curve_and_weights_of_one(place, alone):
    folder, done = train(place, "together", 2)
    assert done.returncode == 0, done.stderr
    assert_same_training(folder, alone)


def test_a_resume_may_change_the_number_of_processes(place, alone):
    folder, done = train(place, "changed", 2, max_minutes=1e-6)
    assert done.returncode and (folder / "resume.pt").is_file() and not (folder / "checkpoint.pt").exists()
    folder, done = train(place, "changed", 1)
    assert done.returncode == 0, done.stderr
    assert_same_training(folder, alone)


def test_two_folds_follow_each_other_in_the_same_processes_with_a_tracker(place):
    folder, done = train(place, "folds", 2, "round1", folds=[0, 1], processes=1, epochs=1, tracker="tensorboard")
    assert done.returncode == 0, done.stderr
    assert all((place / "working/folds/round1" / f"fold{fold}" / "checkpoint.pt").is_file() for fold in (0, 1))
    assert len(list((place / "working/folds/round1").rglob("events.out*"))) >= 2
