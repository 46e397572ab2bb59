"""Killed with -9 at random moments and started again, the whole pipeline ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toy import write_profile

from aslutils.run.place import KIT

pytestmark = pytest.mark.slow


def run(root: Path, seconds: float | None = None) -> int:
    """All five stages on a made-up machine; after `seconds` the process group is killed. Returns the exit code."""
    command = [sys.executable, "-m", "aslutils", "run", "--profile", str(root / "toy"), "--processes", "2"]
    with open(root / "log", "a") as log:
        process = subprocess.Popen(command, cwd=KIT, env=os.environ | {"ASLUTILS_KAGGLE_ROOT": str(root)}, stdout=log, stderr=log,
                                   start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def machine(root: Path) -> Path:
    for name in ("input", "working"):
        (root / name).mkdir(parents=True)
    write_profile(root / "toy")
    return root


def files(run_folder: Path) -> set[str]:
    """The names of a run's files, those of TensorBoard without their time and process."""
    return {str(path.relative_to(run_folder)) if "events.out" not in path.name else str(path.parent.relative_to(run_folder))
            for path in run_folder.rglob("*") if path.is_file() and not path.parent.parent.name == "events"}


def test_the_whole_pipeline_killed_at_12_random_moments_leaves_the_same_weights_tables_and_model(tmp_path):
    whole, killed = machine(tmp_path / "whole"), machine(tmp_path / "killed")
    began = time.monotonic()
    assert run(whole) == 0
    lasted = time.monotonic() - began
    seed = random.randrange(2**32)
    print(f"seed {seed}")                         # shown if the test fails
    moments = random.Random(seed)
    kills = 0
    for _ in range(12):
        kills += run(killed, moments.uniform(0.02, 0.35) * lasted) == -signal.SIGKILL
    assert kills and run(killed) == 0
    ours, theirs = (root / "working" / "toy" for root in (killed, whole))
    for path in sorted(theirs.rglob("*.pt")):
        weights, other = (torch.load(folder / path.relative_to(theirs), weights_only=True)["model"] for folder in (theirs, ours))
        assert all(torch.equal(weights[name], other[name]) for name in weights), path
    for name in ("folds.csv", "train_folded_oof_supp.csv", "export/model.tflite", "store/columns.bin", "store/table.parquet",
                 *(str(path.relative_to(theirs)) for path in theirs.glob("round*/*/predictions.csv"))):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    for path in theirs.glob("round*/*/history.csv"):
        table, other = (pd.read_csv(folder / path.relative_to(theirs)) for folder in (theirs, ours))
        np.testing.assert_array_equal(*(found.drop(columns="samples_per_second").to_numpy() for found in (table, other)))
    assert files(ours) == files(theirs)
    assert not [path for path in ours.rglob("*") if path.name.endswith(".part") or path.name.startswith("resume")]
    assert all(len(list(folder.glob("events.out*"))) == 1 for folder in ours.glob("round*/*/events"))
