"""The competition's metric."""

import pytest

from aslutils.task.metric import score, score_interval, sequence_scores


def test_scores_characters_of_all_phrases_together():
    assert score(["abcd", "ab"], ["abcd", "xy"]) == pytest.approx((6 - 2) / 6)


def test_counts_a_swap_as_two_edits_as_the_competition_did():
    assert score(["ab"], ["ba"]) == 0.0


def test_can_fall_below_zero_over_all_but_not_for_one_sequence():
    assert score(["a"], ["xyz"]) == -2.0
    assert sequence_scores(["a", "abc", ""], ["xyz", "abd", ""]).tolist() == pytest.approx([0.0, 2 / 3, 1.0])


def test_interval_holds_the_score_and_shrinks_to_it_when_all_sequences_agree():
    low, high = score_interval(["abcd"] * 50, ["abcx"] * 50)
    assert low == pytest.approx(0.75) and high == pytest.approx(0.75)
    low, high = score_interval(["ab"] * 100, ["ab", "xy"] * 50)
    assert low < 0.5 < high


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no phrase"):
        score([], [])
