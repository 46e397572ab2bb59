"""The folder of a run, and what an earlier kernel's output gives to the next one."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from configs import data_config, loss_config, seeds_config
from small_corpus import write_competition
from toy import AUGMENTATIONS, MODEL, TRAIN

from aslutils.data.store import HEADER
from aslutils.model.checkpoint import load_network
from aslutils.run.corpus import open_corpus
from aslutils.run.place import KIT
from aslutils.run.sessions import adopt, earlier_outputs, end_session, run_folder
from aslutils.training import rounds
from aslutils.training.folder import CHECKPOINT
from aslutils.training.jobs import train_all

pytestmark = pytest.mark.slow


@pytest.fixture
def root(monkeypatch, tmp_path):
    for folder in ("input", "working"):
        (tmp_path / folder).mkdir()
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(tmp_path))
    return tmp_path


def output(root, kernel, **contents):
    """An attached kernel's output, read-only, that holds `winning/` with these files ("round2__seed1": {"name": text})."""
    run = root / "input" / kernel / "winning"
    for folder, members in contents.items():
        where = run / folder.replace("__", "/")
        where.mkdir(parents=True)
        for name, text in members.items():
            (where / name).write_text(text)
            (where / name).chmod(0o444)
        where.chmod(0o555)
    return run


def test_a_run_lives_in_working_on_kaggle_and_in_datamount_at_home(root, monkeypatch):
    assert run_folder("winning") == root / "working" / "winning"
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(root / "nowhere"))
    assert run_folder("winning") == KIT / "datamount" / "winning"
    assert adopt("winning") == [] and earlier_outputs("winning") == []


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "/tmp", None])
def test_a_run_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(ValueError, match="is not a valid name"):
        run_folder(name)


@pytest.mark.parametrize("layout", ["asl-winning-03-seed1", "notebooks/signer/asl-winning-03-seed1"])
def test_an_earlier_output_is_found_in_both_layouts_and_can_be_gone_on_in(root, layout):
    earlier = output(root, layout, round2__seed1={"resume.pt": "weights", "history.csv": "epoch\n0\n"})
    assert earlier_outputs("winning") == [earlier] and earlier_outputs("another") == []
    assert adopt("winning") == [f"round2/seed1: copied from {earlier}/round2/seed1"]
    copied = root / "working" / "winning" / "round2" / "seed1" / "resume.pt"
    assert copied.read_text() == "weights"
    assert os.stat(copied).st_mode & 0o200 and os.stat(copied.parent).st_mode & 0o200     # writable, unlike its source
    (copied.parent / "checkpoint.pt").write_text("more")


def test_folds_of_kernels_side_by_side_come_together(root):
    for fold in range(4):
        output(root, f"fold{fold}-kernel", **{f"round1__fold{fold}": {"checkpoint.pt": str(fold)}})
    assert len(adopt("winning")) == 4
    folder = root / "working" / "winning" / "round1"
    assert [(folder / f"fold{fold}" / "checkpoint.pt").read_text() for fold in range(4)] == list("0123")


def test_of_two_outputs_the_one_that_came_further_wins(root):
    output(root, "session-1", round2__seed1={"resume.pt": "old", "history.csv": "epoch\n0\n1\n"})
    output(root, "session-2", round2__seed1={"resume.pt": "new", "history.csv": "epoch\n0\n1\n2\n"})
    output(root, "a-stray", round2__seed1={"resume.pt": "older", "history.csv": "epoch\n0\n"})
    adopt("winning")
    assert (root / "working/winning/round2/seed1/resume.pt").read_text() == "new"


def test_a_finished_training_wins_over_one_that_is_under_way(root):
    output(root, "done", round2__seed1={"checkpoint.pt": "finished"})
    output(root, "later-but-cut", round2__seed1={"resume.pt": "x", "history.csv": "epoch\n0\n"})
    adopt("winning")
    assert (root / "working/winning/round2/seed1/checkpoint.pt").exists()


def test_what_the_run_already_holds_stays(root):
    output(root, "session-1", round2__seed1={"history.csv": "epoch\n0\n"})
    mine = root / "working/winning/round2/seed1"
    mine.mkdir(parents=True)
    (mine / "history.csv").write_text("mine")
    assert adopt("winning") == []
    assert (mine / "history.csv").read_text() == "mine"


def test_a_complete_store_is_read_in_place_and_its_link_ends_with_the_process(root):
    store = output(root, "prepare", store={HEADER: "{}", "frames": "15 GB"}) / "store"
    program = """
import os, sys
from aslutils.run.sessions import adopt, run_folder
print(adopt("winning"), flush=True)
worker = os.fork()
if not worker:
    sys.exit()                                                   # its end is not the notebook's
os.waitpid(worker, 0)
link = run_folder("winning") / "store"
print(link.is_symlink(), (link / "frames").read_text())
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=KIT, capture_output=True, text=True, check=True).stdout
    assert f"read in place from {store}" in said and "True 15 GB" in said
    assert not os.path.lexists(root / "working/winning/store")                # Kaggle would save those 15 GB again
    assert (store / "frames").read_text() == "15 GB"


def test_the_link_to_a_store_ends_with_the_stage_and_is_made_again_by_the_next_run_of_the_notebook(root):
    output(root, "prepare", store={HEADER: "{}", "frames": "15 GB"})
    link = root / "working/winning/store"
    for _ in range(2):
        adopt("winning")
        assert link.is_symlink()
        end_session("winning", "01_round1_folds", finished=False)    # a kernel with child processes is killed before its atexit
        assert not os.path.lexists(link)


def test_a_store_cut_off_is_copied_to_go_on_in(root):
    output(root, "prepare", store={"frames": "half"})
    adopt("winning")
    copied = root / "working/winning/store"
    assert not copied.is_symlink() and (copied / "frames").read_text() == "half"


def test_copies_that_do_not_fit_are_refused_before_anything_is_copied(root, monkeypatch):
    output(root, "session-1", round2__seed1={"resume.pt": "weights"})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=3))
    with pytest.raises(OSError, match="attach only the outputs that this stage needs"):
        adopt("winning")
    assert not (root / "working/winning/round2").exists()


def test_a_copy_cut_off_leaves_nothing_that_looks_whole(root, monkeypatch):
    output(root, "session-1", round2__seed1={"a.pt": "weights", "b.pt": "weights"})
    real, copied = __import__("shutil").copyfile, []

    def full(source, target):
        if copied:
            raise OSError(28, "No space left on device")
        copied.append(real(source, target))
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError):
        adopt("winning")
    assert list((root / "working/winning/round2").iterdir()) == []


def test_what_a_session_killed_in_mid_copy_left_is_not_taken_for_a_training(root):
    half = {"round2__.seed2.1a2b3c4d.part": {"history.csv": "epoch\n0\n"}}
    output(root, "session-1", round2__seed1={"history.csv": "epoch\n0\n"}, **half)
    adopt("winning")
    assert [path.name for path in (root / "working/winning/round2").iterdir()] == ["seed1"]


def test_a_stage_leaves_word_of_how_it_ended_and_the_next_session_does_not_inherit_it(root):
    folder = root / "working/winning/round2/seed1"
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text("epoch,loss\n0,1.0\n1,0.9\n")
    note = end_session("winning", "03_fullfit seed 1", finished=False)
    assert json.loads(note.read_text()) == {"stage": "03_fullfit seed 1", "finished": False, "progress": "2 epochs"}
    earlier = root / "input" / "session-1"
    earlier.mkdir()
    (root / "working/winning").rename(earlier / "winning")
    adopt("winning")
    assert (folder / "history.csv").exists() and not note.exists()


def test_sessions_that_each_read_the_outputs_before_end_with_the_weights_of_one_uninterrupted_run(root):
    write_competition(root / "input/competitions/asl-fingerspelling")

    def session(run, max_minutes=0.0):
        corpus = open_corpus(data_config(run=run, fold_count=2))
        jobs = rounds.seed_jobs(corpus, rounds.training_table(corpus), seeds_config(seeds=[1, 2]), MODEL,
                                loss_config(), TRAIN, AUGMENTATIONS)
        finished = train_all(jobs, max_minutes=max_minutes)
        end_session(run, "03_fullfit", finished=finished)
        return finished, [job.folder for job in jobs]

    sessions = 1
    while not session("winning", max_minutes=1e-6)[0]:
        earlier = root / f"input/notebooks/signer/session-{sessions}/winning"
        earlier.parent.mkdir(parents=True)
        (root / "working/winning").rename(earlier)
        subprocess.run(["chmod", "-R", "a-w", earlier], check=True)
        sessions += 1
    subprocess.run(["chmod", "-R", "u+w", root / "input"], check=True)
    assert sessions > 4
    for straight in session("straight")[1]:
        ours, theirs = (load_network(folder / CHECKPOINT).state_dict()
                        for folder in (root / "working/winning/round2" / straight.name, straight))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
