"""What Kaggle's image may lack, brought along: packages that the kit imports, unpacked beside it in the data set of its code.

Kernels run without internet, so nothing can be installed there. `import aslutils` puts `packages/<Python's version>` last on
the path: what the image has itself comes first.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from aslutils.kaggle.client import KaggleError
from aslutils.run.place import KIT

PACKAGES = {"rapidfuzz": "rapidfuzz", "ai_edge_litert": "ai-edge-litert"}    # as imported -> as pip calls it
PYTHON = "3.12"                                  # of Kaggle's image
GLIBC = range(17, 36)                            # minor versions of glibc 2 that its wheels may ask for


def fetch_packages(folder, *, python: str = PYTHON) -> Path:
    """Unpack into `folder` what the image may lack, for `python` on x86-64 Linux; packages that are there already stay.

    Raises KaggleError with pip's own words when it cannot.
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
                          "with internet, or add --no-packages: then the kernels run only where the image has them. "
                          f"pip's own words:\n{words}")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unpacked, folder)
    return folder


def check_packages() -> None:
    """In a Kaggle notebook, raise ImportError for a package that neither the image nor the kit brings, saying how to get it."""
    missing = [wanted for name, wanted in PACKAGES.items() if find_spec(name) is None]
    if missing and os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        raise ImportError(
            f"this Kaggle image (Python {sys.version_info.major}.{sys.version_info.minor}) lacks {' and '.join(missing)}: turn "
            f"the notebook's internet on and run `!pip install {' '.join(missing)}` first; or attach, in the place of an "
            "uploaded folder, the data set that `python -m aslutils.kaggle kernels` writes, which brings them")
