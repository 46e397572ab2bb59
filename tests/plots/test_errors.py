"""How well is read: scores by group, confusions, confidence, predictions beside the truth."""

import re

import numpy as np
import pandas as pd
import pytest
from pictures import history, titles, words

from aslutils import plots
from aslutils.plots.examples import aligned
from aslutils.task.metric import sequence_scores

pytestmark = pytest.mark.slow


def test_scores_by_group_lie_within_their_intervals(predictions):
    figure = plots.scores_by(predictions)
    assert titles(figure) == ["Participant", "Kind of phrase", "Length of phrase", "Hand seen"]

    table = pd.DataFrame({"participant_id": [1] * 4 + [2] * 4, "phrase": "abcd", "length": 9, "hand_frames": 9,
                          "prediction": ["abcx"] * 4 + ["abcd", "abcd", "xxxx", "xxxx"]})
    points, _, (bars,) = plots.scores_by(table).axes[0].containers[0]              # the hardest participant first
    wide, narrow = [segment[:, 1] for segment in bars.get_segments()]
    assert points.get_ydata().tolist() == pytest.approx([0.5, 0.75])
    assert narrow == pytest.approx([0.75, 0.75]) and wide[0] < 0.2 and wide[1] > 0.8


def test_scores_below_nothing_are_in_sight():
    table = pd.DataFrame({"participant_id": [1, 2], "phrase": "oak", "prediction": ["oakoakoak", "oak"], "length": 9,
                          "hand_frames": 9})
    assert all(axes.get_ylim()[0] <= -1 for axes in plots.scores_by(table).axes)
    score = plots.learning_curves({"seed 1": history(4).assign(score=[-0.4, 0.1, 0.2, 0.3])}).axes[-1]
    assert score.get_ylim() == (-0.4, 1)


@pytest.mark.parametrize("values, groups", [
    ([100] * 80 + [*range(3, 23)], {"3-100"}), ([9, 10, 100, 9], {"9", "10", "100"}),
    ([*range(1, 9)], {"1-3", "4", "5-6", "7-8"}),
])
def test_quarters_are_few_and_in_the_order_of_their_numbers(values, groups):
    table = pd.DataFrame({"phrase": "oak", "prediction": "oak", "participant_id": 1, "length": 100, "hand_frames": values})
    shown = [label.get_text() for label in plots.scores_by(table).axes[3].get_xticklabels()]
    assert set(shown) == groups and shown == sorted(shown, key=lambda label: int(label.split("-")[0]))


def test_confusions_count_each_kind_of_error():
    table = pd.DataFrame({"phrase": ["uv ", "uu", "ab"], "prediction": ["vv", "vu", "abc"]})
    figure = plots.confusions(table)
    assert titles(figure) == ["Read as another: 2", "Left out: 1", "Read where there is none: 1"]
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes] == [["u → v"], ["␣"], ["c"]]
    assert "67 % of u" in words(figure)


def test_confidence_tells_what_its_threshold_rejects(predictions):
    assert "under 0.15 is rejected: 12.5 %" in words(plots.confidence(predictions))


def test_confidence_is_held_against_the_mean_score():
    table = pd.DataFrame({"phrase": "oak", "prediction": ["oak", "oak", "", "oa"] * 2,
                          "confidence": [0.91, 0.93, 0.98, 0.94] + [0.2] * 4})
    means = plots.confidence(table).axes[0].lines[0].get_xydata()
    assert np.allclose(means, [[0.2, 2 / 3], [0.94, 2 / 3]])


def test_aligned_texts_show_each_difference_once():
    assert aligned("oak st", "oat sst") == ([*"oak ", None, *"st"], [*"oat sst"])
    assert aligned("ab", "") == (["a", "b"], [None, None]) and aligned("", "") == ([], [])


def test_a_space_that_was_misread_can_be_seen_and_told_from_nothing(predictions, store):
    assert "␣" in words(plots.predictions(predictions[:1].assign(prediction="a l"), store))
    assert "␣" not in words(plots.predictions(predictions[:1].assign(prediction="al"), store))
    assert "␣" not in words(plots.predictions(predictions[1:2].assign(prediction="oak st 12"), store))


def test_as_many_predictions_are_shown_as_asked_for(predictions, store):
    for shown in (plots.predictions(predictions, store, count=3), plots.worst(predictions, store, count=3)):
        assert words(shown).split(" | ").count("signed") == 3


def test_the_worst_predictions_come_worst_and_surest_first(predictions, store):
    shown = [tuple(map(float, pair)) for pair in re.findall(r"score ([\d.]+), confidence ([\d.]+)",
                                                            words(plots.worst(predictions, store, count=4)))]
    scores = np.sort(sequence_scores(predictions["phrase"], predictions["prediction"]))[:4]
    assert [score for score, _ in shown] == pytest.approx(scores, abs=0.006)
    assert shown == sorted(shown, key=lambda pair: (pair[0], -pair[1]))


def test_a_network_without_confidence_shows_none(predictions, store):
    assert "confidence" not in words(plots.predictions(predictions.assign(confidence=np.nan), store))
    assert "confidence" not in words(plots.worst(predictions.drop(columns="confidence"), store))
