"""A strip of a clip's pictures with the skeleton and the predicted text. Needs only pillow."""

import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aslutils.reading.landmark_files import as_columns
from aslutils.reading.result import Reading
from aslutils.system.files import atomic
from aslutils.task.colours import OVER_PHOTO
from aslutils.task.landmarks import BONES, COLUMNS, HANDS
from aslutils.task.preprocess import as_landmarks

KEPT, SHOWN = 64, 8                # minimum number of small pictures kept of a long clip; number in its strip
HEIGHT, GAP = 360, 6               # in pixels: height of a small picture, space between two
SIZE, LINES = 32, 12               # of a strip's text: pixels, most lines

Pictures = dict[int, tuple[Image.Image, np.ndarray]]     # frame -> a small picture of it and its landmarks (543, 3), of some


def keep(pictures: Pictures, frame: int, picture: np.ndarray, landmarks: np.ndarray):
    """Keep a small picture of every n-th frame; n doubles as the clip grows, so that 64 to 128 are kept of a long one."""
    every = 1 << (frame // (2 * KEPT)).bit_length()
    if frame % every == 0:
        height, width = picture.shape[:2]
        size = max(1, round(HEIGHT * width / height)), HEIGHT
        pictures[frame] = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR), landmarks
        for other in [other for other in pictures if other % every]:
            del pictures[other]


def draw_strip(pictures: Pictures, text: str) -> Image.Image:
    """Pictures of a clip with the skeleton, from frames with a hand if there are any, and the text below."""
    shown = [(picture, _drawn_points(landmarks)) for _, (picture, landmarks) in sorted(pictures.items())]
    shown = [(picture, points) for picture, points in shown if np.isfinite(points[HANDS]).any()] or shown
    chosen = [shown[index] for index in np.unique(np.linspace(0, len(shown) - 1, SHOWN).round().astype(int))]
    drawn = [_with_skeleton(picture, points) for picture, points in chosen]
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


def write_strip(path: Path, pictures: Pictures, readings: list[Reading]):
    """Write a strip of a clip's pictures with its readings to a PNG file."""
    with atomic(path) as temporary:
        draw_strip(pictures, "   ".join(map(str, readings))).save(temporary, "PNG")


def _drawn_points(landmarks: np.ndarray) -> np.ndarray:
    """x and y (130, 2) of the points that the model reads, of a frame's (543, 3)."""
    return as_landmarks(as_columns(landmarks[None], COLUMNS))[0, :, :2]


def _with_skeleton(picture: Image.Image, points: np.ndarray) -> Image.Image:
    """The picture with bones drawn between those of its points (130, 2) that are seen."""
    drawn, points = picture.copy(), points * picture.size
    draw = ImageDraw.Draw(drawn)
    for part, colour in OVER_PHOTO.items():
        for bone in points[BONES[part]]:
            if np.isfinite(bone).all():
                draw.line(bone.ravel().tolist(), fill=colour, width=3 if "hand" in part else 1)
    return drawn
