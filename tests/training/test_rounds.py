"""Which sequences each round trains on and reads, from a run's folder to its table."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from configs import loss_config, seeds_config
from toy import AUGMENTATIONS, MODEL, TRAIN

from aslutils.data.augment import CutMix
from aslutils.data.folds import held_out
from aslutils.run.export import find_checkpoints
from aslutils.run.scoring import ScoredOn, scored_rows, scored_sequences
from aslutils.system.files import write_json, write_table
from aslutils.training import rounds
from aslutils.training.config import FoldsConfig
from aslutils.training.folder import PREDICTIONS
from aslutils.training.jobs import train_all
from aslutils.training.trainer import Trainer

pytestmark = pytest.mark.slow

LOSS, ONE_SEED = loss_config(), seeds_config(seeds=[])


def participants(corpus, rows):
    return set(corpus.store.table["participant_id"].to_numpy()[rows])


def test_a_fold_trains_on_other_people_than_it_reads_and_never_on_held_out_ones(corpus):
    held = set(corpus.folds.loc[corpus.folds["holdout"], "participant_id"])
    assert len(held) == 1
    read = []
    for fold in (0, 1):
        job = rounds.fold_job(corpus, fold, MODEL, LOSS, TRAIN, AUGMENTATIONS)
        assert not participants(corpus, job.rows) & participants(corpus, job.validation)
        assert not held & (participants(corpus, job.rows) | participants(corpus, job.validation))
        assert not corpus.store.table["is_sup"].to_numpy()[job.rows].any()
        read += job.validation.tolist()
    assert sorted(read) == sorted(corpus.store.rows(corpus.folds[~corpus.folds["holdout"]]).tolist())


def test_a_fold_that_does_not_exist_is_named(corpus):
    with pytest.raises(ValueError, match=r"no fold 7; there are \[0, 1\]"):
        rounds.fold_job(corpus, 7, MODEL, LOSS, TRAIN, AUGMENTATIONS)


def test_how_many_sequences_are_too_short_to_train_on_is_told(corpus, capsys):
    rows = rounds.fold_job(corpus, 0, MODEL, LOSS, TRAIN, AUGMENTATIONS).rows
    assert capsys.readouterr().out == ""
    lengths = corpus.store.lengths[rows]
    limit = int(np.median(lengths)) + 1
    rounds.fold_job(corpus, 0, MODEL, LOSS, replace(TRAIN, min_frames=limit), AUGMENTATIONS)
    short = (lengths < limit).sum()
    expected = f"fold 0: {short} of {len(rows)} sequences are left out: they have fewer than {limit} frames\n"
    assert 0 < short < len(rows) and capsys.readouterr().out == expected


def test_the_auxiliary_head_is_there_when_its_loss_is(corpus):
    assert not rounds.fold_job(corpus, 0, MODEL, LOSS, TRAIN, AUGMENTATIONS).model.ctc
    assert rounds.fold_job(corpus, 0, MODEL, loss_config(ctc_weight=0.5), TRAIN, AUGMENTATIONS).model.ctc


@pytest.mark.parametrize("shown, weight, has", [(None, 0.5, False), ("", 0.5, False), ("aa·b", 0.5, True), ("aa·b", 0.0, False)])
def test_the_head_of_what_frames_show_is_there_when_the_data_say_it(corpus, monkeypatch, shown, weight, has):
    monkeypatch.setattr(corpus.store, "shown", None if shown is None else [shown] * len(corpus.store))
    job = rounds.fold_job(corpus, 0, MODEL, loss_config(shown_weight=weight), TRAIN, AUGMENTATIONS)
    assert job.model.shown == has


def test_without_the_out_of_fold_table_every_score_is_one_and_it_says_so(corpus, capsys):
    table = rounds.training_table(corpus)
    assert "every score is 1" in capsys.readouterr().out
    assert (table["score"] == 1).all() and table["is_sup"].any()


def test_the_table_says_which_folds_are_still_to_be_trained(corpus):
    with pytest.raises(FileNotFoundError, match=r"lacks the finished folds \[0, 1\]; run notebook 01"):
        rounds.build_table(corpus.folder)
    with pytest.raises(FileNotFoundError, match="folds.csv; run notebook 01_round1_folds first"):
        rounds.build_table(corpus.folder.parent / "nothing")


def test_both_rounds_from_files_to_a_scored_ensemble_table(corpus, capsys):
    model = replace(MODEL, attention="relative", part_stems=False, backward_decoder=False, confidence=False)
    jobs = [rounds.fold_job(corpus, fold, model, LOSS, TRAIN, AUGMENTATIONS) for fold in (0, 1)]
    assert train_all(jobs)
    table = rounds.build_table(corpus.folder)
    train, sup = table[~table["is_sup"]], table[table["is_sup"]]
    assert len(train) == len(corpus.folds) and train.loc[~train["holdout"], "score"].between(0, 1).all()
    assert (sup["score"] == 0.5).all() and not set(sup["participant_id"]) & set(train.loc[train["holdout"], "participant_id"])

    again = rounds.training_table(corpus)
    assert "out-of-fold scores" in capsys.readouterr().out
    pd.testing.assert_series_equal(again["score"], table["score"])
    (job,) = rounds.seed_jobs(corpus, again, ONE_SEED, MODEL, LOSS, TRAIN, AUGMENTATIONS)
    assert participants(corpus, job.validation) == set(train.loc[train["holdout"], "participant_id"])
    assert len(job.rows) == (~again["holdout"]).sum() and np.isfinite(job.scores).all()
    assert train_all([job])
    assert rounds.final_predictions(job, corpus)["row"].tolist() == job.validation.tolist()
    assert "held-out" in rounds.validation_words(job)
    assert find_checkpoints(corpus.folder, []) == [corpus.folder / "round2/seed1/checkpoint.pt"]


def test_round_two_learns_each_sequences_own_score(corpus):
    table = rounds.training_table(corpus)
    table["score"] = np.linspace(0, 1, len(table))
    (job,) = rounds.seed_jobs(corpus, table, ONE_SEED, MODEL, LOSS, TRAIN, AUGMENTATIONS)
    own = dict(zip(corpus.store.rows(table), table["score"]))
    assert job.scores.tolist() == [own[row] for row in job.rows]


def test_a_table_that_holds_other_people_out_is_refused(corpus, tmp_path):
    write_table(tmp_path / rounds.TABLE, rounds.training_table(corpus).assign(holdout=False))
    with pytest.raises(ValueError, match="holds out other participants than .*run notebook 02_build_oof again"):
        rounds.training_table(replace(corpus, folder=tmp_path))


def test_nobody_held_out_means_a_look_at_what_was_trained_on(corpus):
    table = rounds.training_table(corpus).assign(holdout=False)
    (job,) = rounds.seed_jobs(corpus, table.fillna({"score": 1.0}), seeds_config(seeds=[2]), MODEL, LOSS, TRAIN, AUGMENTATIONS)
    assert train_all([job])
    assert len(job.validation) == 0 and "trained on" in rounds.validation_words(job)
    assert len(rounds.final_predictions(job, corpus)) == len(job.rows)


def test_round_two_is_a_training_for_each_of_the_seeds_or_for_the_one_seed(corpus):
    table = rounds.training_table(corpus)
    for seeds, trained in (([3, 5], [3, 5]), ([], [TRAIN.seed])):
        jobs = rounds.seed_jobs(corpus, table, seeds_config(seeds=seeds), MODEL, LOSS, TRAIN, AUGMENTATIONS)
        assert [(job.train.seed, job.folder.name) for job in jobs] == [(seed, f"seed{seed}") for seed in trained]


def test_cuts_are_aligned_by_the_borders_that_round_one_leaves(corpus, tmp_path):
    aligned = replace(corpus, folder=tmp_path)
    (tmp_path / "store").symlink_to(corpus.folder / "store")
    shutil.copy(corpus.folder / "folds.csv", tmp_path)
    loss = loss_config(ctc_weight=0.5)
    assert train_all([rounds.fold_job(aligned, fold, MODEL, loss, TRAIN, AUGMENTATIONS) for fold in (0, 1)])
    rounds.build_table(tmp_path)
    table = rounds.training_table(aligned)
    known = table[~table["is_sup"] & ~table["holdout"]]
    assert (known["borders"] != "").any() and (table.loc[table["is_sup"], "borders"] == "").all()
    table.loc[known.index, "score"] = np.where(np.arange(len(known)) % 3, 0.3, 0.29)      # so short a training reads nothing
    plain, = rounds.seed_jobs(aligned, table, ONE_SEED, MODEL, loss, TRAIN, AUGMENTATIONS)
    job, = rounds.seed_jobs(aligned, table, seeds_config(seeds=[], align_cuts=True), MODEL, loss, TRAIN, AUGMENTATIONS)
    assert not plain.borders and set(job.borders) <= set(job.rows.tolist()) and job.facts() != plain.facts()
    phrases = corpus.store.table["phrase"]
    unread = set(aligned.store.rows(table)[(table["score"] < 0.3).to_numpy()].tolist())
    assert {row for row, borders in job.borders.items() if borders is None} == unread & set(job.rows.tolist()) != set()
    for row, borders in job.borders.items():
        if borders is not None:
            assert len(borders) == len(phrases[row]) - 1 and all(0 < frame < corpus.store.lengths[row] for frame in borders)
    loader = Trainer(replace(job, folder=tmp_path / "aligned")).loader
    cuts = [(row, at, plan.cut[0]) for epoch in range(4) for batch in loader.plans(epoch) for plan in batch
            for row, at in zip((plan.row, plan.partner), plan.at)]
    assert {row in job.borders for row, *_ in cuts} == {True, False} and not unread & {row for row, *_ in cuts}
    for row, at, u in cuts:
        own = job.borders.get(row)
        assert at == (CutMix.place(int(corpus.store.lengths[row]), u) if own is None
                      else [0, *own][CutMix.place(len(phrases[row]), u)])


def test_cuts_cannot_be_aligned_without_borders_or_by_those_of_another_run(corpus):
    table, which = rounds.training_table(corpus).assign(holdout=False), seeds_config(seeds=[], align_cuts=True)
    for unaligned in (table, table.assign(borders=(table["fold"] == 0).map({True: "1 2", False: ""}))):
        with pytest.raises(ValueError, match=r"in the folds \[(0, )?1\] no border between characters is known: train"):
            rounds.seed_jobs(corpus, unaligned, which, MODEL, LOSS, TRAIN, AUGMENTATIONS)
    for borders in ("2", "7 5 3 1", "a b", "100000 100001"):
        with pytest.raises(ValueError, match=r"the borders '.*' are not of '.*they are of another run; run notebooks 01 and 02"):
            rounds.seed_jobs(corpus, table.assign(borders=borders), which, MODEL, LOSS, TRAIN, AUGMENTATIONS)


@pytest.mark.parametrize("numbers", [[1, 2, 1], ["1"], [True], [[1]]])
def test_seeds_and_folds_that_are_not_whole_numbers_each_once_are_refused(numbers):
    for kind, name in ((seeds_config, "seeds"), (FoldsConfig, "folds")):
        with pytest.raises(ValueError, match=f"{name} is .*must hold distinct whole numbers"):
            kind(**{name: numbers})


def test_to_train_no_fold_at_all_is_refused():
    with pytest.raises(ValueError, match=r"folds is \[\]; it must name at least one fold"):
        FoldsConfig(folds=[])


def test_scores_are_told_a_row_a_network_of_what_would_be_handed_in():
    read = pd.DataFrame({"phrase": ["abcd", "2 a-e -aroe"], "prediction": ["abcx", "noise"], "length": [30, 3], "hand_frames": 3,
                         "confidence": 0.9})
    told = rounds.score_table({"seed 1": read, "seed 2": read.assign(prediction=read["phrase"])})
    assert told.loc["seed 1", "score"] == pytest.approx(14 / 15)     # the short sequence is answered with the dummy phrase
    assert told.loc["seed 2", ["score", "95 % from", "95 % to", "sequences"]].tolist() == [1, 1, 1, 2]


def test_sequences_count_as_held_out_only_for_networks_of_the_same_division(corpus):
    ours = {"held_out": held_out(corpus.folds)}
    held = corpus.folds[corpus.folds["holdout"]]
    fullfit, published = {"held_out": ""}, {"checkpoint": "a.pth"}
    for facts, kind in (([ours], ScoredOn.HELD_OUT), ([ours, fullfit], ScoredOn.ELSEWHERE),
                        ([ours, published], ScoredOn.ELSEWHERE)):
        assert scored_rows(corpus.folder, 10, facts)[2] is kind
        write_json(corpus.folder / "export" / "report.json", {"facts": facts})
        sequences, told = scored_sequences(corpus.folder, 10, "")
        assert told is kind and len(sequences) and set(sequences["sequence_id"]) <= set(held["sequence_id"])


def test_predictions_that_an_earlier_version_wrote_are_read(corpus, tmp_path):
    """Its columns were called `frames` and `seen`."""
    rows = corpus.store.table.iloc[[3, 1]]
    write_table(tmp_path / PREDICTIONS, rows[["file_id", "sequence_id", "participant_id", "phrase"]].assign(
        row=[0, 1], frames=9, seen=True, prediction="1e5", confidence=[0.5, np.nan]))
    table = rounds.read_predictions(tmp_path, corpus.store)
    assert table["row"].tolist() == [3, 1] and table["length"].tolist() == rows["length"].tolist()
    assert table["hand_frames"].tolist() == rows["hand_frames"].tolist() and table["prediction"].tolist() == ["1e5", "1e5"]
