"""The strip of a clip's pictures with the text that was read."""

import numpy as np
from PIL import Image

from aslutils.reading.strip import GAP, HEIGHT, KEPT, LINES, SHOWN, draw_strip, keep
from aslutils.task.colours import OVER_PHOTO
from aslutils.task.landmarks import HOLISTIC


def test_pictures_of_a_long_clip_are_thinned_evenly():
    pictures = {}
    for frame in range(1000):
        keep(pictures, frame, np.full((720, 100, 3), frame % 256, np.uint8), np.array(frame))
        assert min(KEPT, frame + 1) <= len(pictures) <= 2 * KEPT
    assert list(pictures) == list(range(0, 1000, 8))
    picture, landmarks = pictures[992]
    assert picture.size == (50, HEIGHT) and picture.getpixel((0, 0)) == (992 % 256,) * 3 and landmarks == 992


def test_the_strip_shows_the_skeleton_of_frames_with_hands_and_the_text():
    frames = np.full((40, sum(HOLISTIC.values()), 3), np.nan, np.float32)
    frames[20:, -21:, 0], frames[20:, -21:, 1] = 0.25, np.linspace(0.1, 0.9, 21)      # the right hand, as an upright line
    pictures = {frame: (Image.new("RGB", (200, 360), (frame, 0, 0)), frames[frame]) for frame in range(0, 40, 2)}
    strip = np.asarray(draw_strip(pictures, "hello"))
    assert strip.shape == (HEIGHT + GAP + 60, SHOWN * (200 + GAP), 3)
    assert strip[5, 100::200 + GAP, 0].tolist() == [20, 22, 26, 28, 30, 32, 36, 38]         # spread over the frames with a hand
    assert (strip[100:300, 50] == parsed(OVER_PHOTO["right_hand"])).all()                # a line of bones in the first picture
    assert not (strip == parsed(OVER_PHOTO["left_hand"])).all(axis=2).any()
    assert (strip[HEIGHT:, :200] < 50).any() and (strip[HEIGHT:, 800:] == 255).all()
    assert draw_strip(pictures, "hello   " * 40).size == (strip.shape[1], HEIGHT + GAP + 20 + 40 * 3)
    assert draw_strip(pictures, "(no hands seen)   " * 400).size == (strip.shape[1], HEIGHT + GAP + 20 + 40 * LINES)


def parsed(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
