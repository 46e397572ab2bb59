"""Read American Sign Language fingerspelling from MediaPipe landmarks: train, export, publish, recognise."""

from aslutils.system.packages import use_packages

__version__ = "0.1.0"

use_packages()
