import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from aslutils.data.folds import _imbalance, _improve, assign_folds, balance, out_of_fold_table, read_folds, verdict
from aslutils.task.text import phrase_kind

KINDS = np.array(["3 creekhouse", "www.rhein-main.de", "+44-20-7946"])


def divided(table, folds=4, holdout=0, seed=1):
    return assign_folds(table, folds, holdout, seed)


def corpus(participants: int, sequences: int, supplemental: int = 0, seed: int = 0) -> pd.DataFrame:
    """A store's table: participants of very different sizes and mixes of phrase kinds, as in the competition."""
    rng = np.random.default_rng(seed)
    share, mix = rng.dirichlet(np.full(participants, 3.0)), rng.dirichlet([14.4, 8.6, 7.1], participants)
    person = np.concatenate([np.arange(participants), rng.choice(participants, sequences - participants, p=share)])
    kind = (rng.random(sequences)[:, None] > mix.cumsum(1)[person]).sum(1).clip(0, 2)
    table = pd.DataFrame({"file_id": person // 7, "sequence_id": np.arange(sequences) + 1000, "participant_id": person + 50,
                          "phrase": KINDS[kind], "is_sup": False, "length": rng.integers(1, 300, sequences)})
    extra = table.head(supplemental).assign(is_sup=True, phrase="coming up with killer sound bites")
    return pd.concat([table, extra], ignore_index=True)


def deviations(folds: pd.DataFrame) -> pd.DataFrame:
    """Of each fold from the mean fold, as a share of it, in sequences and in each kind of phrase."""
    dealt = folds[~folds["holdout"]]
    counts = pd.crosstab(dealt["fold"], dealt["phrase"].map(phrase_kind))
    counts["all"] = counts.sum(axis=1)
    return (counts / counts.mean() - 1).abs()


@pytest.mark.slow
@pytest.mark.parametrize("participants, sequences, holdout", [(94, 67208, 0), (94, 20000, 10), (48, 6000, 0)])
def test_folds_are_participant_disjoint_and_balanced_within_five_percent(participants, sequences, holdout):
    folds = divided(corpus(participants, sequences), folds=4, holdout=holdout, seed=1)
    assert len(folds) == sequences and (folds.groupby("participant_id")["fold"].nunique() == 1).all()
    held = folds[folds["holdout"]]
    assert held["participant_id"].nunique() == holdout and (held["fold"] == -1).all()
    assert sorted(folds.loc[~folds["holdout"], "fold"].unique()) == [0, 1, 2, 3]
    assert (deviations(folds) < 0.05).all(axis=None)
    assert balance(folds)["deviation %"].max() == pytest.approx(100 * deviations(folds).max(axis=None), abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("holdout", [0, 10])
def test_folds_of_a_corpus_like_the_real_one_are_balanced_for_every_seed(holdout):
    for seed in range(8):
        folds = divided(corpus(94, 20000, seed=seed), folds=4, holdout=holdout, seed=seed)
        assert (deviations(folds) < 0.05).all(axis=None), seed


@pytest.mark.slow
def test_few_participants_are_dealt_in_the_best_way_there_is():
    for seed in range(5):
        table = corpus(8, 400, seed=seed)
        person, kind = table["participant_id"].to_numpy() - 50, table["phrase"].map(phrase_kind)
        counts = pd.crosstab(person, kind).assign(all=np.bincount(person)).to_numpy()
        best = np.inf
        for deal in itertools.product(range(3), repeat=7):                   # the last participant's fold may be any
            sums = np.eye(3)[:, [*deal, 0]] @ counts
            best = min(best, np.abs(sums / sums.mean(0) - 1).max())
        assert deviations(divided(table, folds=3, seed=seed)).max(axis=None) == pytest.approx(best)


@pytest.mark.slow
def test_the_same_seed_deals_the_same_folds_and_another_seed_others():
    table = corpus(30, 900)
    first = divided(table, holdout=3, seed=4)
    pd.testing.assert_frame_equal(first, divided(table, holdout=3, seed=4))
    other = divided(table, holdout=3, seed=5)
    assert set(first.loc[first["holdout"], "participant_id"]) != set(other.loc[other["holdout"], "participant_id"])


def test_supplemental_rows_are_in_no_fold():
    folds = divided(corpus(8, 100, supplemental=20), folds=2)
    assert len(folds) == 100
    assert folds.columns.tolist() == ["file_id", "sequence_id", "participant_id", "phrase", "seq_len", "fold", "holdout"]


def test_a_fold_may_have_one_participant_and_data_one_kind_of_phrase():
    table = corpus(4, 40).assign(phrase="hello")
    folds = divided(table, folds=4)
    assert folds.groupby("fold")["participant_id"].nunique().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("participants, folds, holdout", [(1, 2, 0), (3, 4, 0), (5, 4, 2), (9, 1, 0), (9, 0, 0)])
def test_too_few_participants_are_refused(participants, folds, holdout):
    with pytest.raises(ValueError, match=f"{participants} participants, {holdout} of them held out, cannot make {folds} folds"):
        divided(corpus(participants, 20), folds=folds, holdout=holdout)


def test_a_published_table_of_folds_is_accepted_as_it_is(tmp_path):
    (tmp_path / "train_folded.csv").write_text(
        "fold,path,file_id,sequence_id,participant_id,phrase,seq_len,phrase_len\n"
        "0,train_landmarks/5.parquet,5,77,3,1234,90,4\n2,train_landmarks/5.parquet,5,78,4,null,9,4\n")
    folds = read_folds(tmp_path / "train_folded.csv")
    assert folds["fold"].tolist() == [0, 2] and folds["phrase"].tolist() == ["1234", "null"]
    assert folds["holdout"].tolist() == [False, False]


def test_folds_come_back_from_a_file_as_they_were(tmp_path):
    folds = divided(corpus(12, 60), holdout=2)
    folds.to_csv(tmp_path / "folds.csv", index=False)
    pd.testing.assert_frame_equal(read_folds(tmp_path / "folds.csv"), folds, check_dtype=False)


def test_a_table_without_folds_is_refused(tmp_path):
    (tmp_path / "train.csv").write_text("path,file_id,sequence_id,participant_id,phrase\na,1,2,3,x\n")
    with pytest.raises(ValueError, match="train.csv lacks the column seq_len, fold"):
        read_folds(tmp_path / "train.csv")


@pytest.fixture
def rounds():
    table = corpus(6, 60)
    short = table.head(6).assign(is_sup=True, phrase="x" * 32, sequence_id=np.arange(6) + 9000)
    long = table.head(6).assign(is_sup=True, phrase="x" * 33, sequence_id=np.arange(6) + 9500)
    table = pd.concat([table, short, long], ignore_index=True)
    folds = divided(table, folds=2, holdout=1)
    trained = folds[~folds["holdout"]]
    predictions = trained[["file_id", "sequence_id"]].assign(prediction=trained["phrase"].str[1:])
    return table, folds, predictions[::-1]


def test_the_out_of_fold_table_joins_scores_and_short_supplemental_phrases(rounds):
    table, folds, predictions = rounds
    joined = out_of_fold_table(folds, predictions, table)
    assert joined.columns.tolist() == ["file_id", "sequence_id", "participant_id", "phrase", "seq_len", "phrase_len", "fold",
                                       "holdout", "is_sup", "prediction", "score"]
    train = joined[~joined["is_sup"]]
    assert train["sequence_id"].tolist() == folds["sequence_id"].tolist()
    trained, held = train[~train["holdout"]], train[train["holdout"]]
    np.testing.assert_allclose(trained["score"], 1 - 1 / trained["phrase"].str.len())
    assert held["score"].isna().all() and (held["prediction"] == "").all() and len(held)
    sup = joined[joined["is_sup"]]
    assert (sup["score"] == 0.5).all() and (sup["phrase_len"] == 32).all()
    left_out = set(folds.loc[folds["holdout"], "participant_id"])
    assert set(sup["participant_id"]) == set(table["participant_id"]) - left_out


def test_a_missing_or_double_prediction_is_named(rounds):
    table, folds, predictions = rounds
    with pytest.raises(ValueError, match=r"2 training sequences have no prediction \(fold .*run notebook 01"):
        out_of_fold_table(folds, predictions.iloc[2:], table)
    with pytest.raises(ValueError, match="has two predictions"):
        out_of_fold_table(folds, pd.concat([predictions, predictions.head(1)]), table)


@pytest.mark.slow
def test_the_command_shows_the_balance(tmp_path):
    divided(corpus(12, 60)).to_csv(tmp_path / "folds.csv", index=False)
    shown = subprocess.run([sys.executable, "-m", "aslutils", "folds", str(tmp_path / "folds.csv")],
                           capture_output=True, text=True)
    assert shown.returncode == 0 and "participants" in shown.stdout and "deviation %" in shown.stdout
    assert "not balanced within 5 %" in shown.stdout and "12 participants" in shown.stdout
    assert verdict(balance(divided(corpus(94, 20000), holdout=10))).startswith("balanced within 5 %")
    wrong = subprocess.run([sys.executable, "-m", "aslutils", "folds", str(tmp_path / "none.csv")],
                           capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1 and "none.csv" in wrong.stderr


@pytest.mark.parametrize("seed", range(6))
def test_many_swaps_at_once_are_those_that_one_after_the_other_would_be_made(seed):
    rng = np.random.default_rng(seed)
    people, count = int(rng.integers(8, 70)), int(rng.integers(2, 6))
    counts = rng.integers(0, 50, (people, 4)).astype(float)
    counts[:, 0] += 1
    pairs, target = rng.integers(people, size=(900, 2)), rng.integers(count, size=900)
    fold = rng.permutation(np.arange(people) % count)
    expected = fold.copy()
    for (person, other), alone in zip(pairs, target):
        trial = expected.copy()
        trial[[person, other]] = expected[[other, person]] if person != other else alone
        if _imbalance(counts, trial, count) < _imbalance(counts, expected, count):
            expected = trial
    assert _improve(counts, fold, count, pairs, target) and (fold == expected).all()
