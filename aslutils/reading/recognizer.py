"""Read fingerspelling with an exported model: landmarks in, text out. Needs only numpy and ai-edge-litert.

    from aslutils.reading.recognizer import Recognizer

    recognizer = Recognizer("datamount/demo/export")
    reading = recognizer.read(landmarks)             # (frames, 543, 3) as MediaPipe Holistic gives them, NaN where not seen
    print(reading.text or reading.reason)

    python -m aslutils read datamount/demo/export sequence.parquet other.npy clip.mp4

Videos and cameras also need MediaPipe: see `aslutils.reading.video`.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aslutils.reading.landmark_files import as_columns
from aslutils.reading.tflite import OUTPUT, Model
from aslutils.system.errors import UserError
from aslutils.system.inputs import JSON_LIMIT, read_text
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS, count_hand_frames, selected_columns
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.rejection import UNKNOWN, Verdict, verdict
from aslutils.task.text import CHARACTERS


@dataclass(frozen=True)
class Reading:
    """The result of reading one sequence."""

    verdict: Verdict                 # READ, or why it was rejected
    spelled: str                     # the predicted text; "" if rejected
    confidence: float                # 0..1, how sure the model is of the sequence; NaN if it has no such output
    probabilities: np.ndarray        # float32, one per character of the text: its probability at its step
    length: int                      # of the sequence, in frames
    milliseconds: float              # time that reading took

    @property
    def text(self) -> str | None:
        """The predicted text, None if the sequence was rejected."""
        return self.spelled if self.verdict is Verdict.READ else None

    @property
    def reason(self) -> str | None:
        """Why the sequence was rejected, None if it was read."""
        if self.verdict is Verdict.READ:
            return None
        sure = "" if np.isnan(self.confidence) else f" (confidence {self.confidence:.2f})"
        detail = {Verdict.TOO_SHORT: f", there are {self.length}", Verdict.UNSURE: sure}
        return self.verdict.value + detail.get(self.verdict, "")

    def __str__(self) -> str:
        """The text, or the reason in brackets."""
        return f"({self.reason})" if self.text is None else self.text


class Recognizer:
    """An exported model, ready to read. Threads that share an instance take turns.

    path: the folder of an export, or its `.tflite` file; threads: of LiteRT. The columns are those of the
    `inference_args.json` beside the model, or the kit's 390 without it.
    Raises FileNotFoundError, or UserError naming the file and what is wrong with it.
    """

    def __init__(self, path, threads: int = 1):
        self.model = Model(path, threads)
        folder = Path(path) if Path(path).is_dir() else Path(path).parent
        self.columns = _columns_beside(folder / "inference_args.json")
        if self.model.columns not in (-1, len(self.columns)):
            raise UserError(f"{path} reads {self.model.columns} columns; {folder / 'inference_args.json'} or the kit name "
                            f"{len(self.columns)}")

    def read(self, landmarks, sequence_id: int | None = None) -> Reading:
        """Read one sequence, in any form that `aslutils.reading.landmark_files.as_columns` accepts; NaN stays NaN.

        sequence_id: which sequence of a DataFrame or parquet file, if it holds several. Raises UserError stating what
        was expected.
        """
        inputs = as_columns(landmarks, self.columns, sequence_id)
        start = time.perf_counter()
        hand_frames = count_hand_frames(inputs, self.columns)
        found = verdict(len(inputs), hand_frames)
        if found is not Verdict.READ:                                          # the model would reject it too
            return Reading(found, "", UNKNOWN, np.zeros(0, np.float32), len(inputs), 1000 * (time.perf_counter() - start))
        answer = self.model(inputs)
        milliseconds = 1000 * (time.perf_counter() - start)
        confidence = float(answer.get("confidence", UNKNOWN))
        found = verdict(len(inputs), hand_frames, confidence)
        text, probabilities = spelled(answer[OUTPUT], answer.get("probabilities"))
        if found is Verdict.READ and not text:
            found = Verdict.NO_TEXT
        if found is not Verdict.READ:
            text, probabilities = "", probabilities[:0]
        return Reading(found, text, confidence, probabilities, len(inputs), milliseconds)

    def stream(self, every: int = 15, window: int = MAX_FRAMES) -> "Stream":
        """A stream that reads the last `window` frames after every `every` frames."""
        return Stream(self, every, window)


class Stream:
    """Reads frames as they arrive: call `add` with each frame and `finish` at the end.

    Every reading processes all of the last `window` frames, because a sequence is standardised and attended to as a whole: a
    new frame changes the representation of the earlier ones. The cost per frame is that of a reading divided by `every`, so it
    grows until the window is full; `tests/benchmarks/stream.py` measures it.
    """

    def __init__(self, recognizer: Recognizer, every: int, window: int):
        if every < 1 or window < 1:
            raise UserError(f"every is {every} and window {window} frames; both must be at least 1")
        self.recognizer, self.every, self.window = recognizer, every, window
        self.start()

    def start(self):
        """Forget all frames: the next one begins a new phrase."""
        self._frames, self._added, self.reading = [], 0, None

    def add(self, frame) -> Reading | None:
        """Add a frame, (390,), (543, 3) or a Holistic result; returns the new reading when one is due, otherwise None."""
        frames = [frame] if hasattr(frame, "pose_landmarks") else np.asarray(frame)[None]
        self._frames.append(as_columns(frames, self.recognizer.columns)[0])
        del self._frames[:-self.window]
        self._added += 1
        return self.finish() if self._added % self.every == 0 else None

    def finish(self) -> Reading:
        """Read the frames added so far."""
        frames = np.array(self._frames, np.float32).reshape(-1, len(self.recognizer.columns))
        self.reading = self.recognizer.read(frames)
        return self.reading


def spelled(outputs: np.ndarray, probabilities: np.ndarray | None = None) -> tuple[str, np.ndarray]:
    """The text of a model's output rows (n, 63), and each character's probability at its step, float32.

    probabilities: of the rows' tokens, (n,), if the model outputs them; otherwise the rows are logits, decoded greedily.
    """
    tokens = outputs.argmax(axis=1)
    if probabilities is None:
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        probabilities = exponentials.max(axis=1) / exponentials.sum(axis=1)
    characters = tokens < len(CHARACTERS)
    return "".join(CHARACTERS[token] for token in tokens[characters]), probabilities[characters].astype(np.float32)


def _columns_beside(path: Path) -> list[str]:
    if not path.is_file():
        return COLUMNS
    columns = selected_columns(read_text(path, JSON_LIMIT), path)
    unknown = set(columns) - set(ALL_COLUMNS)
    if unknown:
        raise UserError(f"{path} selects {sorted(unknown)[0]}, which is not a MediaPipe Holistic column")
    return columns
