"""The table of variants and the choice among them."""

import copy
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from configs import beam_search, model_config
from sensitivity import GROUPS, sensitivity
from toys import TOY, lively, made_columns

from aslutils.model.beam import BeamSearch
from aslutils.model.network import Network
from aslutils.port.compare import read_pytorch, read_tflite
from aslutils.port.export import PRECISIONS, convert, with_precision, write_export
from aslutils.port.precision import set_precisions, unpack
from aslutils.port.variants import build_variants, choose, measure_variants, typical_is_read, typical_sequence
from aslutils.reading.recognizer import OWN_MODEL
from aslutils.reading.tflite import FIXED, Model
from aslutils.run.stages import EXPORT, SEEDS, profile
from aslutils.task.metric import MAX_HOURS, MAX_MILLISECONDS, score
from aslutils.task.text import VOCABULARY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def read(ensemble):
    """Recordings, what PyTorch reads in them, and phrases of which the first half is what it reads."""
    sequences = [made_columns(frames, frames) for frames in (20, 40, 60, 80, 100, 120)]
    reference = [read_pytorch(ensemble, inputs) for inputs in sequences]
    return sequences, reference, [reading.text if place < 3 else "wrong" for place, reading in enumerate(reference)]


@pytest.fixture(scope="module")
def table(ensemble, exported, read):
    sequences, reference, phrases = read
    variants = {precision: with_precision(exported, precision) for precision in PRECISIONS}
    return measure_variants(variants, len(ensemble), sequences, phrases, reference)


def test_each_precision_is_measured(table, read):
    assert table["variant"].tolist() == list(PRECISIONS) and (table["seeds"] == 3).all()
    assert table["megabytes"].is_monotonic_decreasing
    exact = table.iloc[0]
    assert exact["agreement"] == 1.0 and 0 < exact["score"] < 1
    np.testing.assert_allclose(table["hours"], table["milliseconds"] * 68 / 3600)


def test_without_sequences_the_variants_still_have_size_and_time(ensemble):
    unsure = copy.deepcopy(ensemble[0])
    with torch.no_grad():
        unsure.confidence.bias.fill_(-20)
    content = convert([unsure])
    table = measure_variants({"float32": content}, 1)
    assert table["milliseconds"][0] > 0 and np.isnan(table["agreement"][0]) and np.isnan(table["score"][0])
    assert typical_sequence().shape == (150, 390) and typical_is_read((OWN_MODEL / FIXED).read_bytes())
    assert not typical_is_read(content)


def test_every_part_is_tried_in_int8_alone(round2, read):
    reference = [read_pytorch([round2], inputs) for inputs in read[0][:3]]
    parts = sensitivity(convert([round2]), read[0][:3], reference)
    assert len(parts) == 9 and (parts["megabytes"] > 0).all() and (parts["difference"] > 0).any()
    assert {"float16", "int8"} <= set(parts["mixed"])
    ranks = list(zip(parts["changed"], parts["difference"]))
    assert ranks == sorted(ranks, reverse=True) and ranks[-1][0] < 0.5


def test_every_product_belongs_to_one_part(ensemble):
    content = convert(ensemble[:2], beam_search(2, rerank_weight=0.0))
    names = [name for name, kind in set_precisions(unpack(content), lambda name: "int8").items() if kind == "int8"]
    parts = [[part for part, pattern in GROUPS.items() if re.search(pattern, name)] for name in names]
    assert all(len(found) == 1 for found in parts), dict(zip(names, parts))
    assert {part for found in parts for part in found} == set(GROUPS)


def test_four_networks_of_full_size_that_decode_jointly_fit_in_40_mb():
    """Two fit in half of it, and what they share is there only once."""
    (export,), (*_, which, model, _, _) = profile("beyond", EXPORT), profile("beyond", SEEDS)
    networks = [lively(Network(replace(model, ctc=True)), seed) for seed in which.seeds[:2]]
    beam = BeamSearch(export.beams, export.length_penalty, export.rerank_weight, export.ctc_share)
    content = convert(networks, beam)
    smallest = {name: with_precision(content, name) for name in list(PRECISIONS)[-2:]}
    table = pd.DataFrame([{"variant": name, "megabytes": len(made) / 1e6, "milliseconds": 0} for name, made in smallest.items()])
    assert len(which.seeds) == 4
    chosen = smallest[choose(table, export.precision, export.max_mb / 2, export.max_ms)]
    assert Model(chosen)(made_columns(40, 1))["outputs"].shape[1] == VOCABULARY


def test_four_networks_become_one_submission_within_the_limits(tmp_path):
    networks = [lively(Network(model_config(**TOY)), seed) for seed in range(4)]
    sequences = [made_columns(frames, frames) for frames in (20, 60, 100, 140)]
    reference = [read_pytorch(networks, inputs) for inputs in sequences]
    variants = build_variants(networks)
    table = measure_variants(variants, 4, sequences, [reading.text for reading in reference], reference)
    sizes = dict(zip(table["variant"], table["megabytes"]))
    between = (sizes["float16"] + sizes["mixed"]) / 2                       # as 40 MB lie between those of the winning size
    assert choose(table, "auto", max_mb=between, max_ms=MAX_MILLISECONDS) == "mixed"
    assert table["agreement"][0] == 1.0 and (table["hours"] < MAX_HOURS).all()
    path = write_export(variants["mixed"], tmp_path)
    assert path.stat().st_size == round(1e6 * sizes["mixed"])
    texts = [read_tflite(Model(path), inputs).text for inputs in sequences]
    assert score([reading.text for reading in reference], texts) == table["score"][2]


def measured(**megabytes) -> pd.DataFrame:
    return pd.DataFrame({"variant": megabytes.keys(), "megabytes": megabytes.values(),
                         "milliseconds": [90.0, 90.0, 60.0, 50.0][:len(megabytes)]})


def test_auto_takes_the_most_faithful_that_fits():
    table = measured(float32=68.0, float16=35.0, mixed=21.0, int8=19.0)
    assert choose(table, "auto", max_mb=40, max_ms=265) == "float16"
    assert choose(table, "auto", max_mb=40, max_ms=70) == "mixed"
    assert choose(table, "auto", max_mb=20, max_ms=265) == "int8"
    assert choose(table, "auto", max_mb=100, max_ms=265) == "float32"


def test_a_named_precision_is_taken_whatever_its_size():
    table = measured(float32=68.0, float16=35.0)
    assert choose(table, "float32", max_mb=40, max_ms=265) == "float32"


def test_nothing_that_fits_is_an_error_with_the_figures():
    with pytest.raises(ValueError, match="no variant fits 10 MB and 265 ms: float32 68.0 MB, 90 ms; float16 35.0 MB"):
        choose(measured(float32=68.0, float16=35.0), "auto", max_mb=10, max_ms=265)
