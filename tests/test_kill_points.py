"""Killed with -9 at every change of its folder, a piece of work ends as if nothing had happened when it is started again."""

import subprocess
import sys

import pytest
from kill_points import WORKS

from aslutils.run.place import KIT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("work", WORKS)
def test_killed_at_any_change_of_its_folder_it_goes_on(work, tmp_path):
    command = [sys.executable, "tests/helpers/kill_points.py", work, str(tmp_path)]
    done = subprocess.run(command, cwd=KIT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split(": ")[1].split()[0]) > 20
