"""A hand being read: a recording as it moves, and under it what an exported model reads from the frames so far.

    python -m aslutils.plots.reading datamount/demo/export FILE.parquet SEQUENCE_ID OUT.png
"""

import argparse
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from aslutils.plots.motion import as_png, draw_pictures
from aslutils.plots.style import FAINT, INK, PAPER
from aslutils.reading.landmark_files import as_columns
from aslutils.reading.recognizer import Reading, Recognizer
from aslutils.system.files import atomic
from aslutils.task.landmarks import COLUMNS
from aslutils.task.preprocess import as_frames

ZOOM = 2                                          # of the moving skeleton's pictures: sharp on any screen
FOOT, MARGIN = 150, 40                            # pixels under them, for the text, and beside it
MILLISECONDS, LAST = 100, 2500                    # that a frame stays (a third of true speed), and the last one


def reading(recognizer: Recognizer, landmarks, sequence_id: int | None = None) -> bytes:
    """An animated PNG of a recording being read; landmarks and sequence_id: as `Recognizer.read` takes them.

    Under every frame stands what `Recognizer.stream` answers when that frame has come: text and confidence, or why there is no
    text yet. The last frame comes first, for viewers that show one picture.
    """
    columns = as_columns(landmarks, COLUMNS, sequence_id)
    stream = recognizer.stream(every=1)
    readings = [stream.add(frame) for frame in as_columns(landmarks, recognizer.columns, sequence_id)]
    pictures = draw_pictures(as_frames(columns), range(len(columns)), ZOOM)
    signed = [_with_text(picture, reading) for picture, reading in zip(pictures, readings, strict=True)]
    return as_png([signed[-1], *signed[:-1]], [LAST, *[MILLISECONDS] * (len(signed) - 1)])


def _with_text(picture: Image.Image, reading: Reading) -> Image.Image:
    """A picture on a taller sheet, under it the text or the reason."""
    sheet = Image.new("RGB", (picture.width, picture.height + FOOT), PAPER)
    sheet.paste(picture)
    draw, left, right, middle = ImageDraw.Draw(sheet), MARGIN, picture.width - MARGIN, picture.height + FOOT // 2
    if reading.text is None:
        draw.text((left, middle), reading.reason, FAINT, _font("DejaVu Sans", 32), "lm")
        return sheet
    size = min(84, int((right - left) / max(len(reading.text), 1) / 0.61))       # a character is 0.6 sizes wide
    draw.text((left, middle), reading.text, INK, _font("DejaVu Sans Mono", size), "lm")
    if reading.confidence is not None and len(reading.text) < 13:                # beside a longer text there is no room
        draw.text((right, middle), f"confidence {reading.confidence:.2f}", FAINT, _font("DejaVu Sans", 26), "rm")
    return sheet


def _font(family: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont(family), size)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(prog="python -m aslutils.plots.reading", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of an export, or its .tflite file")
    parser.add_argument("file", type=Path, help=".parquet in competition columns")
    parser.add_argument("sequence_id", type=int, help="the recording")
    parser.add_argument("out", type=Path, help="the animated PNG to write")
    options = parser.parse_args(arguments)
    with atomic(options.out) as temporary:
        temporary.write_bytes(reading(Recognizer(options.model), options.file, options.sequence_id))


if __name__ == "__main__":
    main()
