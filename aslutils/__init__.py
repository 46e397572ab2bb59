"""Read American Sign Language fingerspelling from MediaPipe landmarks: train, export, publish, recognise."""

import sys
from pathlib import Path

__version__ = "0.1.0"

# What Kaggle's image may lack lies beside the kit there (aslutils.kaggle.packages); last on the path, so what is installed wins.
_packages = Path(__file__).resolve().parents[1] / "packages" / f"{sys.version_info.major}.{sys.version_info.minor}"
if _packages.is_dir() and str(_packages) not in sys.path:
    sys.path.append(str(_packages))
