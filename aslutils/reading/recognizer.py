"""Read fingerspelling with an exported model: landmarks in, text out. Needs only numpy and ai-edge-litert.

    from aslutils.reading.recognizer import Recognizer

    recognizer = Recognizer()                        # the model that comes with the kit, or the folder of an export
    reading = recognizer.read(landmarks)             # (frames, 543, 3) as MediaPipe Holistic gives them, NaN where not seen
    print(reading.text or reading.reason)

    python -m aslutils read sequence.parquet other.npy clip.mp4
    python -m aslutils read datamount/demo/export sequence.parquet

Videos and cameras also need MediaPipe: see `aslutils.reading.video`.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aslutils.reading.landmark_files import as_columns
from aslutils.reading.tflite import OUTPUT, Model
from aslutils.system.errors import UserError
from aslutils.system.inputs import JSON_LIMIT, read_text
from aslutils.task.arguments import NAME, Arguments
from aslutils.task.landmarks import ALL_COLUMNS, hand_columns, hand_seen
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.rejection import MIN_FRAMES, UNKNOWN, Verdict, surer, verdict, verdict_on_answer
from aslutils.task.text import CHARACTERS

OWN_MODEL = Path(__file__).with_name("hands")      # the model that comes with the kit: an export, with its card
RATE = 30                                          # frames a second to read, about the rate of the competition's sequences
PHRASE_GAP = RATE                                  # frames without a hand that end a phrase, at that rate: a second
FEWEST = 5                                         # the fewest frames that end a phrase, however slow a camera is
LEAST_PART = 30                                    # the fewest frames of a part into which a long phrase is divided
_ROUNDING = 1e-6                                   # of a sum of times, in frames
READ_EVERY = 15                                    # frames of a stream between two readings
FLAT = 1e-3                                        # how far hands' z differ at most without depth; recorded, by 0.08 and more


@dataclass(frozen=True)
class Reading:
    """The result of reading one sequence."""

    verdict: Verdict                 # READ, or why it was rejected
    spelled: str                     # the predicted text; "" if rejected
    confidence: float                # 0..1, how sure the model is of the sequence; NaN if it has no such output or was not asked
    certainty: float                 # 0..1, how sure of the text: confidence times the characters' mean probability; NaN likewise
    probabilities: np.ndarray        # float32, one per character of the text: its probability at its step
    length: int                      # of the sequence, in frames; with a fixed shape, without rows at its end that show nothing
    cut: tuple[int, int]             # hand-less frames at its beginning and end that the model was not given
    milliseconds: float              # time that reading took
    complete: bool = True            # False: of a stream whose phrase goes on
    parts: int = 1                   # in how many it was read, whose confidence and certainty are averaged over the frames

    @property
    def text(self) -> str | None:
        """The predicted text, None if the sequence was rejected."""
        return self.spelled if self.verdict is Verdict.READ else None

    @property
    def reason(self) -> str | None:
        """Why the sequence was rejected, None if it was read."""
        if self.verdict is Verdict.READ:
            return None
        known = {"confidence": self.confidence, "certainty": self.certainty or UNKNOWN}             # 0: no text was searched
        sure = ", ".join(f"{name} {value:.2f}" for name, value in known.items() if not np.isnan(value))
        given = self.length - sum(self.cut)
        thinned = f"; {given} frames were thinned to {MAX_FRAMES}" if given > 2 * MAX_FRAMES else ""
        detail = {Verdict.TOO_SHORT: f", there are {self.length}", Verdict.UNSURE: f" ({sure}){thinned}"}
        return self.verdict.value + detail.get(self.verdict, "")

    def __str__(self) -> str:
        """The text, or the reason in brackets."""
        return f"({self.reason})" if self.text is None else self.text


class Recognizer:
    """An exported model, ready to read. Threads that share an instance take turns.

    path: the folder of an export, or its `.tflite` file; None: the model that comes with the kit, trained on made-up hands;
    threads: of LiteRT. The `inference_args.json` beside the model names its columns (without it, they are the kit's 390), how
    long hand-less ends and phrases usually were at most in its training, and the confidence and certainty below which it rejects.
    Raises FileNotFoundError, or UserError naming the file and what is wrong with it.
    """

    def __init__(self, path=None, threads: int = 1):
        path = OWN_MODEL if path is None else Path(path)
        self.model = Model(path, threads)
        file = (path if path.is_dir() else path.parent) / NAME
        said = Arguments.parse(read_text(file, JSON_LIMIT), file) if file.is_file() else Arguments()
        self.columns, self.limits = _known(said.columns, file), said.limits
        self.usual_end, self.usual_characters = said.usual_end, said.usual_characters
        if self.model.columns not in (-1, len(self.columns)):
            raise UserError(f"{path} reads {self.model.columns} columns; {file} or the kit name {len(self.columns)}")

    def read(self, landmarks, sequence_id: int | None = None, in_parts: bool = True) -> Reading:
        """Read one sequence, in any form that `aslutils.reading.landmark_files.as_columns` accepts; NaN stays NaN.

        Hand-less frames at the beginning and end are cut to what was usual at most in the model's training (`Reading.cut`):
        longer ones, which it saw seldom, make it invent text. More than 384 frames are thinned to 384, which fit a phrase; a
        long recording of several is what `phrases` reads. sequence_id: which sequence of a DataFrame or parquet file, if it holds
        several. in_parts: if the text is longer than was usual in the model's training, which it then reads badly, read
        equal parts too, and join their texts where that is clearly surer (`Reading.parts`). That takes twice as long; with a
        fixed shape, as long again for each part. Raises UserError stating what was expected.
        """
        inputs = self.model.counted(as_columns(landmarks, self.columns, sequence_id))
        whole = self._read(inputs)
        if not in_parts or not self.usual_characters or len(whole.spelled) <= self.usual_characters:
            return whole
        given = inputs[whole.cut[0]:len(inputs) - whole.cut[1]]
        count = min(-(-5 * len(whole.spelled) // (4 * self.usual_characters)), len(given) // LEAST_PART)     # 4/5 of it each
        if count < 2:
            return whole
        parts = [self._read(given[first:end]) for first, end in _equal(len(given), count)]
        joined = _joined(whole, parts)
        complete = all(part.verdict in (Verdict.READ, Verdict.NO_HANDS) for part in parts)
        chosen = joined if complete and surer(joined.certainty, whole.certainty) else whole
        return replace(chosen, milliseconds=whole.milliseconds + joined.milliseconds)

    def _read(self, inputs: np.ndarray) -> Reading:
        """Read columns (T, n) once."""
        start = time.perf_counter()
        seen = hand_seen(inputs, self.columns)
        cut = _overlong(seen, self.usual_end)
        found = verdict(len(inputs), int(seen.sum()))
        if found is Verdict.READ and not self._deep(inputs[seen]):
            found = Verdict.NO_DEPTH
        if found is not Verdict.READ:                                          # the model would reject it too, or invent text
            milliseconds = 1000 * (time.perf_counter() - start)
            return Reading(found, "", UNKNOWN, UNKNOWN, np.zeros(0, np.float32), len(inputs), cut, milliseconds)
        answer = self.model(inputs[cut[0]:len(inputs) - cut[1]])
        milliseconds = 1000 * (time.perf_counter() - start)
        confidence, certainty = (float(answer.get(name, UNKNOWN)) for name in ("confidence", "certainty"))
        text, probabilities = spelled(answer[OUTPUT], answer.get("probabilities"))
        written = len(text) if probabilities.any() else 0                      # the dummy phrase's probabilities are 0
        found = verdict_on_answer(len(inputs), int(seen.sum()), confidence, certainty, written, self.limits)
        if found is not Verdict.READ:
            text, probabilities = "", probabilities[:0]
        return Reading(found, text, confidence, certainty, probabilities, len(inputs), cut, milliseconds)

    def phrases(self, landmarks, gap: int = PHRASE_GAP, elapsed=1.0) -> list[Reading]:
        """Read a long recording phrase by phrase: it is split where no hand is seen for `gap` frames, as a stream of it would be.

        What is still longer than 384 frames from the first to the last hand is divided evenly, since the model takes no more.

        landmarks: as for `read`; gap: 0 takes it as one phrase; elapsed: as for `Stream.add`, of all frames or of each (T,).
        Returns at least one reading. Raises UserError as `read`, `stream` and `Stream.add` do.
        """
        inputs = as_columns(landmarks, self.columns)
        elapsed = _passed(elapsed, len(inputs))
        _check_gap(gap)
        if gap == 0:
            return [self.read(inputs)]
        seen = hand_seen(inputs, self.columns)
        parts = _between_gaps(seen, gap, np.broadcast_to(elapsed, len(seen)))
        return [self.read(inputs[first:end]) for part in parts for first, end in _divided(seen, *part)]

    def _deep(self, inputs: np.ndarray) -> bool:
        """Whether hands have a depth, z: handshapes differ in it, and standardising makes noise of what is constant."""
        chosen = hand_columns("z", self.columns)
        depths = inputs[:, chosen]
        depths = depths[np.isfinite(depths)]
        return not chosen.any() or (depths.size > 0 and np.ptp(depths) > FLAT)

    def stream(self, every: int = READ_EVERY, window: int = MAX_FRAMES, gap: int = PHRASE_GAP) -> "Stream":
        """A stream that reads the frames of a phrase after every `every` frames.

        gap: frames in a row without a hand that end a phrase, at 30 a second; window: frames from its first to its last hand
        that end it too. With a gap of 0 a phrase never ends by itself, and its last `window` frames are read.
        """
        return Stream(self, every, window, gap)


class Stream:
    """Reads frames as they arrive: call `add` with each frame and `finish` at the end.

        for frame in frames:
            reading = stream.add(frame)
            if reading and reading.complete:
                print(reading)

    A phrase ends when no hand was seen for `gap` frames of 30 a second; the next frame begins another, so no reading mixes two.
    With a slower camera, tell `add` the time that has passed: then fewer frames, five at least, end it. A phrase that has
    `window` frames from its first to its last hand ends there, so nothing is forgotten if the hand stays in view. Every reading
    processes all frames of the phrase (and the hand-less ones after them), because a sequence is standardised and attended to
    as a whole: a new frame changes the representation of the earlier ones. The cost per frame is that of a reading divided by
    `every`, so it grows until the window is full; `tests/benchmarks/stream.py` measures it. Only a complete phrase is read in
    parts too.
    """

    def __init__(self, recognizer: Recognizer, every: int, window: int, gap: int):
        if every < 1 or window < 1:
            raise UserError(f"every is {every} and window {window} frames; both must be at least 1")
        _check_gap(gap)
        self.recognizer, self.every, self.window, self.gap = recognizer, every, window, gap
        self.start()

    def start(self):
        """Forget all frames: the next one begins a new phrase."""
        self._frames, self._added, self._before, self._unseen, self._away, self.reading = [], 0, 0, None, 0.0, None

    def add(self, frame, elapsed: float = 1.0) -> Reading | None:
        """Add a frame, (390,), (543, 3) or a Holistic result; returns the new reading when one is due, otherwise None.

        elapsed: thirtieths of a second since the frame before. A reading is `complete` when its phrase has ended with this frame.
        Raises UserError stating what was expected.
        """
        elapsed = float(_passed(elapsed))
        frames = [frame] if hasattr(frame, "pose_landmarks") else np.asarray(frame)[None]
        columns = as_columns(frames, self.recognizer.columns)
        if hand_seen(columns, self.recognizer.columns)[0]:
            self._before = len(self._frames) if self._unseen is None else self._before
            self._unseen, self._away = 0, 0.0
        elif self._unseen is not None:                                           # None: no hand was seen in this phrase yet
            self._unseen += 1
            self._away += _at_most(elapsed, self.gap)
        self._frames.append(columns[0].copy())                                   # the caller may fill its array anew
        if not self.gap:
            del self._frames[:-self.window]
        elif self._unseen is None:                                               # no more before a hand than a gap has
            del self._frames[:-self.gap]
        self._added += 1
        full = self._unseen is not None and len(self._frames) - self._before - self._unseen >= self.window
        if self.gap and (full or self._away > self.gap - _ROUNDING):
            return self.finish()
        if self._added % self.every:
            return None
        self.reading = replace(self._read(in_parts=False), complete=False)
        return self.reading

    def finish(self) -> Reading:
        """Read the frames of the current phrase, which ends; the next frame begins another."""
        reading = self._read(in_parts=True)
        self.start()
        self.reading = reading
        return reading

    def _read(self, in_parts: bool) -> Reading:
        frames = np.array(self._frames, np.float32).reshape(-1, len(self.recognizer.columns))
        return self.recognizer.read(frames, in_parts=in_parts)


def _check_gap(gap: int) -> None:
    if gap < 0:
        raise UserError(f"gap is {gap} frames; it must be at least 0")


def _passed(elapsed, frames: int | None = None) -> np.ndarray:
    """The time between two frames as a number, or of each of `frames`. Raises UserError if it is none, or negative."""
    try:
        times = np.asarray(elapsed, float)
    except (TypeError, ValueError):
        times = np.array(UNKNOWN)
    if times.shape not in ((), (frames,)) or not (times >= 0).all():
        each = "" if frames is None else f", one number or one for each of {frames} frames"
        raise UserError(f"elapsed is {elapsed!r}; expected thirtieths of a second since the frame before, at least 0{each}")
    return times


def _at_most(elapsed, gap: int):
    """The time between two frames, as far as it counts towards a gap: `FEWEST` frames, or a shorter gap's, at least make one."""
    return np.minimum(elapsed, max(gap / FEWEST, 1))


def _between_gaps(seen: np.ndarray, gap: int, elapsed: np.ndarray) -> list[tuple[int, int]]:
    """The parts of a recording, first and end frame, that gaps separate: runs of at least `gap` frames without a hand.

    seen: bool (T,), where a hand is seen; elapsed: (T,), as for `Stream.add`. A gap is divided in its middle; without a hand, the
    recording is one part.
    """
    hands, clock = np.flatnonzero(seen), np.cumsum(_at_most(elapsed, gap))
    left, right = hands[:-1], hands[1:]
    wide = clock[right - 1] - clock[left] > gap - _ROUNDING
    middles = (left[wide] + right[wide] + 1) // 2
    return list(zip([0, *middles.tolist()], [*middles.tolist(), len(seen)]))


def _divided(seen: np.ndarray, first: int, end: int) -> list[tuple[int, int]]:
    """A part of a recording, in as few parts as have at most 384 frames from their first to their last hand, evenly."""
    hands = first + np.flatnonzero(seen[first:end])
    length = int(hands[-1] + 1 - hands[0]) if hands.size else 0
    borders = [int(hands[0]) + border for border, _ in _equal(length, -(-length // MAX_FRAMES) or 1)[1:]]
    return list(zip([first, *borders], [*borders, end]))


def _equal(length: int, count: int) -> list[tuple[int, int]]:
    """`count` equal parts of `length` frames, first and end frame."""
    borders = [length * number // count for number in range(count + 1)]
    return list(zip(borders, borders[1:]))


def _joined(whole: Reading, parts: list[Reading]) -> Reading:
    """The readings of a sequence's parts as one: their texts in a row, as sure as they are on average over the frames."""
    known = np.nan_to_num([(part.confidence, part.certainty) for part in parts])                 # NaN: the part shows no hand
    confidence, certainty = np.average(known, axis=0, weights=[part.length for part in parts]).tolist()
    return replace(whole, spelled="".join(part.spelled for part in parts), certainty=certainty,
                   confidence=UNKNOWN if np.isnan(whole.confidence) else confidence,
                   probabilities=np.concatenate([part.probabilities for part in parts]), parts=len(parts),
                   milliseconds=sum(part.milliseconds for part in parts))


def _overlong(seen: np.ndarray, longest: int | None) -> tuple[int, int]:
    """How many frames to cut at a sequence's beginning and end so that each has at most `longest` without a hand.

    seen: bool (T,), where a hand is seen. Nothing is cut without a limit or a hand, and what is left is long enough to be read.
    """
    if longest is None or not seen.any():
        return 0, 0
    begin, end = (max(int(order.argmax()) - longest, 0) for order in (seen, seen[::-1]))
    excess = max(min(MIN_FRAMES, len(seen)) - (len(seen) - begin - end), 0)
    back = min(excess, end)
    return begin - (excess - back), end - back


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


def _known(columns: list[str], path: Path) -> list[str]:
    """The columns that the file selects, if they are MediaPipe Holistic's."""
    unknown = set(columns) - set(ALL_COLUMNS)
    if unknown:
        raise UserError(f"{path} selects {sorted(unknown)[0]}, which is not a MediaPipe Holistic column")
    return columns
