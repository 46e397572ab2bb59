"""The model that comes with the kit: it reads at once, and says why where it does not."""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from aslutils.demo.signer import PART_SLICES, Recording, record
from aslutils.demo.writer import participant
from aslutils.reading.recognizer import OWN_MODEL, Recognizer
from aslutils.task.landmarks import HANDS, LANDMARKS, MIRROR

KIT = Path(__file__).resolve().parents[2]
CLIP, SPELLED = OWN_MODEL / "clip.npy", "hello"
KEPT = np.array([PART_SLICES[part].start + index for part, index in LANDMARKS])


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer()


@pytest.fixture
def clip() -> np.ndarray:
    """The clip's landmarks (T, 3, 130): x, y, z of each, NaN where not seen."""
    return np.load(CLIP).astype(np.float32).reshape(-1, 3, len(LANDMARKS))


def flat(landmarks: np.ndarray) -> np.ndarray:
    return landmarks.reshape(len(landmarks), -1)


def recorded(kind: str, seed: int) -> np.ndarray:
    """A recording of somebody whom no training saw, as columns (T, 390)."""
    frames = record(participant(4711, seed), "ab", Recording(missing=0.1), np.random.default_rng(seed), kind)
    return frames[:, KEPT].transpose(0, 2, 1).reshape(len(frames), -1)


def test_the_clip_that_comes_with_it_is_read(recognizer):
    reading = recognizer.read(CLIP)
    assert reading.text == SPELLED and reading.certainty > 0.2


def test_the_command_reads_it_without_naming_a_model():
    command = [sys.executable, "-m", "aslutils", "read", str(CLIP)]
    run = subprocess.run(command, cwd=KIT, capture_output=True, text=True, check=True)
    assert re.search(rf"clip.npy .* {SPELLED}$", run.stdout.strip())


def test_it_is_package_data_and_small_enough_for_a_package():
    files = [file.relative_to(OWN_MODEL.parent).as_posix() for file in OWN_MODEL.iterdir()]
    (pattern,) = tomllib.loads((KIT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["aslutils.reading"]
    assert {"hands/README.md", "hands/clip.npy", "hands/inference_args.json", "hands/model_fixed.tflite"} <= set(files)
    assert all(fnmatch(file, pattern) for file in files)
    assert sum(file.stat().st_size for file in OWN_MODEL.iterdir()) < 6e6


def test_its_card_says_what_it_was_trained_on_how_and_what_it_cannot_do():
    card = (OWN_MODEL / "README.md").read_text()
    for words in ("made-up hands only", "./run_all.sh --profile hands", "real_hands.py", "cannot"):
        assert words in card, words


def test_rows_behind_a_sequence_that_show_nothing_are_no_frames_and_the_reason_says_so(recognizer, clip):
    clip[:, :, [index for index, (part, _) in enumerate(LANDMARKS) if not part.endswith("hand")]] = np.nan
    seen = np.flatnonzero(np.isfinite(clip).any((1, 2)))
    padded = np.concatenate([clip[seen[0]:seen[0] + 12], np.full((28, *clip.shape[1:]), np.nan)])
    assert recognizer.read(flat(padded)).reason == "too short: at least 15 frames are needed, there are 12"


def test_a_left_handed_signer_is_read_alike(recognizer, clip):
    mirrored = clip[:, :, MIRROR].copy()
    mirrored[:, 0] = 1 - mirrored[:, 0]
    assert recognizer.read(flat(mirrored)).text == SPELLED


@pytest.mark.parametrize("depth", [0.0, np.nan])
def test_without_depth_the_reason_asks_for_it(recognizer, clip, depth):
    clip[:, 2, HANDS] = np.where(np.isnan(clip[:, 0, HANDS]), np.nan, depth)
    assert recognizer.read(flat(clip)).reason.startswith("no depth")
    clip[:, 2] = depth
    assert recognizer.read(flat(clip)).reason.startswith("no depth")
    with pytest.raises(ValueError, match="The depth z is needed"):
        recognizer.read(np.zeros((30, 543, 2)))


def test_a_clip_in_which_the_hand_is_never_seen_has_a_reason_and_in_one_frame_no_word(recognizer, clip):
    seen = np.flatnonzero(np.isfinite(clip[:, 0, HANDS]).any(1))
    hidden = clip.copy()
    hidden[:, :, HANDS] = np.nan
    assert recognizer.read(flat(hidden)).reason == "no hands seen"
    hidden[seen[len(seen) // 2]] = clip[seen[len(seen) // 2]]
    reading = recognizer.read(flat(hidden))
    assert reading.reason or len(reading.text) <= 2                      # no word comes of a single frame


def test_a_hand_that_leaves_and_comes_back_is_two_phrases_of_a_stream(recognizer, clip):
    away = np.repeat(clip[-1:], 45, 0)
    away[:, :, HANDS] = np.nan
    stream = recognizer.stream(every=1000)
    phrases = [reading for frame in flat(np.concatenate([clip, away, clip, away])) if (reading := stream.add(frame))]
    assert [reading.text for reading in phrases] == [SPELLED] * 2 and all(reading.complete for reading in phrases)
    assert recognizer.read(flat(np.concatenate([clip, away, clip]))).length == 2 * len(clip) + 45


def test_hand_less_ends_do_not_change_what_is_read(recognizer, clip):
    first, last = (np.repeat(edge, 60, 0) for edge in (clip[:1], clip[-1:]))
    for end in (first, last):
        end[:, :, HANDS] = np.nan
    reading = recognizer.read(flat(np.concatenate([first, clip, last])))
    assert reading.text == SPELLED and min(reading.cut) > 0


def test_three_thousand_frames_and_two_moving_hands_are_a_reading_or_a_reason(recognizer, clip):
    long = recognizer.read(flat(np.resize(clip, (3000, *clip.shape[1:]))))
    assert long.length == 3000 and (long.text or long.reason)
    for seed in range(3):
        both = recognizer.read(recorded("sign with both hands", seed))
        assert both.text or both.reason


def test_most_sequences_in_which_nobody_spells_are_rejected(recognizer):
    kinds = "rest", "hold", "gesture", "sign", "pass"
    texts = [recognizer.read(recorded(kind, seed)).text for kind in kinds for seed in range(8)]
    assert np.mean([text is not None for text in texts]) <= 0.15
