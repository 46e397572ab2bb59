"""A sequence is named by its file and its id: a corpus whose ids begin anew in every file loses nothing."""

from dataclasses import replace

import numpy as np
import pytest
from configs import data_config, loss_config
from small_corpus import corpus_rows, write_competition
from tiny_tflite import frame_count_model
from toy import AUGMENTATIONS, MODEL, TRAIN

from aslutils.data.sources import IDENTITY
from aslutils.reading.scorer import score_submission
from aslutils.run.corpus import open_corpus
from aslutils.system.files import write_json
from aslutils.task.landmarks import COLUMNS
from aslutils.training import rounds
from aslutils.training.jobs import train_all

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(place, tmp_path_factory):
    made = corpus_rows(files=3, sequences=6, supplemental=1)
    made["sequence_id"] = made.groupby("file_id").cumcount()
    made.attrs["folder"] = tmp_path_factory.mktemp("data")
    write_competition(made.attrs["folder"], made)
    return made


def test_every_sequence_is_prepared_trained_on_read_and_tabled_with_its_own_score(rows):
    corpus = open_corpus(data_config(run="restart", data=str(rows.attrs["folder"]), fold_count=2))
    assert len(corpus.store) == len(rows) and corpus.store.lengths.tolist() == rows["length"].tolist()
    model = replace(MODEL, attention="relative", part_stems=False, backward_decoder=False, confidence=False)
    jobs = [rounds.fold_job(corpus, fold, model, loss_config(), TRAIN, AUGMENTATIONS) for fold in (0, 1)]
    assert train_all(jobs)
    table = rounds.build_table(corpus.folder)
    train = table[~table["is_sup"]]
    assert len(train) == (~rows["is_sup"]).sum() and not train[IDENTITY].duplicated().any()
    assert train["phrase"].tolist() == rows.loc[~rows["is_sup"], "phrase"].tolist()
    assert np.isfinite(train["score"]).all()


def test_the_scorer_tells_equal_ids_of_two_files_apart(rows, tmp_path):
    (tmp_path / "model.tflite").write_bytes(frame_count_model(len(COLUMNS)))
    write_json(tmp_path / "inference_args.json", {"selected_columns": COLUMNS})
    train = rows[~rows["is_sup"]]
    result = score_submission(tmp_path, rows.attrs["folder"])["predictions"]
    assert result["length"].tolist() == train["length"].tolist()
    wanted = train[(train["file_id"] == 101) & (train["sequence_id"] < 2)]
    chosen = score_submission(tmp_path, rows.attrs["folder"], sequences=wanted)["predictions"]
    assert chosen[IDENTITY].values.tolist() == [[101, 0], [101, 1]] and chosen["length"].tolist() == wanted["length"].tolist()
