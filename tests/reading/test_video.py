"""Videos and cameras: what needs MediaPipe runs in .venv-video, in clips that draw_clips.py draws there."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_tflite import constant_model

from aslutils.__main__ import main
from aslutils.reading import video
from aslutils.reading.recognizer import Recognizer
from aslutils.reading.strip import SHOWN
from aslutils.reading.video import Clip, announced_frames, cut_short, file_moments, read_video, thinned
from aslutils.task.landmarks import HOLISTIC

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DRAW = "tests/helpers/draw_clips.py"
PYTHON = ROOT / ".venv-video" / "bin" / "python"
BAD = ("blank.mp4", "person.avi", "cut.avi", "garbage.mp4")


def in_video_environment(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([PYTHON, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model that reads `ab` in everything."""
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(constant_model("ab"))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    assert (ROOT / DRAW).is_file()
    if not (ROOT / ".venv-video" / "requirements.installed").exists():
        pytest.skip("no .venv-video: tests/run.sh sets it up, for reading videos with MediaPipe")
    folder = tmp_path_factory.mktemp("clips")
    in_video_environment(DRAW, folder).check_returncode()
    return folder


def test_a_signing_person_is_read_and_leaves_a_strip(model, clips):
    run = in_video_environment("-m", "aslutils", "read", model, clips / "signer.mp4")
    assert run.returncode == 0, run.stderr
    frames = len(np.load(clips / "drawn.npy"))
    assert run.stdout.splitlines()[1].split() == ["signer.mp4", str(frames), run.stdout.split()[-3], "0.90", "ab"]
    assert f"{frames}/{frames}" in run.stderr and "W0000" not in run.stderr
    assert Image.open(clips / "signer.strip.png").width > SHOWN * 300


def test_hands_are_found_in_a_phones_video_where_they_are_and_on_the_side_of_the_body(clips):
    code = "import sys, numpy; from aslutils.reading.video import read_clip; "\
        "numpy.save(sys.argv[2], read_clip(sys.argv[1]).landmarks)"
    in_video_environment("-c", code, clips / "signer.mp4", clips / "found.npy").check_returncode()
    found, drawn = np.load(clips / "found.npy"), np.load(clips / "drawn.npy")
    _, left, pose, right = np.split(found, np.cumsum(list(HOLISTIC.values()))[:-1], axis=1)
    seen = np.isfinite(right).all(axis=(1, 2))
    assert seen.mean() > max(0.5, np.isfinite(left[:, 0, 0]).mean())
    assert np.median(np.abs(right[seen][..., :2] - drawn[seen])) < 0.02
    assert np.isfinite(pose).all() and np.median(pose[:, 12, 0]) < np.median(pose[:, 11, 0])  # our left


def test_bad_videos_end_in_one_line_each_and_no_file(model, clips):
    run = in_video_environment("-m", "aslutils", "read", model, *(clips / name for name in BAD), "99")
    assert run.returncode == 1 and len(run.stdout.splitlines()) == 1 and "ab" not in run.stdout
    said = [line for line in run.stderr.splitlines() if line and "frames/s" not in line and "XNNPACK" not in line]
    expected = ("no hands seen", "no hands seen, only a face or body", "is damaged or cut short: ", "is not a video")
    assert len(said) == 5
    for line, name, reason in zip(said, BAD, expected):
        assert str(clips / name) in line and reason in line
    assert said[4] == "camera 99 cannot be opened"
    assert not list(clips.glob("[!s]*.png")) and not list(clips.glob(".*"))


def test_without_mediapipe_one_line_says_how_to_install_it(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    assert main(["read", str(model), str(tmp_path / "clip.mp4")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "pip install -r requirements-video.txt" in said[0]
    assert main(["read", str(model), str(tmp_path / "none.mp4")]) == 1
    assert capsys.readouterr().err == f"there is no file {tmp_path / 'none.mp4'}\n"


def test_a_video_is_read_even_if_its_strip_cannot_be_written(model, tmp_path, capsys, monkeypatch):
    frames = np.random.default_rng(1).random((60, sum(HOLISTIC.values()), 3)).astype(np.float32)
    clip = Clip(frames, np.ones(len(frames)), {0: (Image.new("RGB", (200, 360)), frames[0])})
    monkeypatch.setattr(video, "read_clip", lambda *_: clip)
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (tmp_path / "clip.strip.png").mkdir()                         # in the way
    assert main(["read", str(model), str(tmp_path / "clip.mp4")]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[1].endswith("ab") and told.err == f"{tmp_path / 'clip.strip.png'}: Is a directory\n"


def hand_after_hand(phrases: int) -> np.ndarray:
    """So many phrases of 30 frames with a hand and 40 without one, and another that has not ended, (T, 543, 3)."""
    frames = np.random.default_rng(1).random((70 * phrases + 30, sum(HOLISTIC.values()), 3)).astype(np.float32)
    for phrase in range(phrases):
        frames[70 * phrase + 30:70 * (phrase + 1)] = np.nan
    return frames


@pytest.mark.parametrize("source, expected", [("webcam", [60, 130, 170]), ("clip.mp4", [170, 170, 170])])
def test_a_cameras_phrase_is_told_when_it_ends_and_a_files_when_all_is_seen(model, monkeypatch, source, expected):
    seen, told = [], []

    def watch_video(_, watch):
        for frame in hand_after_hand(2):
            seen.append(frame)
            watch(frame, 1.0)
        return {0: (Image.new("RGB", (200, 360)), seen[0])}

    monkeypatch.setattr(video, "watch_video", watch_video)
    readings, pictures = read_video(Recognizer(model), source, lambda reading: told.append((len(seen), reading)))
    assert [when for when, _ in told] == expected and [reading for _, reading in told] == readings and list(pictures) == [0]
    assert all(reading.complete and reading.text == "ab" for reading in readings)


def test_a_camera_is_read_until_ctrl_c_and_a_phrase_is_printed_when_it_ends(model, clips):
    code = """if 1:
        import itertools, sys, cv2
        from aslutils.__main__ import main
        from aslutils.reading import video
        real, path = cv2.VideoCapture, sys.argv[2]

        class Camera:
            def __init__(self, number):
                self.clip, self.away = real(path), -1
            def __getattr__(self, name):
                return getattr(self.clip, name)
            def get(self, _):
                return 0.0
            def grab(self):
                self.away += self.away >= 0 or not self.clip.grab()
                if self.away == 60:
                    print("(interrupted)", flush=True)
                    raise KeyboardInterrupt
                return True
            def retrieve(self):
                done, picture = self.clip.retrieve() if self.away < 0 else (True, self.last)
                self.last = 0 * picture
                return done, picture

        cv2.VideoCapture = Camera
        video.camera_moments = lambda: (number / 30 for number in itertools.count())
        sys.exit(main(["read", sys.argv[1], "webcam", "--picture", sys.argv[3]]))"""
    run = in_video_environment("-c", code, model, clips / "signer.mp4", clips / "me.png")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 3 and lines[1].startswith("webcam") and lines[1].endswith("ab") and lines[2] == "(interrupted)"
    assert Image.open(clips / "me.png").width > SHOWN * 300


def test_a_picture_is_of_one_file(model, capsys):
    assert main(["read", str(model), "a.mp4", "b.npy", "--picture", "picture.png"]) == 2
    assert "exactly one file" in capsys.readouterr().err


@pytest.mark.parametrize(("rate", "count", "expected"), [
    (30, 90, 90), (0, 90, 90), (float("nan"), -1, None), (30, 0, None), (90_000, 0, None), (1000, 10_000, None)])
def test_a_file_says_how_many_frames_it_has_or_does_not(rate, count, expected):
    assert announced_frames(rate, count) == expected


@pytest.mark.parametrize(("last", "read", "announced", "expected"), [
    (90, 90, 90, False), (80, 80, 90, False), (79, 79, 90, True), (17, 3, 20, False), (21, 6, 24, False), (17, 3, 40, True)])
def test_a_file_is_cut_short_if_frames_are_missing_and_not_if_the_last_ones_were_passed_over(last, read, announced, expected):
    assert cut_short(last, read, announced) == expected


class Frames:
    """A capture of so many pictures, each of its number; those from `broken` on cannot be decoded."""

    def __init__(self, count: int, broken: int = 10**9):
        self.count, self.broken, self.number = count, broken, -1

    def grab(self) -> bool:
        self.number += 1
        return self.number < self.count

    def retrieve(self):
        return self.number < self.broken, np.full((2, 2, 3), (0, 0, self.number % 256), np.uint8)


def jittered(rate: float, count: int) -> list[float]:
    return np.sort(np.arange(count) / rate + np.random.default_rng(1).uniform(-0.004, 0.004, count)).tolist()


@pytest.mark.parametrize("moments, kept", [
    (np.arange(90) / 30, 90), (np.arange(90) / 29.97, 90), (np.arange(90) / 24, 90), (np.arange(40) / 8, 40),
    (np.arange(90) / 40, 90), (np.arange(92) / 60, 46), (np.arange(90) / 50, 45), (np.arange(120) / 120, 30),
    (np.arange(240) / 240, 30), (np.concatenate([np.arange(150) / 30, 5 + np.arange(60) / 12]), 210),
    (jittered(60, 300), range(140, 161)), (np.cumsum(np.random.default_rng(1).choice([1, 2, 3], 90)) / 60, range(70, 91))])
def test_pictures_are_read_at_about_thirty_a_second_and_their_times_are_true(moments, kept):
    read = list(thinned(Frames(len(moments)), iter(moments)))
    assert len(read) in ([kept] if isinstance(kept, int) else kept)
    numbers = np.array([number - 1 for _, _, number in read])
    assert numbers[0] == 0 and [picture[0, 0, 0] for picture, _, _ in read] == (numbers % 256).tolist()
    np.testing.assert_allclose([apart for _, apart, _ in read], [1, *30 * np.diff(np.asarray(moments)[numbers])], atol=1e-9)


def test_reading_ends_where_a_picture_cannot_be_decoded():
    assert len(list(thinned(Frames(50, broken=20), iter(np.arange(50) / 30)))) == 20


@pytest.mark.parametrize("told, rate, expected", [
    ([0, 40, 80, 120], 30, [0, 0.04, 0.08, 0.12]), ([0, 0, 0], 25, [0, 0.04, 0.08]), ([0, 0, 0], 90_000, [0, 1 / 30, 2 / 30]),
    ([0, float("nan"), -1], 0, [0, 1 / 30, 2 / 30]), ([500, 533, 533, 600], 30, [0.5, 0.533, 0.533 + 1 / 30, 0.6])])
def test_frames_of_a_file_come_when_it_says_or_by_its_rate(told, rate, expected):
    position = iter(told)
    moments = file_moments(lambda: next(position), rate)
    np.testing.assert_allclose([next(moments) for _ in told], expected, atol=1e-9)
