"""Fetch packages that Kaggle's image may lack, with pip, for the code's data set (see `aslutils.system.packages`)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from aslutils.kaggle.client import KaggleError
from aslutils.run.place import KIT
from aslutils.system.packages import PACKAGES

PYTHON = "3.12"                                  # version in Kaggle's image
GLIBC = range(17, 36)                            # minor versions of glibc 2 that wheels may require


def fetch_packages(folder, *, python: str = PYTHON) -> Path:
    """Unpack into `folder` what the image may lack, for `python` on x86-64 Linux; does nothing if all are there already.

    Raises KaggleError with pip's output if it fails.
    """
    folder = Path(folder)
    if all((folder / name).is_dir() for name in PACKAGES):
        return folder
    unpacked = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unpacked, ignore_errors=True)
    platforms = ["manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in GLIBC)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--retries", "2", "--no-compile",
         "--target", unpacked, "--python-version", python, "--implementation", "cp", "--only-binary=:all:", "--no-deps",
         *(part for platform in platforms for part in ("--platform", platform)),
         "--constraint", KIT / "requirements.txt", *PACKAGES.values()], capture_output=True, text=True)
    if done.returncode:
        words = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise KaggleError(f"pip cannot fetch {' and '.join(PACKAGES.values())}, which Kaggle's image may lack. Start this again "
                          "with internet, or add --no-packages: then the kernels run only if the image has them. "
                          f"pip's output:\n{words}")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unpacked, folder)
    return folder
