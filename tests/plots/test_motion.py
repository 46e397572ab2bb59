"""Moving pictures: a skeleton, a hand that is being read."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_tflite import constant_model

from aslutils import plots
from aslutils.__main__ import main
from aslutils.plots import reading
from aslutils.plots.motion import BODY, MOST_PICTURES
from aslutils.reading.recognizer import Recognizer
from aslutils.task.landmarks import COLUMNS
from aslutils.task.rejection import MIN_FRAMES

pytestmark = pytest.mark.slow


def animation(page):
    """The picture inside the page."""
    return base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])


@pytest.mark.parametrize("frames", [0, 1, 40, 800])
def test_a_skeleton_moves_and_stays_small(store, frames):
    sequence = np.resize(store.landmarks(1), (frames, 130, 3))
    page = plots.skeleton(sequence, "<b> & co").data
    shown = Image.open(io.BytesIO(animation(page)))
    assert len(page) < 400_000 and "&lt;b&gt; &amp; co" in page and "<script" not in page
    pictures = getattr(shown, "n_frames", 1)
    assert 1 <= pictures <= MOST_PICTURES and pictures >= min(frames // 2, MOST_PICTURES // 2, 5)
    if pictures > 1:
        assert pictures * shown.info["duration"] == pytest.approx(1000 * frames / 30, rel=0.05)       # true speed


def ink(picture):
    """Where there is more than the light ground, but for the bottom line that tells the time: bool (height, width)."""
    return (np.asarray(picture.convert("L")) < 200)[:-4]


def test_a_skeleton_without_hands_says_so(store):
    unseen, seen = (Image.open(io.BytesIO(animation(plots.skeleton(store.landmarks(row)).data))).convert("RGB") for row in (5, 1))
    assert ink(unseen)[:, :BODY].sum() < 20 < ink(unseen)[:, BODY:].sum()         # a word, where the hand would be
    assert ink(seen)[:, :BODY].sum() > 400


def test_a_hand_is_shown_being_read_with_the_models_own_words(store, tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("asl"))
    sequence = pd.DataFrame(store.columns(1), columns=COLUMNS).assign(sequence_id=7)
    sequence.to_parquet(tmp_path / "one.parquet")
    options = ["--sequence", "7", "--picture", str(tmp_path / "shown" / "reading.png")]
    assert main(["read", str(tmp_path), str(tmp_path / "one.parquet"), *options]) == 0
    shown = Image.open(tmp_path / "shown" / "reading.png")
    assert shown.n_frames == len(sequence) > MIN_FRAMES
    feet = []
    for frame in range(shown.n_frames):
        shown.seek(frame)
        feet.append(np.asarray(shown.convert("L"))[-reading.FOOT:])
    assert all((foot < 200).any() for foot in feet)
    changes = [frame for frame, (before, now) in enumerate(zip(feet, feet[1:]), 1) if (before != now).any()]
    assert changes == list(range(1, MIN_FRAMES + 1))            # after the last frame it counts, then reads the same in every one
    assert (feet[0] == feet[-1]).all()


def test_a_text_of_33_characters_is_not_clipped(store, tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("m" * 33))
    content = reading.reading(Recognizer(tmp_path), store.columns(1))
    sheet = Image.open(io.BytesIO(content))
    assert not (np.asarray(sheet.convert("L"))[-reading.FOOT:, -reading.MARGIN:] < 200).any()
