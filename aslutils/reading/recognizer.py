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
from dataclasses import replace
from pathlib import Path

import numpy as np

from aslutils.reading.division import PHRASE_GAP, between_gaps, check_gap, divided, equal, overlong, part_count, passed
from aslutils.reading.landmark_files import as_columns
from aslutils.reading.result import Reading, join, spelled
from aslutils.reading.stream import READ_EVERY, Stream
from aslutils.reading.tflite import OUTPUT, Model
from aslutils.system.errors import UserError
from aslutils.system.inputs import JSON_LIMIT, read_text
from aslutils.task.arguments import NAME, Arguments
from aslutils.task.landmarks import ALL_COLUMNS, hand_columns, hand_seen
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.rejection import UNKNOWN, Verdict, surer, verdict, verdict_on_answer
from aslutils.task.text import DUMMY_PHRASE

OWN_MODEL = Path(__file__).with_name("hands")      # the model that comes with the kit: an export, with its card
FLAT = 1e-3                                        # how far hands' z differ at most without depth; recorded, by 0.08 and more


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
        count = part_count(len(whole.spelled), self.usual_characters, len(given))
        if count < 2:
            return whole
        parts = [self._read(given[first:end]) for first, end in equal(len(given), count)]
        joined = join(whole, parts)
        complete = all(part.verdict in (Verdict.READ, Verdict.NO_HANDS) for part in parts)
        chosen = joined if complete and surer(joined.certainty, whole.certainty) else whole
        return replace(chosen, milliseconds=whole.milliseconds + joined.milliseconds)

    def _read(self, inputs: np.ndarray) -> Reading:
        """Read columns (T, n) once."""
        start = time.perf_counter()
        seen = hand_seen(inputs, self.columns)
        cut = overlong(seen, self.usual_end)
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
        rejects = not probabilities.any() if "probabilities" in answer else text == DUMMY_PHRASE       # the dummy phrase's are 0
        written = 0 if rejects else len(text)
        found = verdict_on_answer(len(inputs), int(seen.sum()), confidence, certainty, written, self.limits)
        if found is not Verdict.READ:
            text, probabilities = "", probabilities[:0]
        return Reading(found, text, confidence, certainty, probabilities, len(inputs), cut, milliseconds)

    def phrases(self, landmarks, gap: int = PHRASE_GAP, elapsed=1.0) -> list[Reading]:
        """Read a long recording phrase by phrase: it is split where no hand is seen for `gap` frames, as a stream of it would be.

        What is still longer from the first to the last hand than the model takes is divided evenly, and frames without a hand
        beyond `gap` at the ends are left out.

        landmarks: as for `read`; gap: 0 takes it as one phrase; elapsed: as for `Stream.add`, of all frames or of each (T,).
        Returns at least one reading. Raises UserError as `read`, `stream` and `Stream.add` do.
        """
        inputs = as_columns(landmarks, self.columns)
        elapsed = passed(elapsed, len(inputs))
        check_gap(gap)
        if gap == 0:
            return [self.read(inputs)]
        seen = hand_seen(inputs, self.columns)
        parts = between_gaps(seen, gap, np.broadcast_to(elapsed, len(seen)))
        return [self.read(inputs[first:end]) for part in parts for first, end in divided(seen, *part, self.longest)]

    @property
    def longest(self) -> int:
        """The most frames that the model takes without thinning them."""
        return MAX_FRAMES if self.model.frames == -1 else min(self.model.frames, MAX_FRAMES)

    def _deep(self, inputs: np.ndarray) -> bool:
        """Whether hands have a depth, z: handshapes differ in it, and standardising makes noise of what is constant."""
        chosen = hand_columns("z", self.columns)
        depths = inputs[:, chosen]
        depths = depths[np.isfinite(depths)]
        return not chosen.any() or (depths.size > 0 and np.ptp(depths) > FLAT)

    def stream(self, every: int = READ_EVERY, window: int | None = None, gap: int = PHRASE_GAP) -> Stream:
        """A stream that reads the frames of a phrase after every `every` frames.

        gap: frames in a row without a hand that end a phrase, at 30 a second; window: frames from its first to its last hand
        that end it too; None: as many as the model takes. With a gap of 0 a phrase never ends by itself, and its last `window`
        frames are read.
        """
        return Stream(self, every, self.longest if window is None else window, gap)


def _known(columns: list[str], path: Path) -> list[str]:
    """The columns that the file selects, if they are MediaPipe Holistic's."""
    unknown = set(columns) - set(ALL_COLUMNS)
    if unknown:
        raise UserError(f"{path} selects {sorted(unknown)[0]}, which is not a MediaPipe Holistic column")
    return columns
