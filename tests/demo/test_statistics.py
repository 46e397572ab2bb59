"""The demo's corpus-like mode against the real sequences: quantiles within stated tolerances.

Tolerances are wide enough for three hundred sequences by as many people, and narrow enough that another hand size, speed, jitter
or share of missing hands would fail.
"""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from aslutils.demo.signer import Recording, record
from aslutils.demo.writer import DemoConfig, landmarks_of, participant, plan

pytestmark = pytest.mark.slow

CORPUS = DemoConfig(sequences=300, supplemental=0, characters=(1, 31), frames_per_character=8.9, fastest=1.2, shortest=1,
                    missing=0.43, gestures=0.0)
FACE, LEFT, POSE, RIGHT = slice(0, 468), slice(468, 489), slice(489, 522), slice(522, 543)


def runs(seen: np.ndarray) -> list[tuple[bool, int]]:
    """Stretches of frames with (True) and without a hand, and their lengths."""
    borders = np.flatnonzero(np.diff(np.r_[-1, seen.astype(int), -1]))
    return [(bool(seen[start]), int(stop - start)) for start, stop in zip(borders, borders[1:])]


def hand_figures(hand: np.ndarray, aspect: float) -> tuple[float, float, float]:
    """Of one hand's frames (T, 21, 3): its size over the picture's width, its jitter over its size, and its fingertips' z."""
    x, y = hand[..., 0], hand[..., 1] / aspect
    size = np.nanmedian(np.hypot(x[:, 9] - x[:, 0], y[:, 9] - y[:, 0]))
    second = np.diff(hand[..., :2], 2, axis=0)
    jitter = np.nanmedian(np.linalg.norm(second, axis=-1)) / size if np.isfinite(second).any() else np.nan
    return size, jitter, np.nanmedian(hand[:, [8, 12, 16, 20], 2])


@pytest.fixture(scope="module")
def generated():
    """What the corpus-like mode gives: arrays of figures, one entry a sequence (runs: one a run)."""
    frames, characters, seen, left, right, unseen, stretches, hands = [], [], [], [], [], [], [], []
    for row in plan(CORPUS).itertuples():
        landmarks = landmarks_of(CORPUS, row)
        sides = ~np.isnan(landmarks[:, [LEFT.start, RIGHT.start], 0])
        frames.append(len(landmarks))
        characters.append(len(row.phrase))
        seen.append(sides.any(1).mean())
        left.append(sides[:, 0].sum())
        right.append(sides[:, 1].sum())
        unseen.append([np.isnan(landmarks[:, part]).any((1, 2)).sum() for part in (FACE, POSE)])
        stretches += runs(sides.any(1))
        person = participant(CORPUS.seed, row.participant)
        if sides[:, int(not person.left_handed)].sum() > 3 and row.kind != "random":
            hands.append(hand_figures(landmarks[:, LEFT if person.left_handed else RIGHT], person.camera.aspect))
    return SimpleNamespace(frames=np.array(frames), characters=np.array(characters), seen=np.array(seen),
                           left=sum(left) / sum(frames), right=sum(right) / sum(frames), runs=stretches, hands=np.array(hands),
                           unseen=np.sum(unseen, 0) / sum(frames))


@pytest.fixture(scope="module")
def histograms(shared):
    return json.loads((shared / "realdata/statistics/histograms.json").read_text())


def quantile(histogram: dict, level: float) -> float:
    """A quantile of a histogram of value -> count."""
    values = np.array([float(value) for value in histogram])
    order = np.argsort(values)
    share = np.cumsum(np.array(list(histogram.values()))[order]) / sum(histogram.values())
    return float(values[order][np.searchsorted(share, level)])


@pytest.mark.parametrize("level, tolerance", [(0.1, 0.35), (0.25, 0.25), (0.5, 0.15), (0.75, 0.15), (0.9, 0.2), (0.95, 0.2)])
def test_frames_and_phrase_lengths_are_the_corpus_s(generated, histograms, level, tolerance):
    assert np.quantile(generated.frames, level) == pytest.approx(quantile(histograms["fs_n_frames"], level), rel=tolerance)
    rate, wanted = generated.frames / generated.characters, quantile(histograms["fs_n_frames_per_char"], level)
    assert np.quantile(rate, level) == pytest.approx(wanted, rel=tolerance)
    wanted = quantile(histograms["phrase_len_train"], level)
    assert np.quantile(generated.characters, level) == pytest.approx(wanted, rel=tolerance)


def test_a_hand_is_seen_as_often_as_in_the_corpus(generated, histograms):
    for level, tolerance in ((0.1, 0.12), (0.25, 0.15), (0.5, 0.15), (0.75, 0.12), (0.9, 0.08)):
        wanted = quantile(histograms["fs_hand_frames_ratio"], level)
        assert np.quantile(generated.seen, level) == pytest.approx(wanted, abs=tolerance), level
    assert generated.left == pytest.approx((159.7 - 141.5) / 159.7, abs=0.06)            # FACTS: frames with a left hand
    assert generated.right == pytest.approx((159.7 - 83.5) / 159.7, abs=0.10)


def test_runs_with_and_without_a_hand_are_as_long_as_mediapipes(generated):
    for seen, long in ((True, 17), (False, 16)):                        # realdata: median 3, 90 % at 17 and 16
        lengths = [length for kind, length in generated.runs if kind == seen]
        assert 2 <= np.median(lengths) <= 6
        assert 0.6 * long <= np.quantile(lengths, 0.9) <= 2.3 * long     # its sequences have 55 frames on average, these 160


def test_the_face_is_seldom_unseen_and_the_pose_never(generated):
    face, pose = generated.unseen
    assert 0.002 < face < 0.04 and pose == 0                            # realdata: 1.4 % and never


def test_slow_people_are_slow_in_all_their_sequences():
    def frames(pace):
        person = replace(participant(1, 0), pace=pace)
        return sum(len(record(person, "oak street", Recording(), np.random.default_rng(seed))) for seed in range(8))

    assert frames(1.2) > 1.4 * frames(-1.2)


def test_hands_have_real_size_jitter_and_depth(generated):
    size, jitter, depth = generated.hands.T
    assert np.quantile(size, [0.05, 0.5, 0.95]) == pytest.approx([0.10, 0.165, 0.24], rel=0.2)
    assert np.nanmedian(jitter) == pytest.approx(0.075, rel=0.25)
    assert -0.15 < np.median(depth) < -0.05


def test_real_sequences_measured_the_same_way_give_the_same_figures(generated, shared):
    figures = []
    for path in sorted((shared / "realdata/competition").glob("*_landmarks/*.parquet")):
        columns = [f"{axis}_right_hand_{index}" for axis in "xyz" for index in range(21)]
        for _, sequence in pd.read_parquet(path, columns=columns).groupby(level=0):
            hand = sequence.to_numpy().reshape(-1, 3, 21).transpose(0, 2, 1)
            if (~np.isnan(hand[:, 0, 0])).sum() > 3:
                figures.append(hand_figures(hand, aspect=0.75))
    real = np.nanmedian(figures, axis=0)
    ours = np.nanmedian(generated.hands, axis=0)
    assert ours == pytest.approx(real, rel=0.35)
