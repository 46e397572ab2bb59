"""Read a live stream of frames, phrase by phrase: `Recognizer.stream` makes one."""

from dataclasses import replace

import numpy as np

from aslutils.reading.division import PAUSE, at_most, check_gap, is_gap, passed
from aslutils.reading.landmark_files import as_columns
from aslutils.reading.result import Reading
from aslutils.system.errors import UserError
from aslutils.task.landmarks import hand_seen

READ_EVERY = 15                                    # frames between two readings


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

    def __init__(self, recognizer, every: int, window: int, gap: int):         # of a Recognizer: its columns and read
        if every < 1 or window < 1:
            raise UserError(f"every is {every} and window {window} frames; both must be at least 1")
        check_gap(gap)
        self.recognizer, self.every, self.window, self.gap = recognizer, every, window, gap
        self.start()

    def start(self):
        """Forget all frames: the next one begins a new phrase."""
        self._frames, self._added, self._before, self._unseen, self._away, self.reading = [], 0, 0, None, 0.0, None

    @property
    def begun(self) -> bool:
        """Whether a hand was seen in the current phrase."""
        return self._unseen is not None

    def add(self, frame, elapsed: float = 1.0) -> Reading | None:
        """Add a frame, (390,), (543, 3) or a Holistic result; returns the new reading when one is due, otherwise None.

        elapsed: thirtieths of a second since the frame before. A reading is `complete` when its phrase has ended, with this frame
        or, after a pause of five seconds or more, before it.
        Raises UserError stating what was expected.
        """
        elapsed = float(passed(elapsed))
        paused = self.finish() if self.gap and self.begun and elapsed >= PAUSE else None
        frames = [frame] if hasattr(frame, "pose_landmarks") else np.asarray(frame)[None]
        columns = as_columns(frames, self.recognizer.columns)
        if hand_seen(columns, self.recognizer.columns)[0]:
            self._before = self._before if self.begun else len(self._frames)
            self._unseen, self._away = 0, 0.0
        elif self.begun:
            self._unseen += 1
            self._away += at_most(elapsed, self.gap)
        self._frames.append(columns[0].copy())                                   # the caller may fill its array anew
        if not self.gap:
            del self._frames[:-self.window]
        elif not self.begun:                                                     # no more before a hand than a gap has
            del self._frames[:-self.gap]
        self._added += 1
        full = self.begun and len(self._frames) - self._before - self._unseen >= self.window
        if self.gap and (full or is_gap(self._away, self.gap)):
            return self.finish()
        if paused or self._added % self.every:
            return paused
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
