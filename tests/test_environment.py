"""The environment's own faults: little shared memory, no locks, no place to write, a foreign folder, a lost terminal."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from small_corpus import corpus_rows, write_competition
from toy import toy_store

from aslutils.run.place import KIT, usable_gpus
from aslutils.system import files
from aslutils.system.errors import UserError
from aslutils.system.files import locked, writable


@pytest.mark.slow
def test_too_little_shared_memory_is_named_with_the_remedy(tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("unshare -m is not allowed here: /dev/shm cannot be made small")
    toy_store(tmp_path)
    (tmp_path / "load.py").write_text(textwrap.dedent("""
        import numpy as np
        from aslutils.data import augment
        from aslutils.data.dataset import TrainLoader
        from aslutils.data.store import Store
        from aslutils.system.errors import UserError
        store = Store("store")
        loader = TrainLoader(store, np.arange(24), np.ones(24), augment.build([]), batch_size=24, seed=1, workers=2)
        try:
            for epoch in range(3):
                list(loader.epoch(epoch))
            print("enough")
        except UserError as error:
            print(error)
    """))
    for size, words in (("64k", "2 data loading workers need more shared memory than /dev/shm has"), ("64m", "enough")):
        mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm && exec {sys.executable} load.py"
        done = subprocess.run(["unshare", "-m", "sh", "-c", mount], cwd=tmp_path, capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(KIT)})
        assert words in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_it_goes_on_with_a_warning(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with pytest.warns(UserWarning, match="lies on a file system without locks"), locked(tmp_path, UserError):
        pass


@pytest.mark.parametrize("make, words", [
    (lambda path: path.symlink_to("/no/such/disk"), "datamount is a link to /no/such/disk, which does not exist: create it, or"),
    (lambda path: path.write_text(""), "datamount is a file, but a folder is needed there")])
def test_what_is_in_the_way_of_the_runs_folder_is_named(tmp_path, make, words):
    make(tmp_path / "datamount")
    with pytest.raises(UserError, match=words):
        writable(tmp_path / "datamount" / "demo")


def test_a_folder_that_cannot_be_written_to_is_named():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        code = f"from aslutils.system.files import writable; writable({str(folder / 'demo')!r})"
        code = (f"import os, sys; sys.path.insert(0, {str(KIT)!r}); import aslutils.system.files; "
                "os.geteuid() or os.setuid(65534); " + code)                 # root may write anywhere
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "demo cannot be written to (Permission denied): change its rights" in done.stderr


@pytest.mark.parametrize("visible, count", [("-1", 0), ("", 0), ("0", 1), ("0,1", 2), ("0,-1,1", 1), ("GPU-8932f937", 1)])
def test_gpus_are_counted_as_cuda_does(monkeypatch, visible, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert usable_gpus() == count


@pytest.mark.slow
def test_a_notebook_started_from_a_foreign_folder_says_from_where_to_start_it(tmp_path):
    done = subprocess.run([sys.executable, "-m", "papermill", str(KIT / "notebooks" / "02_build_oof.ipynb"), "out.ipynb",
                           "--no-progress-bar"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and f"no kit in {tmp_path}: run this from the kit's folder (papermill: --cwd KIT)" in done.stderr


def test_a_renamed_kit_is_set_up_again(tmp_path):
    kit = tmp_path / "kit"
    (kit / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(KIT / "run_all.sh", kit)
    (kit / "requirements.txt").write_text("numpy\n")
    python_here = kit / "python"                  # in place of Python: writes down what it is asked for
    python_here.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    python_here.chmod(0o755)
    shutil.copy(python_here, kit / ".venv" / "bin" / "python")

    def set_up(kit):
        done = subprocess.run([kit / "run_all.sh", "--setup"], env=os.environ | {"PYTHON": str(kit / "python")},
                              capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return "Setting up" in done.stdout

    assert set_up(kit) and not set_up(kit)
    kit.rename(tmp_path / "moved")
    assert set_up(tmp_path / "moved") and not set_up(tmp_path / "moved")


@pytest.mark.slow
def test_ctrl_c_on_a_preparation_with_workers_is_one_line(tmp_path):
    write_competition(tmp_path / "data", corpus_rows(files=60, sequences=6, supplemental=0))
    command = [sys.executable, "-m", "aslutils", "prepare", "data", "store", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(KIT)}, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("store/parts/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)                             # as a terminal does: the workers get it, too
    said = process.communicate(timeout=60)[1].split("\r")[-1].strip().splitlines()
    assert process.returncode == 130
    assert [line for line in said if not line.startswith("prepare: ")] == ["Interrupted; start the same command again to go on."]
