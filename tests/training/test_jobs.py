"""Several trainings at once end like one after the other."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import torch
from toy import toy_job

from aslutils.model.checkpoint import load_network
from aslutils.system.errors import UserError
from aslutils.training import jobs as training_jobs
from aslutils.training.folder import CHECKPOINT, hold
from aslutils.training.jobs import histories, train_all, train_together
from aslutils.training.trainer import is_finished

pytestmark = pytest.mark.slow


def two_jobs(store, folder):
    return [toy_job(store, folder / f"seed{seed}", name=f"seed {seed}", seed=seed) for seed in (1, 2)]


def test_two_processes_train_the_same_networks_as_one(store, tmp_path, capfd):
    apart, here = two_jobs(store, tmp_path / "apart"), two_jobs(store, tmp_path / "here")
    assert train_all(apart, processes=2) and train_all(here, processes=1)
    for one, other in zip(apart, here):
        ours, theirs = (load_network(job.folder / CHECKPOINT).state_dict() for job in (one, other))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert "training 2 networks" in capfd.readouterr().err
    assert {name: len(history) for name, history in histories(apart).items()} == {"seed 1": 3, "seed 2": 3}


def test_what_is_trained_is_not_trained_again_unless_asked(store, tmp_path, capsys):
    jobs = two_jobs(store, tmp_path)[:1]
    train_all(jobs)
    before = (jobs[0].folder / CHECKPOINT).stat().st_mtime_ns
    assert train_all(jobs)
    assert "seed 1 is trained already" in capsys.readouterr().out
    assert (jobs[0].folder / CHECKPOINT).stat().st_mtime_ns == before
    assert train_all(jobs, fresh=True)
    assert (jobs[0].folder / CHECKPOINT).stat().st_mtime_ns != before


def test_what_another_process_has_finished_meanwhile_is_not_trained_again(store, tmp_path):
    first, second = two_jobs(store, tmp_path)
    assert training_jobs._unfinished([first, second]) == [first, second]
    train_all([second])
    before = (second.folder / CHECKPOINT).stat().st_mtime_ns
    assert training_jobs._train_here([first, second], float("inf"))            # what was unfinished when it began
    assert is_finished(first) and (second.folder / CHECKPOINT).stat().st_mtime_ns == before


def test_a_training_under_way_is_not_forgotten(store, tmp_path):
    (job,) = two_jobs(store, tmp_path)[:1]
    train_all([job])
    with hold(job.folder), pytest.raises(BlockingIOError, match="another training"):
        train_all([job], fresh=True)
    assert is_finished(job)


def test_a_time_limit_stops_all_and_a_second_call_goes_on(store, tmp_path):
    jobs = two_jobs(store, tmp_path)
    assert not train_all(jobs, max_minutes=1e-6)
    assert not any(is_finished(job) for job in jobs)
    assert train_all(jobs) and all(is_finished(job) for job in jobs)


def test_a_failing_training_is_told_with_its_own_words(store, tmp_path):
    jobs = [toy_job(store, tmp_path / "bad", name="bad", learning_rate=1e30, clip=1e30, warmup_epochs=0.0),
            toy_job(store, tmp_path / "good", name="good")]
    with pytest.raises(UserError, match="bad: the loss is"):
        train_all(jobs)


def test_after_a_failure_which_is_told_at_once_what_runs_comes_to_its_end_and_nothing_new_begins(store, tmp_path, capsys):
    jobs = [toy_job(store, tmp_path / "bad", name="bad", learning_rate=1e30, clip=1e30, warmup_epochs=0.0),
            toy_job(store, tmp_path / "good", name="good", epochs=40),
            *(toy_job(store, tmp_path / f"later{seed}", seed=seed) for seed in (1, 2, 3))]
    with pytest.raises(UserError, match="bad: the loss is"):
        train_all(jobs, processes=2)
    assert is_finished(jobs[1])
    assert not [job.folder for job in jobs[2:] if job.folder.exists()]
    assert "bad: the loss is" in capsys.readouterr().err


def test_no_process_at_all_is_an_error(store, tmp_path):
    with pytest.raises(ValueError, match="processes is 0"):
        train_all(two_jobs(store, tmp_path), processes=0)


def test_a_job_keeps_its_share_of_the_cores_however_many_are_left(store, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    seen = []

    class Watched:
        def __init__(self, job):
            seen.append(job.train.threads)

        def fit(self, deadline, tell):
            return True

    monkeypatch.setattr(training_jobs, "Trainer", Watched)
    jobs = [toy_job(store, tmp_path / f"seed{seed}", seed=seed, threads=0) for seed in (1, 2, 3)]
    assert [job.train.threads for job in training_jobs.with_threads(jobs, 2)] == [4, 4, 4]
    monkeypatch.setattr(training_jobs, "is_finished", lambda job: job.train.seed < 3)
    train_all(jobs, processes=2)                  # one is left, and trained in this process
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")   # torchrun's, of a training in four processes
    train_together(jobs)
    assert seen == [4, 2]


@pytest.mark.parametrize("allowed, count, places", [("", 2, ["0", "1", "0"]), ("3,5", 2, ["3", "5", "3"]), ("", 1, ["", "", ""]),
                                                    ("", 0, ["", "", ""])])
def test_each_of_several_trainings_has_a_gpu_of_its_own_as_far_as_there_are(allowed, count, places, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert [training_jobs.gpu_of(place) for place in range(3)] == places


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_training_processes_end_with_the_one_that_started_them(store, tmp_path, end):
    (tmp_path / "jobs.pickle").write_bytes(pickle.dumps([toy_job(store, tmp_path / f"seed{seed}", seed=seed, epochs=10000)
                                                         for seed in (1, 2, 3)]))
    code = ("import pickle, sys, pathlib\nfrom aslutils.training.jobs import train_all\nif __name__ == '__main__':\n"
            "    train_all(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()), processes=2)\n")
    (tmp_path / "start.py").write_text(code)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "start.py"), str(tmp_path / "jobs.pickle")],
                              stderr=subprocess.DEVNULL, env={"PYTHONPATH": ":".join(sys.path)}, start_new_session=True)

    def running():
        return subprocess.run(["ps", "--sid", str(parent.pid), "-o", "pid="], capture_output=True, text=True).stdout.split()

    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("seed*/.lock"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(running()) >= 3
    parent.send_signal(end)
    deadline = time.monotonic() + 20
    while (parent.poll() is None or running()) and time.monotonic() < deadline:
        time.sleep(0.2)
    left = running()
    if left:
        os.killpg(parent.pid, signal.SIGKILL)
    assert not left
