"""Landmarks of a video or camera from MediaPipe Holistic.

    from aslutils.reading.video import read_clip

    reading = recognizer.read(read_clip("clip.mp4").landmarks)

Needs the environment of requirements-video.txt. Do not mirror the pictures: Holistic tells left from right by the body, and in
the competition's sequences a right-handed participant signs with the right hand.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aslutils.reading.division import RATE
from aslutils.reading.landmark_files import as_columns, holistic
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.result import Reading
from aslutils.reading.strip import Pictures, keep
from aslutils.system.errors import MissingPackage, UserError
from aslutils.system.progress import aside, progress
from aslutils.task.landmarks import COLUMNS, hand_seen

INSTALL = ("videos are read by MediaPipe, in an environment of its own: python3 -m venv .venv-video && "
           ".venv-video/bin/pip install -r requirements-video.txt, then .venv-video/bin/python -m aslutils read ...")
FASTEST = 480                      # frames per second; a higher rate in the file is not the true one
WHOLE = 0.9                        # share of a video's announced frames that must be readable
COMPUTED = ".mkv", ".webm"         # these files do not store how many frames they have: what is announced is duration times rate
_ROUNDING = 1e-6                   # of times
_ADAPTING = 0.1                    # share of the newest one in how far frames are usually apart

Watch = Callable[[np.ndarray, float], str]     # see `watch_video`


@dataclass(frozen=True)
class Clip:
    """The MediaPipe Holistic landmarks of a video."""

    landmarks: np.ndarray              # float32 (T, 543, 3): face, left hand, pose, right hand; NaN where not seen
    elapsed: np.ndarray                # (T,): thirtieths of a second since the frame before
    pictures: Pictures


def read_clip(source: str | Path, watch: Watch = lambda *_: "") -> Clip:
    """Landmarks of a video, or of a camera until Ctrl-C. Takes what `watch_video` takes, and raises as it does."""
    frames = []

    def gather(landmarks: np.ndarray, elapsed: float) -> str:
        frames.append((landmarks, elapsed))
        return watch(landmarks, elapsed)

    pictures = watch_video(source, gather)
    landmarks, elapsed = map(np.array, zip(*frames))
    return Clip(landmarks, elapsed, pictures)


def watch_video(source: str | Path, watch: Watch) -> Pictures:
    """Find the landmarks of a video, or of a camera until Ctrl-C, at up to about 30 frames a second.

    source: a video file, a camera number, or `webcam` for the first camera. watch: called with each frame's landmarks (543, 3)
    and the thirtieths of a second since the one before; the text it returns is shown beside the progress bar. x and y are
    fractions of the picture's width and height; the aspect ratio does not matter, since the model standardises each coordinate.
    Of faster pictures those nearest to 30 a second are read; of a camera, as many as Holistic can process. Returns some of the
    pictures with their landmarks, and keeps no others, so a camera can be watched for hours.
    Raises FileNotFoundError, ImportError without MediaPipe, ValueError if the source cannot be read or shows no hands.
    """
    source, camera = str(source), camera_number(source)
    if camera is None and not Path(source).is_file():
        raise FileNotFoundError(f"there is no file {source}")
    try:
        import cv2
        from mediapipe.python.solutions.holistic import Holistic
    except ImportError as error:
        raise MissingPackage(f"{source} was not read ({error}); {INSTALL}") from error
    count, body, hands, pictures = 0, False, False, {}
    with _silent_libraries(), Holistic() as model:
        capture = cv2.VideoCapture(source if camera is None else camera)
        if not capture.isOpened():
            raise UserError(f"{source} is not a video, or is damaged: it cannot be opened" if camera is None else
                             f"camera {camera} cannot be opened")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)          # phones store upright videos rotated, with a rotation tag
        rate = capture.get(cv2.CAP_PROP_FPS)
        announced = announced_frames(rate, capture.get(cv2.CAP_PROP_FRAME_COUNT))
        moments = file_moments(lambda: capture.get(cv2.CAP_PROP_POS_MSEC), rate) if camera is None else camera_moments()
        with progress(total=announced, what=Path(source).name, unit="frames") as bar:
            try:
                for picture, apart, number in thinned(capture, moments):
                    found = holistic([model.process(picture)])[0]
                    keep(pictures, count, picture, found)
                    count += 1
                    columns = as_columns(found[None], COLUMNS)
                    body, hands = body or np.isfinite(columns).any(), hands or hand_seen(columns, COLUMNS)[0]
                    bar.set_postfix_str(watch(found, apart), refresh=False)
                    bar.update(number - bar.n)
            except KeyboardInterrupt:
                if camera is None:
                    raise
            finally:
                capture.release()
    if not count:
        raise UserError(f"{source} has no readable frames")
    if announced and cut_short(number, count, announced) and Path(source).suffix.lower() not in COMPUTED:
        raise UserError(f"{source} is damaged or cut short: {number} of {announced} frames could be read")
    if not hands:
        raise UserError(f"{source}: no hands seen" + (", only a face or body" if body else ""))
    return pictures


def read_video(recognizer: Recognizer, source: str, tell: Callable[[Reading], None]) -> tuple[list[Reading], Pictures]:
    """Read a video or camera phrase by phrase, with the current text beside the progress bar. Raises as `watch_video` does.

    tell: called with each reading; of a camera when its phrase has ended, of a file at its end, since long phrases are divided
    evenly there.
    """
    stream, readings = recognizer.stream(), []

    def told(reading: Reading):
        readings.append(reading)
        tell(reading)

    def watch(frame: np.ndarray, elapsed: float) -> str:
        reading = stream.add(frame, elapsed)
        if reading and reading.complete and camera is not None:
            with aside():
                told(reading)
        return str(reading or stream.reading or "")

    camera = camera_number(source)
    if camera is None:
        clip = read_clip(source, watch)
        for reading in recognizer.phrases(clip.landmarks, elapsed=clip.elapsed):
            told(reading)
        return readings, clip.pictures
    pictures = watch_video(source, watch)
    if stream.begun:
        told(stream.finish())
    return readings, pictures


def camera_number(source: str | Path) -> int | None:
    """The number of a camera that is named by it or as `webcam`; None for a file."""
    source = str(source)
    return 0 if source == "webcam" else int(source) if source.isdecimal() else None


def announced_frames(rate: float, count: float) -> int | None:
    """How many frames a file of `rate` frames a second says it has; None if it does not, or computes them from a clock's rate."""
    return int(count) if count > 0 and not rate > FASTEST else None


def cut_short(last: int, read: int, announced: int) -> bool:
    """Whether a file ends clearly before the frames that it announces; `last` is the number of the last of those `read`."""
    return last + last / read < WHOLE * announced      # as many as lie between two that are read may follow the last


def file_moments(position: Callable[[], float], rate: float) -> Iterator[float]:
    """When each frame of a file is shown, in seconds: at its `position()` in milliseconds, or by the rate if that stands still.

    rate: as the file reports it, 0 or its clock's if it has none; then 30 a second are assumed.
    """
    usual, now = 1 / (rate if 0 < rate <= FASTEST else RATE), None
    while True:
        told = position() / 1000
        now = told if now is None or told > now else now + usual
        yield now


def camera_moments() -> Iterator[float]:
    """When each frame of a camera came, in seconds."""
    while True:
        yield time.monotonic()


def thinned(capture, moments: Iterator[float]) -> Iterator[tuple[np.ndarray, float, int]]:
    """The pictures of a capture that are nearest to 30 a second, all of a slower one, until it ends or cannot be decoded.

    moments: when each frame comes, in seconds. Yields the picture, uint8 (height, width, 3) as RGB; thirtieths of a second since
    the one before; and how many frames there were until then.
    """
    number, before, apart, last = 0, None, 1 / RATE, None
    while capture.grab():
        now, number = next(moments), number + 1
        if before is not None:
            apart += (now - before - apart) * (1.0 if number == 2 else _ADAPTING)
        before = now
        if last is not None and now + apart / 2 < last + (1 - _ROUNDING) / RATE:      # the next one is usually nearer
            continue
        decoded, picture = capture.retrieve()
        if not decoded:
            return
        yield np.ascontiguousarray(picture[..., ::-1]), 1.0 if last is None else RATE * (now - last), number
        last = now


@contextmanager
def _silent_libraries():
    """Hide what MediaPipe and OpenCV write to the terminal outside Python; Python's own stderr still reaches it."""
    with open(os.dup(2), "w", encoding="utf-8") as terminal, open(os.devnull, "w") as nowhere, redirect_stderr(terminal):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal.fileno(), 2)
