"""The moving skeleton: a sequence as a small animated picture inside an HTML page."""

import base64
import html
import io

import numpy as np
from PIL import Image, ImageDraw

from aslutils.plots.hands import ASPECT, close_ups, in_picture, signing_hand
from aslutils.plots.style import FAINT, GRID, GROUND, PART_COLOURS
from aslutils.task.colours import BONE_COLOURS
from aslutils.task.landmarks import BONES, HAND_BONES

BODY, HAND, HEIGHT = 230, 290, 290               # pixels: widths of the two views, and their height
OVERSAMPLING = 2                                 # drawn larger, then shrunk for smooth lines
MOST_PICTURES = 60                               # of an animation; a longer sequence skips more frames
COLOURS = 24                                     # of its palette
WIDTHS = {"pose": 2.2, "face": 1.2, "left_hand": 2.0, "right_hand": 2.0}


def skeleton(frames: np.ndarray, phrase: str = "", fps: float = 15, every: int = 2):
    """An animation of a sequence: the signer, and a close-up of the signing hand.

    frames: (T, 130, 3) as recorded, NaN where not seen; every: shows every n-th frame; fps: pictures per second (a phone
    records about 30 frames per second, so every second frame at 15 is true speed). A long sequence shows fewer pictures, at the
    same speed. Returns IPython HTML that contains the animation, without scripts.
    """
    from IPython.display import HTML

    stride = max(every, -(-len(frames) // MOST_PICTURES))
    pictures = draw_pictures(frames, range(0, len(frames), stride))
    data = base64.b64encode(as_png(pictures, 1000 / fps * stride / every)).decode()
    caption = html.escape(phrase) if phrase else "a sequence"
    return HTML(f'<figure style="margin:0.5em 0;max-width:{BODY + HAND}px">'
                f'<img src="data:image/png;base64,{data}" alt="a person fingerspelling {caption}, as landmarks" '
                'style="max-width:100%;border-radius:6px">'
                f'<figcaption style="font-family:monospace;font-size:1.1em">{caption}</figcaption></figure>')


def as_png(pictures: list[Image.Image], milliseconds: float | list[float]) -> bytes:
    """Pictures as a looping animated PNG, which is two thirds of a GIF's size; browsers and notebooks show it.

    milliseconds: duration of each picture, or a list of durations.
    """
    palette = pictures[0].quantize(COLOURS) if len(pictures) < 2 else _common_palette(pictures)
    reduced = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    buffer = io.BytesIO()
    reduced[0].save(buffer, "PNG", save_all=True, append_images=reduced[1:], duration=milliseconds, loop=0, optimize=True)
    return buffer.getvalue()


def _common_palette(pictures) -> Image.Image:
    sample = pictures[::max(1, len(pictures) // 6)]
    sheet = Image.new("RGB", (sample[0].width, sample[0].height * len(sample)))
    for index, picture in enumerate(sample):
        sheet.paste(picture, (0, index * picture.height))
    return sheet.quantize(COLOURS)


def draw_pictures(frames: np.ndarray, chosen, zoom: int = 1) -> list[Image.Image]:
    """One picture for each of the `chosen` frames, the signer left, the hand right; a blank one if there are none.

    frames: as in `skeleton`; zoom: enlarges the pictures of (BODY + HAND) x HEIGHT pixels.
    """
    points = in_picture(frames)
    hand, seen = signing_hand(frames)
    close = np.full((len(frames), 21, 2), np.nan)
    close[seen] = close_ups(points[np.ix_(seen.nonzero()[0], hand)])
    body = _fit(points)
    return [_draw(points[index], close[index] if seen[index] else None, body, index / max(1, len(frames) - 1), zoom)
            for index in chosen] or [_draw(np.full((130, 2), np.nan), None, body, 0, zoom)]


def _fit(points: np.ndarray):
    """A map from points to pixels of the body view; fits the points within the camera's picture (MediaPipe guesses the rest)."""
    seen = points[((points >= 0) & (points <= (ASPECT, 1))).all(-1)]
    low, high = (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(2), np.ones(2))
    size = max(*(high - low) / (BODY, HEIGHT), 1e-6) * 1.08
    return lambda xy: (xy - (low + high) / 2) / size + (BODY / 2, HEIGHT / 2)


def _draw(points, close, body, share: float, zoom: int) -> Image.Image:
    scale = OVERSAMPLING * zoom
    picture = Image.new("RGB", (scale * (BODY + HAND), scale * HEIGHT), GROUND)
    draw = ImageDraw.Draw(picture)
    pixels = body(points) * scale
    for part in ("pose", "face", "left_hand", "right_hand"):
        for a, b in BONES[part]:
            _line(draw, pixels[a], pixels[b], PART_COLOURS[part], WIDTHS[part] * scale)
    draw.rectangle([scale * BODY, 0, scale * (BODY + HAND), scale * HEIGHT], fill=GROUND)
    draw.line([scale * BODY, 0, scale * BODY, scale * HEIGHT], fill=GRID, width=scale)
    if close is None:
        draw.text((scale * (BODY + HAND / 2), scale * HEIGHT / 2), "no hand seen", fill=FAINT, anchor="mm", font_size=15 * scale)
    else:
        pixels = (close * HAND * 0.98 + (BODY + HAND / 2, HEIGHT / 2)) * scale
        for (a, b), colour in zip(HAND_BONES, BONE_COLOURS):
            _line(draw, pixels[a], pixels[b], colour, 4.5 * scale)
    draw.line([0, scale * HEIGHT - scale, share * scale * (BODY + HAND), scale * HEIGHT - scale], fill=FAINT, width=2 * scale)
    return picture.reduce(OVERSAMPLING)


def _line(draw, start, end, colour, width):
    """A line with round ends; none if an end is not seen."""
    if np.isnan(start).any() or np.isnan(end).any():
        return
    draw.line([*start, *end], fill=colour, width=round(width))
    radius = width / 2
    for x, y in (start, end):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
