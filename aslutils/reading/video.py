"""Landmarks of a video or camera from MediaPipe Holistic, and a strip of its pictures with the predicted text.

    from aslutils.reading.video import read_clip

    reading = recognizer.read(read_clip("clip.mp4").landmarks)

Reading needs the environment of requirements-video.txt; drawing the strip needs only pillow. Do not mirror the pictures: Holistic
tells left from right by the body, and in the competition's sequences a right-handed participant signs with the right hand.
"""

import os
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aslutils.reading.division import RATE
from aslutils.reading.landmark_files import as_columns, holistic
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.result import Reading
from aslutils.system.errors import MissingPackage, UserError
from aslutils.system.files import atomic
from aslutils.system.progress import progress
from aslutils.task.colours import OVER_PHOTO
from aslutils.task.landmarks import BONES, COLUMNS, HANDS
from aslutils.task.preprocess import as_landmarks

INSTALL = ("videos are read by MediaPipe, in an environment of its own: python3 -m venv .venv-video && "
           ".venv-video/bin/pip install -r requirements-video.txt, then .venv-video/bin/python -m aslutils read ...")
FASTEST = 480                      # frames per second; a higher rate in the file is not the true one
WHOLE = 0.9                        # share of a video's announced frames that must be readable
COMPUTED = ".mkv", ".webm"         # these files do not store how many frames they have: what is announced is duration times rate
KEPT, SHOWN = 64, 8                # minimum number of small pictures kept of a long clip; number in its strip
HEIGHT, GAP = 360, 6               # in pixels: height of a small picture, space between two
SIZE, LINES = 32, 12               # of a strip's text: pixels, most lines
_ROUNDING = 1e-6                   # of times
_ADAPTING = 0.1                    # share of the newest one in how far frames are usually apart


@dataclass(frozen=True)
class Clip:
    """The MediaPipe Holistic landmarks of a video."""

    landmarks: np.ndarray              # float32 (T, 543, 3): face, left hand, pose, right hand; NaN where not seen
    elapsed: np.ndarray                # (T,): thirtieths of a second since the frame before
    pictures: dict[int, Image.Image]   # frame -> a small picture of it, for some of the frames


def read_clip(source: str | Path, watch: Callable[[np.ndarray, float], str] = lambda *_: "") -> Clip:
    """Landmarks of a video, or of a camera until Ctrl-C, at up to about 30 frames a second.

    source: a video file, a camera number, or `webcam` for the first camera. watch: called with each frame's landmarks (543, 3)
    and the thirtieths of a second since the one before; the text it returns is shown beside the progress bar. x and y are
    fractions of the picture's width and height; the aspect ratio does not matter, since the model standardises each coordinate.
    Of faster pictures those nearest to 30 a second are read; of a camera, as many as Holistic can process.
    Raises FileNotFoundError, ImportError without MediaPipe, ValueError if the source cannot be read or shows no hands.
    """
    source = str(source)
    camera = 0 if source == "webcam" else int(source) if source.isdecimal() else None
    if camera is None and not Path(source).is_file():
        raise FileNotFoundError(f"there is no file {source}")
    try:
        import cv2
        from mediapipe.python.solutions.holistic import Holistic
    except ImportError as error:
        raise MissingPackage(f"{source} was not read ({error}); {INSTALL}") from error
    frames, pictures = [], {}
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
                    keep(pictures, len(frames), picture)
                    found = holistic([model.process(picture)])[0]
                    frames.append((found, apart))
                    bar.set_postfix_str(watch(found, apart), refresh=False)
                    bar.update(number - bar.n)
            except KeyboardInterrupt:
                if camera is None:
                    raise
            finally:
                capture.release()
    if not frames:
        raise UserError(f"{source} has no readable frames")
    if announced and cut_short(number, len(frames), announced) and Path(source).suffix.lower() not in COMPUTED:
        raise UserError(f"{source} is damaged or cut short: {number} of {announced} frames could be read")
    landmarks, elapsed = map(np.array, zip(*frames))
    seen = as_landmarks(as_columns(landmarks, COLUMNS))
    if np.isnan(seen[:, HANDS]).all():
        raise UserError(f"{source}: no hands seen" + ("" if np.isnan(seen).all() else ", only a face or body"))
    return Clip(landmarks, elapsed, {frame: small for frame, small in pictures.items() if frame < len(landmarks)})


def read_video(recognizer: Recognizer, source: str) -> tuple[list[Reading], Clip]:
    """Read a video or camera phrase by phrase, with the current text beside the progress bar. Raises as `read_clip` does."""
    stream = recognizer.stream()
    clip = read_clip(source, lambda frame, elapsed: str(stream.add(frame, elapsed) or stream.reading or ""))
    return recognizer.phrases(clip.landmarks, elapsed=clip.elapsed), clip


def write_strip(path: Path, clip: Clip, readings: list[Reading]):
    """Write a strip of the clip's pictures with its readings to a PNG file."""
    with atomic(path) as temporary:
        draw_strip(clip, "   ".join(map(str, readings))).save(temporary, "PNG")


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


def keep(pictures: dict[int, Image.Image], frame: int, picture: np.ndarray):
    """Keep a small picture of every n-th frame; n doubles as the clip grows, so that 64 to 128 are kept of a long one."""
    every = 1 << (frame // (2 * KEPT)).bit_length()
    if frame % every == 0:
        height, width = picture.shape[:2]
        size = max(1, round(HEIGHT * width / height)), HEIGHT
        pictures[frame] = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
        for other in [other for other in pictures if other % every]:
            del pictures[other]


def draw_strip(clip: Clip, text: str) -> Image.Image:
    """Pictures of a clip with the skeleton, from frames with a hand if there are any, and the text below."""
    points = as_landmarks(as_columns(clip.landmarks, COLUMNS))[..., :2]                            # (T, 130, 2)
    frames = [frame for frame in clip.pictures if np.isfinite(points[frame, HANDS]).any()] or list(clip.pictures)
    chosen = [frames[index] for index in np.unique(np.linspace(0, len(frames) - 1, SHOWN).round().astype(int))]
    drawn = [_with_skeleton(clip.pictures[frame], points[frame]) for frame in chosen]
    width, height = drawn[0].size
    across, down = width + GAP, height + GAP
    columns = min(len(drawn), SHOWN if width < height else SHOWN // 2)
    rows, font = -(-len(drawn) // columns), ImageFont.load_default(SIZE)
    character = 1.1 * font.getlength(text or " ") / max(len(text), 1)                              # a little more than the mean
    fitting = (max(columns * across, SHOWN * HEIGHT // 2) - 40) / character
    lines = textwrap.wrap(text, int(fitting), max_lines=LINES, placeholder=" ...") or [""]
    wide = max(columns * across, 40 + max(int(font.getlength(line)) for line in lines))
    strip = Image.new("RGB", (wide, rows * down + 20 + 40 * len(lines)), "white")
    for index, picture in enumerate(drawn):
        strip.paste(picture, (index % columns * across, index // columns * down))
    for number, line in enumerate(lines):
        ImageDraw.Draw(strip).text((20, rows * down + 30 + 40 * number), line, fill="black", font=font, anchor="lm")
    return strip


def _with_skeleton(picture: Image.Image, points: np.ndarray) -> Image.Image:
    """The picture with bones drawn between those of its points (130, 2) that are seen."""
    drawn, points = picture.copy(), points * picture.size
    draw = ImageDraw.Draw(drawn)
    for part, colour in OVER_PHOTO.items():
        for bone in points[BONES[part]]:
            if np.isfinite(bone).all():
                draw.line(bone.ravel().tolist(), fill=colour, width=3 if "hand" in part else 1)
    return drawn


@contextmanager
def _silent_libraries():
    """Hide what MediaPipe and OpenCV write to the terminal outside Python; Python's own stderr still reaches it."""
    with open(os.dup(2), "w", encoding="utf-8") as terminal, open(os.devnull, "w") as nowhere, redirect_stderr(terminal):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal.fileno(), 2)
