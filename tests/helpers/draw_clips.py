"""Draws the clips of tests/reading/test_video.py, or with --page those of tests/page/test_browser.py, in .venv-video.

    .venv-video/bin/python tests/helpers/draw_clips.py [--page] FOLDER

The person is matplotlib's sample photo; the hand before her is drawn where the landmarks of the kit's own clip are.
"""

import struct
import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aslutils.reading.recognizer import OWN_MODEL  # noqa: E402
from aslutils.task.landmarks import HAND_BONES, LANDMARKS, RIGHT_HAND  # noqa: E402

SLEEVE, EDGE, SKIN = (60, 40, 40), (90, 110, 160), (150, 178, 226)      # blue, green, red, as OpenCV has them
LOW, HIGH = (90, (120, 400)), (110, (140, 300))                         # a palm's length and the hand's place, pixels
ASPECT = 9 / 16                                                         # width over height of the clip's picture


def right_hand(palm: int, middle: tuple[int, int]) -> np.ndarray:
    """The right hand that spells `hello` in the clip that comes with the kit, in the photo's pixels, (T, 21, 3)."""
    clip = np.load(OWN_MODEL / "clip.npy").astype(float)
    hand = clip.reshape(len(clip), 3, len(LANDMARKS)).swapaxes(1, 2)[:, RIGHT_HAND]
    hand = (hand - np.median(hand, (0, 1))) * (1, 1 / ASPECT, 1)
    return hand * palm / np.median(np.linalg.norm(hand[:, 9] - hand[:, 0], axis=1)) + (*middle, 0)


def with_hand(photo: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """The photo with a forearm, a palm and fingers drawn over it, the farthest first."""
    picture, points = photo.copy(), hand[:, :2].astype(np.int32)
    cv2.line(picture, points[0].tolist(), (int(points[0, 0]) - 20, len(photo) + 60), SLEEVE, 60)
    for colour, edge in ((EDGE, 4), (SKIN, 0)):
        palm = points[[0, 1, 5, 9, 13, 17]]
        cv2.fillPoly(picture, [palm], colour)
        cv2.polylines(picture, [palm], True, colour, 26 + edge)
    for bone in sorted(HAND_BONES, key=lambda bone: -hand[list(bone), 2].mean()):
        for colour, edge in ((EDGE, 4), (SKIN, 0)):
            cv2.line(picture, *points[list(bone)].tolist(), colour, 18 + edge)
    return cv2.GaussianBlur(picture, (0, 0), 1)


def write(path: Path, pictures, codec: str):
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 30, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()


def write_sideways(path: Path, pictures):
    """As a phone held upright writes them: lying on their side, with a note in the track header to turn them by 90 degrees."""
    write(path, [cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE) for picture in pictures], "mp4v")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix:matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def write_for_camera(path: Path, pictures, rate: int):
    """As Chromium's fake camera plays them, over and over: raw pictures, `rate` a second."""
    height, width = pictures[0].shape[:2]
    frames = [b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes() for picture in pictures]
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420mpeg2\n".encode() + b"".join(frames))


def draw_for_page(folder: Path):
    photo = cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    pictures = [with_hand(photo, points) for points in right_hand(*HIGH)[::3]]      # a browser without a GPU is slow
    write(folder / "short.webm", pictures, "VP80")
    write_for_camera(folder / "short.y4m", pictures, 3)
    write(folder / "blank.webm", [np.full((480, 360, 3), 200, np.uint8)] * 4, "VP80")


def main(folder: Path):
    photo = cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    hand = right_hand(*LOW)
    write_sideways(folder / "signer.mp4", [with_hand(photo, points) for points in hand])
    np.save(folder / "drawn.npy", hand[..., :2] / photo.shape[1::-1])
    write(folder / "blank.mp4", [np.full((480, 360, 3), 200, np.uint8)] * 20, "mp4v")
    write(folder / "person.avi", [photo] * 20, "MJPG")
    whole = (folder / "person.avi").read_bytes()
    (folder / "cut.avi").write_bytes(whole[:len(whole) // 3])
    (folder / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(10_000))


if __name__ == "__main__":
    (draw_for_page if "--page" in sys.argv else main)(Path(sys.argv[-1]))
