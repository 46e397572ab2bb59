"""What notebooks 04 and 05 decide: how the model decodes, how the confidence is rated, what the report says."""

import pytest
from toys import ROUND1, TOY

from aslutils.kaggle import write_model_card
from aslutils.model.beam import BeamSearch
from aslutils.model.checkpoint import Checkpoint
from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.run import release
from aslutils.system.files import write_json

OURS = Checkpoint(Network(ModelConfig(**TOY)), {"backward_weight": 0.4})
UNTRAINED = Checkpoint(Network(ModelConfig(**TOY)), {"backward_weight": 0.0})
PUBLISHED = Checkpoint(Network(ModelConfig(**TOY)), published=True)
FIRST_ROUND = Checkpoint(Network(ModelConfig(**TOY, **ROUND1)))


@pytest.mark.parametrize("loaded, beams, expected", [
    ([OURS, OURS], -1, BeamSearch(8, 0.3, 0.2)),
    ([OURS, PUBLISHED], -1, None),
    ([OURS, FIRST_ROUND], -1, None),
    ([OURS, UNTRAINED], -1, None),
    ([OURS], 0, None),
    ([PUBLISHED], 4, BeamSearch(4, 0.3, 0.2)),
])
def test_left_to_itself_the_export_searches_where_the_gain_was_measured(loaded, beams, expected):
    assert release.decoding(release.ExportConfig(beams=beams, length_penalty=0.3, rerank_weight=0.2), loaded) == expected


@pytest.mark.parametrize("config, name, value", [(release.ExportConfig, "beams", -5), (release.ExportConfig, "compared", 0),
                                                 (release.SubmissionConfig, "scored", -1)])
def test_a_number_that_means_nothing_is_refused(config, name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        config(**{name: value})


def test_the_confidence_is_rated_by_how_it_ranks_spoilt_recordings(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "broken.csv").write_text("sequence_id,kind\n3,late\n4,early\n")
    assert release.confidence_auc(tmp_path, [1, 2, 3, 4], [0.9, 0.8, 0.1, 0.2]) == 1.0
    assert release.confidence_auc(tmp_path, [1, 2, 3, 4], [0.9, 0.15, 0.1, 0.2]) == 0.75
    assert release.confidence_auc(tmp_path, [1, 2], [0.9, 0.8]) is None
    assert release.confidence_auc(tmp_path, [1, 3], [float("nan")] * 2) is None
    assert release.confidence_auc(tmp_path / "other", [1, 3], [0.9, 0.8]) is None


@pytest.mark.parametrize("kind, recordings", [("demo", "| recordings | made up"), ("competition", "the competition's layout")])
def test_report_and_model_card_say_whether_the_recordings_were_made_up(tmp_path, kind, recordings):
    export = {"facts": [{"dim": 96, "augmentations": [{}]}], "megabytes": 7.3, "variant": "float32", "seeds": 1, "beams": 8}
    write_json(tmp_path / "export" / "report.json", export)
    assert "| recordings |" not in write_model_card(tmp_path, release.submission_report(tmp_path, None, "")).read_text()
    write_json(tmp_path / "corpus.json", {"kind": kind})
    report = release.submission_report(tmp_path, None, "")
    assert report["parameters"] == {"dim": 96} and report["score"] is None and report["megabytes"] == 7.3
    assert recordings in write_model_card(tmp_path, report).read_text()
