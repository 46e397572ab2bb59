"""Pictures of sequences and of what augmentation makes of them."""

import re

import numpy as np
import pandas as pd
import pytest
from pictures import AUGMENTATIONS, titles, words

from aslutils import plots
from aslutils.data import augment
from aslutils.task.landmarks import COLUMNS, HANDS

pytestmark = pytest.mark.slow


def test_a_strip_shows_frames_in_which_the_hand_is_seen(store):
    frames = store.landmarks(1).copy()
    frames[:30, HANDS] = np.nan
    seen = [int(number) for number in re.findall(r"frame (\d+)", words(plots.strip(frames, pictures=5)))]
    assert len(seen) == 5 and seen == sorted(seen) and seen[0] >= 30
    assert "no hand" in words(plots.strip(store.landmarks(5)))


def test_a_corpus_is_shown_with_units_and_both_groups(store):
    figure = plots.corpus(store.table)
    assert titles(figure) == ["Length", "Pace", "Hand seen", "Kinds of phrases"]
    labels = [axes.get_xlabel().partition("\n")[0] for axes in figure.axes]          # below: what the last bar holds, if it must
    assert labels == ["frames", "frames per character", "% of frames", "% of sequences"]
    assert figure.name() == "6 training, 2 supplemental sequences"
    table = pd.DataFrame({"phrase": ["oak", "elm", "kim", "555-1234"], "length": 40, "hand_frames": 20, "is_sup": False})
    *_, seen, kinds = plots.corpus(table).axes
    drawn = seen.patches[0].get_path().vertices
    assert drawn[drawn[:, 1] > 0, 0].mean() == pytest.approx(50, abs=2) and drawn[:, 1].max() == 100
    assert [bar.get_width() for bar in kinds.patches] == [75, 0, 25]            # address, url, phone


def test_a_corpus_of_even_lengths_is_drawn_even_and_the_last_bar_says_what_it_holds():
    lengths = [*range(3, 81)] * 4 + [900]
    figure = plots.corpus(pd.DataFrame({"phrase": "oak", "is_sup": False, "length": lengths, "hand_frames": 1}))
    counts = figure.axes[0].patches[0].get_path().vertices[:, 1] * len(lengths) / 100
    assert set(counts.round(6)) == {0, 12, 13}                          # no comb where bins hold 2 numbers, then 3
    assert [axes.get_xlabel().split("\n")[1:] for axes in figure.axes] == [["(last bar: 78 and more)"],
                                                                           ["(last bar: 26 and more)"], [], []]


def test_hand_shapes_name_every_character():
    shown = words(plots.handshapes("kit"))
    assert set("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+,-./:;=?@[_~␣") <= set(shown.split(" | "))
    assert "“kit”" in shown


def test_augmentations_that_can_act_are_shown_in_their_order(store):
    figure = plots.augmentations(store.frames(1), store.frames(4), augment.build(AUGMENTATIONS))
    assert titles(figure) == ["as recorded", "Mirror", "CutMix", "Resample", "PartDrop", "one of: TemporalMask"]
    maps = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert maps[0].shape == (130, len(store.landmarks(1))) and maps[3].shape != maps[0].shape
    first = maps[0].filled(1e9)
    assert all(shown.shape != first.shape or not np.array_equal(shown.filled(1e9), first) for shown in maps[1:])
    assert {axes.get_xlim() for axes in figure.axes if axes.images} == {(0, max(shown.shape[1] for shown in maps))}
    assert "orange: right of it, grey: missing" in words(figure)
    missing = (store.frames(1) == 0).all(2)
    assert maps[0].mask.sum() == missing.sum() > 0


def test_real_sequences_can_be_drawn(shared):
    from aslutils.task.preprocess import as_landmarks

    path = next((shared / "realdata" / "competition" / "train_landmarks").glob("*.parquet"))
    table = pd.read_parquet(path, columns=COLUMNS)
    for _, rows in list(table.groupby(level=0))[:2]:
        frames = as_landmarks(rows.to_numpy(np.float32))
        assert len(plots.strip(frames, "hello").png()) < 60_000 and len(plots.skeleton(frames).data) < 400_000
