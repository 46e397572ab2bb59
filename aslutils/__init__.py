"""Read American Sign Language fingerspelling from MediaPipe landmarks: train, export, publish, recognise."""

__version__ = "0.1.0"
