"""What notebooks 04 and 05 find and decide: inputs, how the model decodes, how the confidence is rated, what the report says."""

import numpy as np
import pandas as pd
import pytest
from configs import export_config, model_config, submission_config
from toys import ROUND1, TOY

from aslutils.kaggle.card import write_model_card
from aslutils.model.beam import BeamSearch
from aslutils.model.checkpoint import Checkpoint
from aslutils.model.network import Network
from aslutils.run import scoring
from aslutils.run.export import (
    CTC_SHARE,
    MIN_CERTAINTY,
    MIN_CERTAINTY_SHOWN,
    decoding,
    find_checkpoints,
    find_export,
    half_rate,
    limits,
    names,
    search_stays,
    usual,
)
from aslutils.run.scoring import ScoredOn, auc, by_kind, kinds
from aslutils.system.files import write_json
from aslutils.task.rejection import Limits

OURS = Checkpoint(Network(model_config(**TOY)), {"backward_weight": 0.4})
HEADED = Checkpoint(Network(model_config(**TOY, ctc=True)), {"backward_weight": 0.4, "ctc_weight": 1.0})
SHOWING = Checkpoint(Network(model_config(**TOY, shown=True)), {"backward_weight": 0.4})
UNTRAINED = Checkpoint(Network(model_config(**TOY)), {"backward_weight": 0.0})
PUBLISHED = Checkpoint(Network(model_config(**TOY)), published=True)
FIRST_ROUND = Checkpoint(Network(model_config(**TOY, **ROUND1)))


@pytest.mark.parametrize("loaded, beams, expected", [
    ([OURS, OURS], -1, BeamSearch(8, 0.3, 0.2)),
    ([OURS, PUBLISHED], -1, None),
    ([OURS, FIRST_ROUND], -1, None),
    ([OURS, UNTRAINED], -1, None),
    ([OURS], 0, None),
    ([PUBLISHED], 4, BeamSearch(4, 0.3, 0.2)),
    ([HEADED, HEADED], -1, BeamSearch(8, 0.3, 0.2, CTC_SHARE)),
    ([HEADED, OURS], -1, BeamSearch(8, 0.3, 0.2)),
])
def test_left_to_itself_the_export_searches_where_the_gain_was_measured(loaded, beams, expected):
    assert decoding(export_config(beams=beams, length_penalty=0.3, rerank_weight=0.2), loaded) == expected


def test_what_is_not_there_is_named_with_the_notebook_that_makes_it(tmp_path):
    for find, words in ((lambda: find_checkpoints(tmp_path, []), "no finished seed; run notebook 03_fullfit first"),
                        (lambda: find_checkpoints(tmp_path, ["/no/such.pth"]), "there is no checkpoint /no/such.pth"),
                        (lambda: find_export(tmp_path), "lacks model.tflite; run notebook 04_convert_tflite first")):
        with pytest.raises(FileNotFoundError, match=words):
            find()


@pytest.mark.parametrize("asked, by_search, stays", [
    ({}, 0.81, True), ({}, 0.79, True), ({}, 0.77, False), ({"beams": 8}, -0.76, True), ({"ctc_share": 0.3}, -0.76, True),
])
def test_a_search_that_nobody_asked_for_stays_unless_it_reads_clearly_worse(asked, by_search, stays):
    assert search_stays(export_config(**{"beams": -1, "ctc_share": -1.0} | asked), by_search, greedily=0.80) == stays


@pytest.mark.parametrize("loaded, asked, expected", [
    ([OURS], -1, MIN_CERTAINTY), ([SHOWING, OURS], -1, MIN_CERTAINTY), ([SHOWING, SHOWING], -1, MIN_CERTAINTY_SHOWN),
    ([OURS, PUBLISHED], -1, 0.0), ([SHOWING, PUBLISHED], -1, 0.0), ([SHOWING], 0.05, 0.05), ([OURS], 0.0, 0.0),
    ([PUBLISHED], 0.3, 0.3)])
def test_only_our_networks_texts_are_rejected_by_certainty_unless_it_is_asked_for(loaded, asked, expected):
    assert limits(export_config(min_certainty=asked, min_confidence=0.2), loaded) == Limits(0.2, expected)


@pytest.mark.parametrize("loaded, asked, expected", [
    ([OURS], True, True), ([OURS], False, False), ([OURS, PUBLISHED], True, False), ([PUBLISHED], True, False)])
def test_published_networks_never_read_at_half_rate(loaded, asked, expected):
    assert half_rate(export_config(half_rate=asked), loaded) == expected


@pytest.mark.parametrize("config, name, value", [(export_config, "beams", -5), (export_config, "compared", 0),
                                                 (export_config, "fixed_frames", 14), (export_config, "min_confidence", 1.0),
                                                 (export_config, "min_certainty", -0.1), (export_config, "min_certainty", 1.0),
                                                 (submission_config, "scored", -1)])
def test_a_number_that_means_nothing_is_refused(config, name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        config(**{name: value})


def named(*ids):
    return pd.DataFrame({"file_id": 7, "sequence_id": ids})


def test_the_confidence_is_rated_by_how_it_ranks():
    assert auc([0.9, 0.8], [0.1, 0.2]) == 1.0 and auc([0.9, 0.15], [0.1, 0.2]) == 0.75 and auc([0.5], [0.5]) == 0.5
    assert np.isnan(auc([], [0.9])) and np.isnan(auc([0.9], [float("nan")]))


def test_each_kind_of_the_demo_s_sequences_is_rated_by_itself(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "unreadable.csv").write_text("file_id,sequence_id,kind\n7,3,late\n7,4,rest\n8,1,pass\n")
    found = kinds(tmp_path, named(1, 4, 3, 2))
    assert found.tolist() == ["spelled", "nobody spells", "corrupted", "spelled"]
    assert kinds(tmp_path / "other", named(1, 3)).tolist() == ["spelled"] * 2
    answers = pd.DataFrame({"phrase": ["ab", "c", "de", "fg"], "prediction": ["ab", "2 a-e -aroe", "x", "fx"],
                            "read": [True, False, True, True], "confidence": [0.9, 0.1, 0.6, 0.5]})
    table = by_kind(found, answers)
    assert table.index.tolist() == ["spelled", "corrupted", "nobody spells"] and table["sequences"].tolist() == [2, 1, 1]
    assert table["score"].tolist() == [0.75, 0, 0] and table["read"].tolist() == [1, 1, 0]
    assert table["AUC"].tolist()[1:] == [0.5, 1.0] and np.isnan(table["AUC"].iloc[0])


@pytest.mark.parametrize("kind, sequences", [("demo", "| made from | made up"), ("competition", "the competition's layout")])
def test_report_and_model_card_say_whether_the_sequences_were_made_up(tmp_path, kind, sequences):
    export = {"facts": [{"dim": 96, "augmentations": [{}]}], "megabytes": 7.3, "variant": "float32", "seeds": 1, "beams": 8}
    write_json(tmp_path / "export" / "report.json", export)
    report = scoring.submission_report(tmp_path, None, ScoredOn.GIVEN)
    assert "| made from |" not in write_model_card(tmp_path, report).read_text()
    write_json(tmp_path / "corpus.json", {"kind": kind})
    report = scoring.submission_report(tmp_path, None, ScoredOn.GIVEN)
    assert report["parameters"] == {"dim": 96} and report["score"] is None and report["megabytes"] == 7.3
    assert sequences in write_model_card(tmp_path, report).read_text()


def test_what_is_published_names_no_folder_of_the_machine(tmp_path):
    run = tmp_path / "run"
    assert names(run, [run / "round2/seed1/checkpoint.pt", tmp_path / "home/alice/best.pth"]) == [
        "round2/seed1/checkpoint.pt", "best.pth"]


def test_what_was_usual_is_the_least_of_what_all_networks_say():
    facts = {"usual_end": 7, "usual_characters": 10}, {"usual_end": 5, "usual_characters": 12}, {"usual_end": 6}
    loaded = [Checkpoint(OURS.network, known) for known in facts]
    assert usual(loaded[:2]) == {"usual_end": 5, "usual_characters": 10}
    assert usual(loaded) == {"usual_end": 5}
