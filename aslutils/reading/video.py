"""A video or a camera as landmarks, by MediaPipe Holistic, and a strip of its pictures with what was read.

    from aslutils.reading.video import read_clip

    reading = recognizer.read(read_clip("clip.mp4").landmarks)

Reading needs the environment of requirements-video.txt, the strip pillow alone. Never mirror the pictures: Holistic tells left
from right by the body, and in the competition's recordings a right-handed signer's hand is the right one.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aslutils.reading.landmark_files import as_columns, holistic
from aslutils.system.progress import progress
from aslutils.task.landmarks import BONES, COLUMNS, HANDS
from aslutils.task.preprocess import as_frames

RATE = 30                          # frames a second that are read, about as many as the competition's recordings have
FASTEST = 480                      # frames a second; a video that says more does not know its rate
WHOLE = 0.9                        # of the frames that a video announces, the share that must be there
KEPT, SHOWN = 64, 8                # small pictures that are held of a long clip, at least; those in its strip
HEIGHT, GAP = 360, 6               # of a small picture, and between two, in pixels
COLOURS = {"pose": "#cccccc", "face": "#cccccc", "left_hand": "#56b4e9", "right_hand": "#ffb000"}   # bright: they lie on a photo


@dataclass(frozen=True)
class Clip:
    """What MediaPipe Holistic saw in a video."""

    landmarks: np.ndarray              # float32 (T, 543, 3): face, left hand, pose, right hand; NaN where not seen
    pictures: dict[int, Image.Image]   # frame -> a small picture of it, for some of the frames


def read_clip(source: str | Path, watch: Callable[[np.ndarray], str] = lambda frame: "") -> Clip:
    """A video's landmarks, from about 30 of its frames a second; a camera's, until Ctrl-C.

    source: a video file, a camera's number, or `webcam` for the first one. watch: called with each frame's landmarks (543, 3);
    the words that it returns stand beside the progress bar. x and y are shares of the picture's width and height; upright or
    wide is one to the model, which standardises each coordinate. A camera gives as many frames as Holistic keeps up with.
    Raises FileNotFoundError, ImportError without MediaPipe, ValueError for what cannot be read or shows no hands.
    """
    source = str(source)
    camera = 0 if source == "webcam" else int(source) if source.isdigit() else None
    if camera is None and not Path(source).is_file():
        raise FileNotFoundError(f"there is no file {source}")
    import cv2
    from mediapipe.python.solutions.holistic import Holistic

    frames, pictures = [], {}
    with _silent_libraries(), Holistic() as model:
        capture = cv2.VideoCapture(source if camera is None else camera)
        if not capture.isOpened():
            raise ValueError(f"{source} is no video, or is damaged: it cannot be opened" if camera is None else
                             f"there is no camera {camera} that can be opened")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)          # phones write upright pictures lying, with a note to turn them
        step, announced = sampling(capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT))
        with progress(total=announced, what=Path(source).name, unit="frames") as bar:
            try:
                for picture in _pictures(capture, step):
                    keep(pictures, len(frames), picture)
                    frames.append(holistic([model.process(picture)])[0])
                    bar.set_postfix_str(watch(frames[-1]), refresh=False)
                    bar.update()
            except KeyboardInterrupt:
                if camera is None:
                    raise
            finally:
                capture.release()
    if not frames:
        raise ValueError(f"{source} gives no pictures")
    if announced and len(frames) < WHOLE * announced:
        raise ValueError(f"{source} is damaged or cut short: {len(frames)} of {announced} frames could be read")
    landmarks = np.array(frames)
    seen = as_frames(as_columns(landmarks, COLUMNS))
    if np.isnan(seen[:, HANDS]).all():
        raise ValueError(f"{source}: no hands seen" + ("" if np.isnan(seen).all() else ", only a face or body"))
    return Clip(landmarks, {frame: small for frame, small in pictures.items() if frame < len(landmarks)})


def sampling(rate: float, count: float) -> tuple[int, int | None]:
    """Which frame in how many is read of a video of `rate` frames a second and `count` frames, and how many that makes.

    Files without a true rate say 0 or their clock's; every frame of theirs is read. None where the count is unknown, or was
    computed from a clock's rate.
    """
    step = max(1, round(rate / RATE)) if 0 < rate <= FASTEST else 1
    return step, -(-int(count) // step) if count > 0 and not rate > FASTEST else None


def keep(pictures: dict[int, Image.Image], frame: int, picture: np.ndarray):
    """Keep a small picture of every n-th frame; n doubles as the clip grows, so that 64 to 128 are held of a long one."""
    every = 1 << (frame // (2 * KEPT)).bit_length()
    if frame % every == 0:
        height, width = picture.shape[:2]
        size = max(1, round(HEIGHT * width / height)), HEIGHT
        pictures[frame] = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
        for other in [other for other in pictures if other % every]:
            del pictures[other]


def draw_strip(clip: Clip, text: str) -> Image.Image:
    """Pictures of a clip with the skeleton, those where a hand is seen if there are any, and the text below."""
    points = as_frames(as_columns(clip.landmarks, COLUMNS))[..., :2]                            # (T, 130, 2)
    frames = [frame for frame in clip.pictures if np.isfinite(points[frame, HANDS]).any()] or list(clip.pictures)
    chosen = [frames[index] for index in np.unique(np.linspace(0, len(frames) - 1, SHOWN).round().astype(int))]
    drawn = [_with_skeleton(clip.pictures[frame], points[frame]) for frame in chosen]
    width, height = drawn[0].size
    across, down = width + GAP, height + GAP
    columns = min(len(drawn), SHOWN if width < height else SHOWN // 2)
    rows, font = -(-len(drawn) // columns), ImageFont.load_default(32)
    strip = Image.new("RGB", (max(columns * across, int(font.getlength(text)) + 40), rows * down + 60), "white")
    for index, picture in enumerate(drawn):
        strip.paste(picture, (index % columns * across, index // columns * down))
    ImageDraw.Draw(strip).text((20, rows * down + 30), text, fill="black", font=font, anchor="lm")
    return strip


def _with_skeleton(picture: Image.Image, points: np.ndarray) -> Image.Image:
    """The picture with the bones between its points (130, 2) that are seen."""
    drawn, points = picture.copy(), points * picture.size
    draw = ImageDraw.Draw(drawn)
    for part, colour in COLOURS.items():
        for bone in points[BONES[part]]:
            if np.isfinite(bone).all():
                draw.line(bone.ravel().tolist(), fill=colour, width=3 if "hand" in part else 1)
    return drawn


def _pictures(capture, step: int):
    """Every step-th picture of a capture, uint8 (height, width, 3) as RGB, until it ends or breaks off."""
    index = 0
    while capture.grab():
        if index % step == 0:
            decoded, picture = capture.retrieve()
            if not decoded:
                return
            yield np.ascontiguousarray(picture[..., ::-1])
        index += 1


@contextmanager
def _silent_libraries():
    """Keep off the terminal what MediaPipe and OpenCV write there past Python; our own lines still reach it."""
    with open(os.dup(2), "w", encoding="utf-8") as terminal, open(os.devnull, "w") as nowhere, redirect_stderr(terminal):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal.fileno(), 2)
