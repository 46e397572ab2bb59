"""A run's data: where it comes from, that it is divided once, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from configs import data_config
from small_corpus import write_npy

from aslutils.run.corpus import open_corpus
from aslutils.system.inputs import read_json

pytestmark = pytest.mark.slow


def test_the_published_arrays_are_read_like_the_competitions_files(corpus, tmp_path):
    write_npy(tmp_path / "npy")
    other = open_corpus(data_config(run="npy", data=str(tmp_path / "npy"), fold_count=2))
    assert other.kind == "npy" and len(other.store) == len(corpus.store)
    np.testing.assert_array_equal(other.store.landmarks(3), corpus.store.landmarks(3))


def test_published_folds_are_taken_as_they_are(corpus, tmp_path):
    published = corpus.folds.drop(columns="holdout").assign(fold=lambda table: table["participant_id"] % 2, extra=1)
    published.to_csv(tmp_path / "train_folded.csv", index=False)
    config = data_config(run="toy2", data=str(corpus.data), folds_file=str(tmp_path / "train_folded.csv"))
    assert open_corpus(config).folds["fold"].tolist() == (corpus.folds["participant_id"] % 2).tolist()


def test_a_sequence_that_the_store_lacks_is_named(corpus):
    with pytest.raises(ValueError, match="does not hold the sequence 100/999999"):
        corpus.store.rows(pd.DataFrame({"file_id": [100], "sequence_id": [999999]}))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_of_held_out_people_lies_in_0_to_1(share):
    with pytest.raises(ValueError, match="holdout is"):
        data_config(holdout=share)


def test_demo_data_of_other_parameters_is_an_error_unless_a_fresh_start_is_asked_for(place):
    config = data_config(run="demo", demo_sequences=30, demo_supplemental=4, demo_participants=8)
    assert len(open_corpus(config).store) == 34
    other = replace(config, demo_sequences=24)
    with pytest.raises(FileExistsError, match="another demo data set"):
        open_corpus(other)
    assert len(open_corpus(other, fresh=True).store) == 28
    assert len(open_corpus(other).store) == 28


def test_a_fresh_start_killed_as_it_removes_the_old_data_is_mended_by_the_next(place, monkeypatch):
    config = data_config(run="killed", demo_sequences=30, demo_supplemental=4, demo_participants=8)
    data = open_corpus(config).data

    def killed(path):
        next(Path(path).rglob("*.json")).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", killed)
        open_corpus(replace(config, demo_sequences=24), fresh=True)
    assert len(open_corpus(replace(config, demo_sequences=24), fresh=True).store) == 28
    assert sorted(path.name for path in data.parent.iterdir() if path.name.startswith("data")) == ["data"]


def test_the_parameters_reach_the_data(place):
    config = data_config(run="varied", fold_count=2, demo_sequences=4, demo_supplemental=0, demo_participants=2,
                         demo_characters=3, demo_long=0.5, demo_pace=9.0, demo_missing=0.4, demo_resting=0.3,
                         demo_varied=1.0, demo_seed=7)
    made = read_json(open_corpus(config).data / "demo.json")["config"]
    assert (made["varied"], made["frames_per_character"], made["missing"], made["characters"], made["long"],
            made["resting"], made["seed"]) == (1.0, 9.0, 0.4, [1, 3], 0.5, 0.3, 7)


def test_another_division_of_the_same_run_is_refused_unless_a_fresh_start_is_asked_for(corpus):
    config = data_config(run="toy", data=str(corpus.data), fold_count=2, holdout=0.3)
    other = replace(config, fold_count=3, holdout=0.0)
    with pytest.raises(ValueError, match="folds.csv was divided with another fold_count"):
        open_corpus(other)
    assert (corpus.folder / "folds.csv").is_file() and open_corpus(config).folds.equals(corpus.folds)
    with pytest.raises(ValueError, match="exclude each other"):
        open_corpus(replace(config, folds_file="train_folded.csv"))


def test_a_run_goes_on_with_the_data_that_it_was_made_from(corpus, capsys):
    again = open_corpus(data_config(run="toy", fold_count=2, holdout=0.3))
    assert again.data == corpus.data and again.kind == "competition"
    assert not (corpus.folder / "data").exists()
