"""Read fingerspelling with an exported model: landmarks in, text out. Needs numpy and ai-edge-litert, nothing else.

    from aslutils.reading.recognizer import Recognizer

    recognizer = Recognizer("datamount/demo/export")
    reading = recognizer.read(landmarks)             # (frames, 543, 3) as MediaPipe Holistic gives them, NaN where not seen
    print(reading.text or reading.reason)

    python -m aslutils.reading.recognizer datamount/demo/export recording.parquet other.npy clip.mp4

Videos and cameras need MediaPipe besides: see `aslutils.reading.video`.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aslutils.reading.landmark_files import as_columns, is_landmark_file, recordings_in
from aslutils.reading.tflite import OUTPUT, Model
from aslutils.system.files import atomic
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.text import CHARACTERS, DUMMY_PHRASE, MIN_FRAMES

INSTALL = ("videos are read by MediaPipe, in an environment of its own: python3 -m venv .venv-video && "
           ".venv-video/bin/pip install -r requirements-video.txt, then "
           ".venv-video/bin/python -m aslutils.reading.recognizer ...")


@dataclass(frozen=True)
class Reading:
    """What the model made of a recording."""

    text: str | None                 # None where the recording was rejected
    reason: str | None               # why it was; None where it was read
    confidence: float | None         # 0..1, how sure the model is of the recording; None where it does not say
    probabilities: np.ndarray        # float32, one a character of the text: of that character at its step
    frames: int                      # of the recording
    milliseconds: float              # that reading took

    def __str__(self) -> str:
        """The text, or the reason in brackets."""
        return f"({self.reason})" if self.text is None else self.text


class Recognizer:
    """An exported model, ready to read. Threads that share an instance take turns.

    path: the folder of an export, or its `.tflite` file; threads: of LiteRT. The columns are those of the
    `inference_args.json` beside the model, the kit's 390 without it.
    Raises FileNotFoundError, or ValueError naming the file and what is wrong with it.
    """

    def __init__(self, path, threads: int = 1):
        self.model = Model(path, threads)
        folder = Path(path) if Path(path).is_dir() else Path(path).parent
        self.columns = _selected(folder / "inference_args.json")
        if self.model.columns not in (-1, len(self.columns)):
            raise ValueError(f"{path} reads {self.model.columns} columns; {folder / 'inference_args.json'} or the kit name "
                             f"{len(self.columns)}")
        self._hands = np.array(["_hand_" in column for column in self.columns])

    def read(self, landmarks, sequence_id: int | None = None) -> Reading:
        """Read one recording, in any form that `aslutils.reading.landmark_files.as_columns` takes: NaN stays NaN.

        sequence_id: which recording of a DataFrame or parquet file, where it holds several. Raises ValueError saying what
        was expected.
        """
        inputs = as_columns(landmarks, self.columns, sequence_id)
        start = time.perf_counter()
        reason = self._unreadable(inputs)
        if reason is not None:
            return Reading(None, reason, None, np.zeros(0, np.float32), len(inputs), 1000 * (time.perf_counter() - start))
        answer = self.model(inputs)
        milliseconds = 1000 * (time.perf_counter() - start)
        confidence = float(answer["confidence"]) if "confidence" in answer else float("nan")
        confidence = None if np.isnan(confidence) else confidence
        text, probabilities = spelled(answer[OUTPUT], answer.get("probabilities"))
        if text == DUMMY_PHRASE:
            reason = "not sure enough to read it" + ("" if confidence is None else f" (confidence {confidence:.2f})")
            return Reading(None, reason, confidence, probabilities[:0], len(inputs), milliseconds)
        return Reading(text, None, confidence, probabilities, len(inputs), milliseconds)

    def stream(self, every: int = 15, window: int = MAX_FRAMES) -> "Stream":
        """A stream of frames whose running text comes every so many frames, read from the last `window` frames."""
        return Stream(self, every, window)

    def _unreadable(self, inputs: np.ndarray) -> str | None:
        """Why a recording need not be read at all, if so."""
        if not np.isfinite(inputs[:, self._hands]).any():
            return "no hands seen"
        return f"only {len(inputs)} frames, at least {MIN_FRAMES} are needed" if len(inputs) < MIN_FRAMES else None


class Stream:
    """Frames as they come, text as it grows: `add` each frame, `finish` at the end.

    Every reading takes the last `window` frames anew: a recording is standardised and attended to as a whole, so that a new frame
    changes what the earlier ones mean. The cost of a frame, a reading's divided by `every`, therefore grows until the window is
    full and no further; `tests/benchmarks/stream.py` measures it.
    """

    def __init__(self, recognizer: Recognizer, every: int, window: int):
        if every < 1 or window < 1:
            raise ValueError(f"every is {every} and window {window} frames; both must be at least 1")
        self.recognizer, self.every, self.window = recognizer, every, window
        self.start()

    def start(self):
        """Forget all frames: the next one begins a new phrase."""
        self._frames, self._added, self.reading = [], 0, None

    def add(self, frame) -> Reading | None:
        """Take a frame, (390,), (543, 3) or a Holistic result; the new reading when one is due, otherwise None."""
        frames = [frame] if hasattr(frame, "pose_landmarks") else np.asarray(frame)[None]
        self._frames.append(as_columns(frames, self.recognizer.columns)[0])
        del self._frames[:-self.window]
        self._added += 1
        return self.finish() if self._added % self.every == 0 else None

    def finish(self) -> Reading:
        """Read what has come so far."""
        frames = np.array(self._frames, np.float32).reshape(-1, len(self.recognizer.columns))
        self.reading = self.recognizer.read(frames)
        return self.reading


def spelled(outputs: np.ndarray, probabilities: np.ndarray | None = None) -> tuple[str, np.ndarray]:
    """The text of a model's output rows (n, 63), and each character's probability at its step, float32.

    probabilities: of the rows' tokens, (n,), where the model says them; otherwise the rows are logits, decoded greedily.
    """
    tokens = outputs.argmax(axis=1)
    if probabilities is None:
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        probabilities = exponentials.max(axis=1) / exponentials.sum(axis=1)
    characters = tokens < len(CHARACTERS)
    return "".join(CHARACTERS[token] for token in tokens[characters]), probabilities[characters].astype(np.float32)


def _selected(path: Path) -> list[str]:
    if not path.is_file():
        return COLUMNS
    try:
        columns = json.loads(path.read_text(encoding="utf-8"))["selected_columns"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not {{"selected_columns": [...]}}: {error!r}') from error
    unknown = set(columns) - set(ALL_COLUMNS)
    if unknown:
        raise ValueError(f"{path} selects {sorted(unknown)[0]}, which is no column of MediaPipe Holistic")
    return columns


def main(arguments=None) -> int:
    """Print a table of what a model reads in files and videos; 0, or 1 with a line about each that could not be read."""
    parser = argparse.ArgumentParser(prog="python -m aslutils.reading.recognizer", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of an export, or its .tflite file")
    parser.add_argument("files", nargs="+", metavar="file",
                        help="landmarks, .parquet in competition columns or .npy; any other file is a video; `webcam` or a "
                             "camera's number is read until Ctrl-C")
    parser.add_argument("--strip", type=Path, metavar="FILE.png",
                        help="where a video's pictures go, with the skeleton and the text (default: clip.strip.png beside "
                             "clip.mp4, webcam.strip.png in this folder)")
    options = parser.parse_args(arguments)
    if options.strip and sum(not is_landmark_file(file) for file in options.files) != 1:
        parser.error("--strip names one picture: give exactly one video")
    try:
        recognizer = Recognizer(options.model)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'file':<28} {'sequence':>12} {'frames':>6} {'ms':>6} {'sure':>5}  text")
    failed = False
    for file in options.files:
        try:
            if is_landmark_file(file):
                for sequence_id, recording in recordings_in(file, recognizer.columns).items():
                    _print_row(file, recognizer.read(recording), sequence_id)
            else:
                _read_video(recognizer, file, options.strip or Path(file).with_suffix(".strip.png"))
        except (ValueError, OSError, ImportError) as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


def _print_row(file: str, reading: Reading, sequence_id: int | None = None):
    name, sequence = Path(file).name, "" if sequence_id is None else sequence_id
    sure = "" if reading.confidence is None else f"{reading.confidence:.2f}"
    print(f"{name:<28} {sequence:>12} {reading.frames:>6} {reading.milliseconds:>6.1f} {sure:>5}  {reading}", flush=True)


def _read_video(recognizer: Recognizer, source: str, strip: Path):
    """Print a video's or a camera's row, the running text beside the progress bar before, and leave its picture strip."""
    stream = recognizer.stream()
    try:
        from aslutils.reading.video import draw_strip, read_clip

        clip = read_clip(source, lambda frame: str(stream.add(frame) or stream.reading or ""))
    except ImportError as error:
        raise ImportError(f"{source} was not read ({error}); {INSTALL}") from error
    reading = recognizer.read(clip.landmarks)
    _print_row(source, reading)
    with atomic(strip) as temporary:
        draw_strip(clip, str(reading)).save(temporary, "PNG")


if __name__ == "__main__":
    sys.exit(main())
