"""Packages that Kaggle's image may lack, unpacked beside the kit in the data set of its code.

Kernels run without internet, so nothing can be installed there. `import aslutils` puts `packages/<Python version>` last on
the path, so that the image's own packages come first.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from aslutils.system.errors import MissingPackage

PACKAGES = {"rapidfuzz": "rapidfuzz", "ai_edge_litert": "ai-edge-litert"}    # as imported -> as pip calls it
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
FOLDER = Path(__file__).resolve().parents[2] / "packages" / VERSION


def use_packages() -> None:
    """Put the packages that come with the kit last on the path, then check that none is missing.

    In a Kaggle notebook, raises MissingPackage for one that neither the image nor the kit has, saying how to get it.
    """
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    if not os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return
    missing = [wanted for name, wanted in PACKAGES.items() if find_spec(name) is None]
    if missing:
        raise MissingPackage(
            f"this Kaggle image (Python {VERSION}) lacks {' and '.join(missing)}: turn the notebook's internet on and run "
            f"`!pip install {' '.join(missing)}` first; or attach, instead of an uploaded folder, the data set that "
            "`python -m aslutils kaggle kernels` writes, which includes them")
