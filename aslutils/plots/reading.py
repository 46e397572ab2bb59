"""An animation of a sequence, with an exported model's prediction from the frames so far below it.

    python -m aslutils read datamount/demo/export FILE.parquet --sequence ID --picture OUT.png
"""

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from aslutils.plots.motion import as_png, draw_pictures
from aslutils.plots.style import FAINT, INK, PAPER
from aslutils.reading.landmark_files import as_columns
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.result import Reading
from aslutils.task.landmarks import COLUMNS
from aslutils.task.preprocess import as_landmarks

ZOOM = 2                                          # of the skeleton's pictures, to be sharp on any screen
FOOT, MARGIN = 150, 40                            # pixels: height of the text area, margin beside the text
MILLISECONDS, LAST = 100, 2500                    # duration of a frame (a third of true speed) and of the last one


def reading(recognizer: Recognizer, landmarks, sequence_id: int | None = None) -> bytes:
    """An animated PNG of a sequence being read; landmarks and sequence_id: as for `Recognizer.read`.

    Below every frame is what `Recognizer.stream` returns after that frame, and below the last one what `Recognizer.read` does:
    text and confidence, or why there is no text yet. The last frame comes first, for viewers that show only one picture.
    """
    columns = as_columns(landmarks, COLUMNS, sequence_id)
    stream = recognizer.stream(every=1, gap=0)
    readings = [stream.add(frame) for frame in as_columns(landmarks, recognizer.columns, sequence_id)[:-1]]
    readings.append(recognizer.read(landmarks, sequence_id))
    pictures = draw_pictures(as_landmarks(columns), range(len(columns)), ZOOM)
    signed = [_with_text(picture, reading) for picture, reading in zip(pictures, readings, strict=True)]
    return as_png([signed[-1], *signed[:-1]], [LAST, *[MILLISECONDS] * (len(signed) - 1)])


def _with_text(picture: Image.Image, reading: Reading) -> Image.Image:
    """A picture with the text, or the reason for rejection, below it."""
    sheet = Image.new("RGB", (picture.width, picture.height + FOOT), PAPER)
    sheet.paste(picture)
    draw, left, right, middle = ImageDraw.Draw(sheet), MARGIN, picture.width - MARGIN, picture.height + FOOT // 2
    if reading.text is None:
        draw.text((left, middle), reading.reason, FAINT, _font("DejaVu Sans", 32), "lm")
        return sheet
    size = min(84, int((right - left) / max(len(reading.text), 1) / 0.61))       # a character is 0.6 sizes wide
    draw.text((left, middle), reading.text, INK, _font("DejaVu Sans Mono", size), "lm")
    if not np.isnan(reading.confidence) and len(reading.text) < 13:                # does not fit beside a longer text
        draw.text((right, middle), f"confidence {reading.confidence:.2f}", FAINT, _font("DejaVu Sans", 26), "rm")
    return sheet


def _font(family: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont(family), size)
