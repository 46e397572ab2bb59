"""A training, toy-sized, that is stopped, killed or runs out of disk goes on to the same weights, bit for bit."""

import contextlib
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from toy import LOAD_JOB, TRAIN_JOB, assert_same_weights, start_job, toy_job

from aslutils.data.store import Store
from aslutils.model import layers
from aslutils.model.checkpoint import DamagedCheckpoint, load_checkpoint
from aslutils.system.files import LOCK
from aslutils.training.config import OPTIMISERS
from aslutils.training.folder import CHECKPOINT, HISTORY, PREDICTIONS, PREVIOUS, RESUME
from aslutils.training.trainer import Trainer, is_finished

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("library", [layers.MKL, layers.ONEDNN])
def test_stopping_at_every_checkpoint_and_going_on_changes_no_weight(library, store, tmp_path, monkeypatch):
    if library == layers.ONEDNN and not layers._operator_works():
        pytest.skip("this PyTorch has no product by oneDNN")
    monkeypatch.setattr(layers, "library", library)
    monkeypatch.setattr(layers, "_FEWEST", 1)
    uninterrupted = toy_job(store, tmp_path / "uninterrupted")
    assert Trainer(uninterrupted).fit()
    job, sessions = toy_job(store, tmp_path), 1
    while not Trainer(job).fit(deadline=0.0):     # a deadline long past: it stops at the first step at which it can
        assert load_checkpoint(job.folder / RESUME).training["step"] == 2 * sessions
        sessions += 1
    assert sessions == 5                          # 9 steps, two by two
    assert_same_weights(job, uninterrupted)
    ours, theirs = (pd.read_csv(folder.folder / HISTORY).drop(columns="samples_per_second") for folder in (job, uninterrupted))
    pd.testing.assert_frame_equal(ours, theirs)


def saved(path) -> int | None:
    """When a checkpoint was written."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime_ns


def test_killed_at_random_moments_it_ends_with_the_same_weights(store, tmp_path):
    job = toy_job(store, tmp_path / "killed", epochs=30, checkpoint_minutes=0.0)
    straight = replace(job, folder=tmp_path / "straight")
    assert Trainer(straight).fit()
    rng, kills, ended = np.random.default_rng(0), 0, False
    while not ended:
        before = saved(job.folder / RESUME)
        process = start_job(TRAIN_JOB, job, tmp_path)
        while kills < 3 and saved(job.folder / RESUME) in (None, before):
            assert process.poll() is None
            time.sleep(0.005)
        if kills < 3:
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        ended = "finished True" in process.communicate()[0]
        kills += not ended
    assert kills == 3
    assert_same_weights(job, straight)


PAUSED = LOAD_JOB + """
import os, time
write, rename, seen = Path.write_bytes, os.replace, []

def moment(name):
    seen.append(name)
    if [name, str(seen.count(name))] == sys.argv[2:]:
        print("paused", flush=True)
        time.sleep(120)

def write_by_halves(path, data):
    write(path, data[:len(data) // 2])
    moment("half written")
    return write(path, data)

def rename_after_a_pause(source, target):
    moment(f"before {Path(target).name}")
    rename(source, target)

Path.write_bytes, os.replace = write_by_halves, rename_after_a_pause
Trainer(job).fit()
"""


def paused(job, folder, moment: str, count: int) -> subprocess.Popen:
    """A training that stands still, for the `count`th time, at a moment of writing a checkpoint."""
    process = start_job(PAUSED, job, folder, moment, count)
    while process.stdout.readline() not in ("paused\n", ""):
        pass
    assert process.poll() is None
    return process


@pytest.mark.parametrize("moment, count", [
    ("half written", 1), ("half written", 3), ("before resume.new.pt", 2), ("before resume.previous.pt", 1),
    ("before resume.pt", 2), ("before checkpoint.pt", 1)])
def test_killed_while_it_writes_a_checkpoint_it_ends_with_the_same_weights(store, uninterrupted, tmp_path, moment, count):
    job = toy_job(store, tmp_path / "job", checkpoint_minutes=0.0)
    process = paused(job, tmp_path, moment, count)
    process.kill()
    process.communicate()
    left = {path.name for path in job.folder.glob("*.pt")}
    assert left == {("half written", 1): set(), ("half written", 3): {RESUME, PREVIOUS}, ("before resume.new.pt", 2): {RESUME},
                    ("before resume.previous.pt", 1): {"resume.new.pt", RESUME}, ("before checkpoint.pt", 1): {RESUME, PREVIOUS},
                    ("before resume.pt", 2): {"resume.new.pt", PREVIOUS}}[moment, count]
    assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)
    assert {path.name for path in job.folder.iterdir()} == {CHECKPOINT, HISTORY, PREDICTIONS, LOCK}


def test_two_trainings_of_one_folder_do_not_mix_and_a_killed_one_leaves_it_free_at_once(store, uninterrupted, tmp_path):
    job = toy_job(store, tmp_path / "job", checkpoint_minutes=0.0, workers=1)
    process = paused(job, tmp_path, "half written", 2)
    with pytest.raises(BlockingIOError, match=f"another training .process {process.pid}. is writing .*job; wait"):
        Trainer(job).fit()
    process.kill()
    process.wait()
    assert Trainer(job).fit()                     # though the killed one's worker, which loads data, still lives for seconds
    assert_same_weights(job, uninterrupted)
    process.communicate()


def test_an_unreadable_checkpoint_falls_back_to_the_one_before_with_a_warning(store, uninterrupted, tmp_path):
    job = toy_job(store, tmp_path)
    for _ in range(2):
        assert not Trainer(job).fit(deadline=0.0)
    path = job.folder / RESUME
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="resume.pt is cut short.*resuming from the previous checkpoint"):
        assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)


def test_a_checkpoint_of_weights_that_are_no_numbers_falls_back_too(store, uninterrupted, tmp_path):
    job = toy_job(store, tmp_path)
    for _ in range(2):
        assert not Trainer(job).fit(deadline=0.0)
    content = torch.load(job.folder / RESUME, weights_only=True)
    next(iter(content["model"].values())).fill_(float("nan"))
    torch.save(content, job.folder / RESUME)
    with pytest.warns(UserWarning, match="not finite numbers.*resuming from the previous checkpoint"):
        assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)


def test_without_a_readable_checkpoint_it_stops_rather_than_start_over(store, tmp_path):
    job = toy_job(store, tmp_path)
    assert not Trainer(job).fit(deadline=0.0)
    (job.folder / RESUME).write_bytes(b"nonsense")
    with pytest.raises(DamagedCheckpoint, match="no earlier checkpoint to resume from; train from scratch with fresh=True"):
        Trainer(job).fit()
    assert (job.folder / RESUME).is_file()


def test_a_checkpoint_of_an_optimiser_that_was_not_fused_goes_on_fused(store, uninterrupted, tmp_path):
    job = toy_job(store, tmp_path)
    assert not Trainer(job).fit(deadline=0.0)
    content = torch.load(job.folder / RESUME, weights_only=True)
    for group in content["training"]["optimiser"]["param_groups"]:
        group["fused"] = None
    torch.save(content, job.folder / RESUME)
    trainer = Trainer(job)
    assert trainer.fit() and all(group["fused"] for group in trainer.optimiser.param_groups)
    assert_same_weights(job, uninterrupted)


def test_a_checkpoint_that_names_no_optimiser_is_of_adamw(store, uninterrupted, tmp_path):
    job = toy_job(store, tmp_path)
    assert not Trainer(job).fit(deadline=0.0)
    content = torch.load(job.folder / RESUME, weights_only=True)
    del content["facts"]["optimiser"]
    torch.save(content, job.folder / RESUME)
    with pytest.raises(ValueError, match=r"optimiser \('adamw', now 'muon'\)"):
        Trainer(toy_job(store, tmp_path, optimiser="muon")).fit()
    assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)


def test_a_checkpoint_of_a_newer_kit_is_refused_and_kept(store, tmp_path):
    job = toy_job(store, tmp_path)
    for _ in range(2):
        assert not Trainer(job).fit(deadline=0.0)
    for name in (RESUME, PREVIOUS):
        torch.save({**torch.load(job.folder / name, weights_only=True), "format": 99}, job.folder / name)
    with pytest.raises(ValueError, match="checkpoint format 99"):
        Trainer(job).fit()
    assert (job.folder / RESUME).is_file() and (job.folder / PREVIOUS).is_file()


def test_a_checkpoint_of_other_parameters_is_refused_by_their_names(store, uninterrupted, tmp_path):
    other = replace(toy_job(store, uninterrupted.folder), train=replace(uninterrupted.train, learning_rate=0.5, seed=3))
    with pytest.raises(ValueError, match=r"seed \(1, now 3\), learning_rate \(0.01, now 0.5\)"):
        is_finished(other)
    unfinished = toy_job(store, tmp_path)
    assert not Trainer(unfinished).fit(deadline=0.0)
    with pytest.raises(ValueError, match="epochs"):
        Trainer(toy_job(store, tmp_path, epochs=7)).fit()


def test_what_changes_no_number_may_change_on_the_way(store, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Store, "usual_end", lambda *_: 99)        # by an earlier rule
        assert not Trainer(toy_job(store, tmp_path)).fit(deadline=0.0)
    job = toy_job(store, tmp_path, workers=1, checkpoint_minutes=0.0)
    assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)
    assert load_checkpoint(job.folder / CHECKPOINT).facts["usual_end"] == Store(job.store).usual_end(job.rows) != 99


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_fp16s_gradient_scaler_goes_on_where_it_stopped(store, tmp_path, monkeypatch, optimiser):
    class WithScaler(Accelerator):                # on a CPU accelerate makes none
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.scaler = torch.amp.GradScaler("cpu", growth_interval=2)

    monkeypatch.setattr("aslutils.training.trainer.Accelerator", WithScaler)
    straight, stopped = (toy_job(store, tmp_path / name, optimiser=optimiser) for name in ("straight", "stopped"))
    assert Trainer(straight).fit()
    scales = []
    while not Trainer(stopped).fit(deadline=0.0):
        scales.append(load_checkpoint(stopped.folder / RESUME).training["scaler"]["scale"])
    assert scales[0] == 2**16 and scales[-1] == 2**18          # doubled after every second step, over all sessions
    assert_same_weights(stopped, straight)


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
print("stopped", Trainer(job).fit(deadline=0.0))
"""


def test_a_file_that_may_not_grow_leaves_the_old_checkpoint(store, uninterrupted, tmp_path):
    job = toy_job(store, tmp_path / "job")
    assert not Trainer(job).fit(deadline=0.0)
    before = (job.folder / RESUME).read_bytes()
    process = start_job(LOAD_JOB + LIMITED, job, tmp_path, len(before) // 2)
    said = process.communicate()[1]
    assert process.returncode == 1 and "no space left while writing" in said.splitlines()[-1] and "resume" in said
    assert (job.folder / RESUME).read_bytes() == before and not list(job.folder.glob(".*.part"))
    assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)


FULL = """
import dataclasses, os, subprocess
def mount(options):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", job.folder]).returncode:
        sys.exit(77)
job.folder.mkdir()
mount(f"size={int(sys.argv[2]) * 3 // 2}")                   # room for one checkpoint, not for two
assert not Trainer(job).fit(deadline=0.0)
before = (job.folder / "resume.pt").read_bytes()
try:
    Trainer(job).fit(deadline=0.0)
except OSError as error:
    print(error)
assert (job.folder / "resume.pt").read_bytes() == before and not list(job.folder.glob(".*.part"))
mount("remount,size=100m")
assert Trainer(job).fit()
Path(sys.argv[3]).write_bytes((job.folder / "checkpoint.pt").read_bytes())
"""


def test_a_full_disk_leaves_the_old_checkpoint_and_with_room_again_it_ends_with_the_same_weights(store, uninterrupted, tmp_path):
    probe = toy_job(store, tmp_path / "probe")
    assert not Trainer(probe).fit(deadline=0.0)
    size = (probe.folder / RESUME).stat().st_size
    moved = replace(uninterrupted, folder=tmp_path / "moved")
    moved.folder.mkdir()
    process = start_job(LOAD_JOB + FULL, toy_job(store, tmp_path / "disk"), tmp_path, size, moved.folder / CHECKPOINT,
                    before=("unshare", "--map-root-user", "--mount"))
    said, errors = process.communicate()
    if process.returncode == 77 or "unshare failed" in errors:
        pytest.skip(f"a small disk of its own cannot be made here: {errors}")
    assert process.returncode == 0, errors
    assert "no space left while writing" in said
    assert_same_weights(moved, uninterrupted)
