"""Every kernel of a plan in a row on made-up Kaggle machines: a session each, read-only inputs, no network, the kit attached.

What is attached lies where Kaggle has shown it of old and where it shows it now, by turns. The competition's files are the real
ones where they are at hand; else there are none, and the demo takes their place.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import nbformat
import pytest
from toy import write_profile

from aslutils.kaggle.kernels import PREPARE, Kernel, plan, write_kernels
from aslutils.run.place import COMPETITION, KIT
from aslutils.run.place import KIT as ROOT
from aslutils.run.stages import STAGES
from aslutils.system.inputs import read_json

pytestmark = pytest.mark.slow

REAL = ROOT.parent / "shared" / "realdata" / "competition"
LAYOUTS = (                                      # where Kaggle shows a competition, a data set, a kernel's output
    ("{slug}", "{slug}", "{slug}"),
    ("competitions/{slug}", "datasets/signer/{slug}", "notebooks/signer/{slug}"))
# What is enough here: the folds in one process, as the seeds are trained in two; an export without a search and a fixed shape.
QUICKER = {"01": {"processes": 1}, "04": {"beams": 0, "fixed_frames": 0}}
OFFLINE = '''\
import socket

connect = socket.socket.connect

def connect_here(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(101, "Network is unreachable")
    return connect(self, address)

socket.socket.connect = connect_here
'''


@dataclass
class Session:
    """What became of one kernel."""

    kernel: Kernel
    working: Path                                # its output
    done: subprocess.CompletedProcess
    changed: list                                # of what was attached to it: files that are not as they were

    def said(self) -> str:
        cells = nbformat.read(self.working / "out.ipynb", 4).cells if self.kernel.notebook != PREPARE else []
        return self.done.stdout + "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def run_chain(folder: Path, data: Path | None) -> list[Session]:
    """All kernels of the demo's parameters, toy-sized, one after the other until one fails."""
    kit = folder / "kit"
    write_profile(kit / "params" / "toy")
    for part in ("aslutils", "notebooks", "params/winning"):
        (kit / part).symlink_to(KIT / part)
    kernels = plan(kit / "params" / "toy", run="toy", seeds=[1, 2], processes=2, minutes=510, competition=data is not None,
                   kit=kit)
    kernels = [replace(kernel, parameters={**kernel.parameters, **QUICKER.get(kernel.notebook[:2], {})}) for kernel in kernels]
    write_kernels(kernels, folder / "out", "signer", kit=kit, packages=False)
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text(OFFLINE)
    sessions = []
    for layout, kernel in zip(cycle(LAYOUTS), kernels):
        outputs = [session for session in sessions if session.kernel.name in kernel.needs]
        sessions.append(run_session(folder, layout, data, kernel, outputs))
        if sessions[-1].done.returncode:
            break
    return sessions


def run_session(folder: Path, layout: tuple, data: Path | None, kernel: Kernel, outputs: list[Session]) -> Session:
    root, working = folder / "kaggle", folder / "kaggle" / "working"
    competition, dataset, output = layout
    attached = {dataset.format(slug=kernel.dataset): folder / "out" / "dataset",
                **{output.format(slug=session.kernel.slug): session.working for session in outputs},
                **({competition.format(slug=COMPETITION): data} if data else {})}
    for name, source in attached.items():
        shutil.copytree(source, root / "input" / name)
    working.mkdir(parents=True)
    subprocess.run(["chmod", "-R", "a-w", root / "input"], check=True)
    before = state(root / "input")
    shutil.copyfile(folder / "out" / kernel.name / kernel.code, working / kernel.code)
    command = [kernel.code] if kernel.notebook == PREPARE else ["-m", "papermill", kernel.code, "out.ipynb", "--no-progress-bar"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(folder / "python"), "OMP_NUM_THREADS": "1",
                   "ASLUTILS_KAGGLE_ROOT": str(root), "KAGGLE_KERNEL_RUN_TYPE": "Batch", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=working, env=environment, capture_output=True, text=True)
    changed = sorted({*before.items()} ^ {*state(root / "input").items()})
    subprocess.run(["chmod", "-R", "u+w", root / "input"], check=True)
    shutil.rmtree(root / "input")
    kept = folder / kernel.name
    working.rename(kept)
    return Session(kernel, kept, done, changed)


def state(folder: Path) -> dict:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    return run_chain(tmp_path_factory.mktemp("chain"), REAL if REAL.is_dir() else None)


def test_every_notebook_runs_from_what_is_attached_alone(sessions):
    assert not sessions[-1].done.returncode, f"{sessions[-1].kernel.name}: {sessions[-1].done.stderr[-3000:]}"
    assert [session.kernel.notebook for session in sessions] == [PREPARE, *STAGES]
    assert all(read_json(session.working / "toy" / "session.json")["finished"] for session in sessions)
    assert read_json(sessions[-1].working / "toy" / "submission" / "report.json")["seeds"] == 2


def test_nothing_that_is_attached_is_changed(sessions):
    assert [session.changed for session in sessions] == [[]] * len(sessions)


def test_the_real_files_or_the_demo_are_read_and_it_says_which(sessions):
    words = "Data: the competition's files" if sessions[0].kernel.competition else "as no data is attached"
    reading = [session for session in sessions if session.kernel.notebook in (PREPARE, "01_round1_folds", "03_fullfit")]
    assert len(reading) == 3 and all(words in session.said() for session in reading)


def test_both_seeds_are_trained_in_one_session_and_told_in_one_table(sessions):
    (session,) = [session for session in sessions if session.kernel.notebook == "03_fullfit"]
    assert sorted(path.parent.name for path in session.working.glob("toy/round2/*/checkpoint.pt")) == ["seed1", "seed2"]
    cells = nbformat.read(session.working / "out.ipynb", 4).cells
    shown = [output["data"].get("text/plain", "") for cell in cells for output in cell.get("outputs", []) if "data" in output]
    (scores,) = [text for text in shown if "95 % from" in text]
    assert "seed 1" in scores and "seed 2" in scores


def test_the_store_is_not_saved_again_by_later_sessions(sessions):
    kept = [session.kernel.name for session in sessions if os.path.lexists(session.working / "toy" / "store")]
    assert kept == ["00_prepare"]
