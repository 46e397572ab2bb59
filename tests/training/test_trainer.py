"""One training, toy-sized: it learns, stops, goes on, refuses what is not its own."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from configs import train_config
from toy import toy_job, toy_store

from aslutils.data.store import Store
from aslutils.model.checkpoint import DamagedCheckpoint, load_checkpoint, load_init
from aslutils.system.errors import UserError
from aslutils.system.files import LOCK
from aslutils.task.landmarks import HANDS
from aslutils.training.config import OPTIMISERS
from aslutils.training.folder import CHECKPOINT, HISTORY, PREDICTIONS, PREVIOUS, RESUME
from aslutils.training.trainer import Trainer, is_finished, learning_rate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return toy_store(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def uninterrupted(store, tmp_path_factory):
    job = toy_job(store, tmp_path_factory.mktemp("uninterrupted"))
    assert Trainer(job).fit()
    return job


def weights(job):
    return load_checkpoint(job.folder / CHECKPOINT).network.state_dict()


def assert_same_weights(job, other):
    ours, theirs = weights(job), weights(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_learning_rate_rises_then_falls_to_zero_by_the_cosine():
    config = train_config(epochs=4, warmup_epochs=1, learning_rate=0.1)
    rates = [learning_rate(config, 10, step) for step in range(40)]
    assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert rates[25] == pytest.approx(0.05) and rates[-1] < 3e-4
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_loss_falls_and_the_history_tells_of_every_epoch(store, tmp_path, optimiser):
    job = toy_job(store, tmp_path, epochs=12, evaluate_every=6, optimiser=optimiser)
    assert Trainer(job).fit()
    history = pd.read_csv(job.folder / HISTORY)
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    assert history["score"].notna().tolist() == [False] * 5 + [True] + [False] * 5 + [True]
    assert {"forward", "backward", "confidence", "learning_rate", "samples_per_second"} <= set(history.columns)


def test_leaves_a_finished_checkpoint_and_a_prediction_for_every_validation_row(uninterrupted):
    assert is_finished(uninterrupted)
    checkpoint = load_checkpoint(uninterrupted.folder / CHECKPOINT)
    assert checkpoint.training is None and checkpoint.facts["seed"] == 1 and checkpoint.facts["sequences"] == 18
    predictions = pd.read_csv(uninterrupted.folder / PREDICTIONS, keep_default_na=False)
    assert predictions["row"].tolist() == uninterrupted.validation.tolist()
    assert predictions["confidence"].between(0, 1).all()
    assert not (uninterrupted.folder / RESUME).exists() and not (uninterrupted.folder / PREVIOUS).exists()


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(store, uninterrupted, tmp_path):
    again, other = toy_job(store, tmp_path / "again"), toy_job(store, tmp_path / "other", seed=2)
    assert Trainer(again).fit() and Trainer(other).fit()
    assert_same_weights(again, uninterrupted)
    assert not torch.equal(weights(other)["confidence.weight"], weights(again)["confidence.weight"])


@pytest.mark.parametrize("name, value", [("weight_decay", 0.5), ("beta2", 0.5), ("clip", 0.01), ("accumulate", 1),
                                         ("warmup_epochs", 1.0), ("learning_rate", 0.005), ("min_frames", 10),
                                         ("optimiser", "muon")])
def test_what_decides_a_training_changes_its_weights(store, uninterrupted, tmp_path, name, value):
    other = toy_job(store, tmp_path, **{name: value})
    assert Trainer(other).fit()
    assert not torch.equal(weights(other)["confidence.weight"], weights(uninterrupted)["confidence.weight"])


def test_stopping_at_every_checkpoint_and_going_on_changes_no_weight(store, uninterrupted, tmp_path):
    job, sessions = toy_job(store, tmp_path), 1
    while not Trainer(job).fit(deadline=0.0):     # a deadline long past: it stops at the first step at which it can
        assert load_checkpoint(job.folder / RESUME).training["step"] == 2 * sessions
        sessions += 1
    assert sessions == 5                          # 9 steps, two by two
    assert_same_weights(job, uninterrupted)
    ours, theirs = (pd.read_csv(folder.folder / HISTORY).drop(columns="samples_per_second") for folder in (job, uninterrupted))
    pd.testing.assert_frame_equal(ours, theirs)


LOAD = """
import sys, pickle
from pathlib import Path
from aslutils.training.trainer import Trainer
job = pickle.loads(Path(sys.argv[1]).read_bytes())
print("ready", flush=True)
"""
TRAIN = LOAD + """
print("finished", Trainer(job).fit(), flush=True)
"""


def start(code: str, job, folder, *arguments, before=()) -> subprocess.Popen:
    """A process that runs `code` with the pickled job."""
    (folder / "job.pickle").write_bytes(pickle.dumps(job))
    return subprocess.Popen([*before, sys.executable, "-c", code, str(folder / "job.pickle"), *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


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
        process = start(TRAIN, job, tmp_path)
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


PAUSED = LOAD + """
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
    process = start(PAUSED, job, folder, moment, count)
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


def test_parameters_that_change_no_number_may_change_on_the_way(store, uninterrupted, tmp_path):
    assert not Trainer(toy_job(store, tmp_path)).fit(deadline=0.0)
    job = toy_job(store, tmp_path, workers=1, checkpoint_minutes=0.0)
    assert Trainer(job).fit()
    assert_same_weights(job, uninterrupted)


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
    process = start(LOAD + LIMITED, job, tmp_path, len(before) // 2)
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
    process = start(LOAD + FULL, toy_job(store, tmp_path / "disk"), tmp_path, size, moved.folder / CHECKPOINT,
                    before=("unshare", "--map-root-user", "--mount"))
    said, errors = process.communicate()
    if process.returncode == 77 or "unshare failed" in errors:
        pytest.skip(f"a small disk of its own cannot be made here: {errors}")
    assert process.returncode == 0, errors
    assert "no space left while writing" in said
    assert_same_weights(moved, uninterrupted)


def test_a_loss_that_is_no_number_stops_the_training(store, tmp_path):
    with pytest.raises(UserError, match="toy: the loss is nan in epoch .*lower learning_rate"):
        Trainer(toy_job(store, tmp_path, learning_rate=1e30, clip=1e30, warmup_epochs=0.0)).fit()


@pytest.mark.parametrize("wrong, words", [
    ({"epochs": 0}, "epochs is 0"), ({"precision": "fp8"}, "precision is 'fp8'"),
    ({"tracker": "neptune"}, "tracker is 'neptune'"), ({"warmup_epochs": 5.0}, "fewer than epochs"),
    ({"warmup_epochs": -1.0}, "warmup_epochs is -1.0"), ({"seed": -1}, "seed is -1"), ({"clip": 0.0}, "clip is 0.0")])
def test_a_wrong_training_parameter_is_named(store, tmp_path, wrong, words):
    with pytest.raises(ValueError, match=words):
        toy_job(store, tmp_path, **wrong)


def test_writes_tensorboard_events(store, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert Trainer(toy_job(store, tmp_path, tracker="tensorboard")).fit()
    (events,) = tmp_path.rglob("events.out*.0")
    accumulator = EventAccumulator(str(events)).Reload()
    assert [event.step for event in accumulator.Scalars("loss")] == [1, 2, 3]


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_other_trackers_keep_their_curves_here_without_a_network(store, tmp_path, monkeypatch, tracker):
    pytest.importorskip(tracker, reason=f"{tracker} is not installed (an optional tracker: pip install {tracker})")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    process = start(TRAIN, toy_job(store, tmp_path / "job", tracker=tracker), tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert list(tmp_path.rglob("job/wandb/*/*.wandb" if tracker == "wandb" else "events.db"))


def test_training_never_imports_tensorflow(store, tmp_path):
    code = TRAIN + "\nassert 'tensorflow' not in sys.modules, 'TensorFlow was imported'\n"
    process = start(code, toy_job(store, tmp_path / "job", tracker="tensorboard"), tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert list((tmp_path / "job").rglob("events.out*"))


def test_a_training_begins_with_the_weights_of_init_and_remembers_which_they_were(store, uninterrupted, tmp_path):
    path = uninterrupted.folder / CHECKPOINT
    job = toy_job(store, tmp_path / "tuned", init=str(path), seed=2)
    trainer = Trainer(job)
    begun = trainer.network.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in weights(uninterrupted).items())
    assert trainer.fit() and job.facts()["init"] == load_checkpoint(job.folder / CHECKPOINT).facts["init"] != ""
    moved = tmp_path / "elsewhere.pt"
    moved.write_bytes(path.read_bytes())
    assert is_finished(toy_job(store, tmp_path / "tuned", init=str(moved), seed=2))          # the weights count, not their place
    with pytest.raises(UserError, match="another parameters|other parameters: init"):
        is_finished(toy_job(store, tmp_path / "tuned", seed=2))


def test_init_with_a_network_of_another_size_or_no_checkpoint_is_named(uninterrupted, tmp_path):
    path = uninterrupted.folder / CHECKPOINT
    config = load_checkpoint(path).network.config
    assert load_init(path, replace(config, dropout=0.3)).keys() == weights(uninterrupted).keys()      # no size
    with pytest.raises(UserError, match=rf"init: the network of .*{CHECKPOINT} is another one: it has dim {config.dim} .here 24"):
        load_init(path, replace(config, dim=24))
    for change, words in ({"confidence": False}, "confidence True .here False.. Set"), ({"heads": 1}, "heads 2 .here 1"):
        with pytest.raises(UserError, match=f"it has {words}"):
            load_init(path, replace(config, **change))
    with pytest.raises(FileNotFoundError, match="no checkpoint at .*none.pt"):
        load_init(tmp_path / "none.pt", config)


def test_facts_say_the_longest_hand_less_end_of_the_training_s_sequences(store, tmp_path):
    job = toy_job(store, tmp_path)
    seen = [np.isfinite(Store(job.store).landmarks(row)[:, HANDS, 0]).any(1) for row in job.rows]
    ends = [max(shown.argmax(), shown[::-1].argmax()) for shown in seen if shown.any()]
    assert job.facts()["usual_end"] == np.ceil(np.median(ends)) == Store(job.store).usual_end(job.rows)
