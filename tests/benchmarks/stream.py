"""What reading a live stream costs.

    OMP_NUM_THREADS=1 python tests/benchmarks/stream.py [EXPORT] [--every 15] [--seconds 60]

Frames of a made-up person who spells without end, (543, 3) each as MediaPipe Holistic gives them and 30 a second, go one by one
into the model in EXPORT (default datamount/demo/export). MediaPipe's own time is not counted.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aslutils.demo.signer import Recording, record  # noqa: E402
from aslutils.demo.writer import participant  # noqa: E402
from aslutils.reading.recognizer import Recognizer  # noqa: E402

RATE = 30
PHRASE = "the quick brown fox "


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", nargs="?", type=Path, default=ROOT / "datamount" / "demo" / "export")
    parser.add_argument("--every", type=int, default=15, help="frames between two readings")
    parser.add_argument("--seconds", type=float, default=60, help="length of the stream")
    options = parser.parse_args()

    spelled = record(participant(1, 1), PHRASE, Recording(frames_per_character=9, missing=0.1), np.random.default_rng(1))
    frames = np.resize(spelled, (round(options.seconds * RATE), *spelled.shape[1:]))
    stream = Recognizer(options.export).stream(every=options.every)
    stream.add(frames[0])                                                          # the first call sets up
    stream.start()
    start = time.process_time()
    readings = [stream.add(frame) for frame in frames]
    spent = 1000 * (time.process_time() - start)
    slowest = max((reading.milliseconds for reading in readings if reading), default=0)
    size = (options.export / "model.tflite" if options.export.is_dir() else options.export).stat().st_size / 1e6
    print(f"a live stream costs {spent / len(frames):.2f} CPU ms a frame: {len(frames):,} frames, a reading of the last "
          f"{stream.window} at most every {options.every} ({1000 * options.every / RATE:.0f} ms), the slowest {slowest:.0f} ms; "
          f"model of {size:.1f} MB in {options.export}")


if __name__ == "__main__":
    main()
