import json
import pickle

import numpy as np
import pytest
from small_corpus import WHERE, made_values, write_competition

from aslutils.data.prepare import prepare
from aslutils.data.store import Store, StoreError
from aslutils.task.preprocess import standardise, statistics


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    rows = write_competition(folder / "data")
    prepare(folder / "data", folder / "store", dtype="float32")
    return folder / "store", rows


@pytest.fixture
def copy(whole, tmp_path):
    for file in whole[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_float32_store_gives_back_every_sequence_exactly(whole):
    store, rows = Store(whole[0]), whole[1]
    assert len(store) == len(rows)
    for row, expected in enumerate(rows.itertuples()):
        raw = made_values(expected.length, expected.sequence_id)[:, WHERE].reshape(-1, 3, 130).transpose(0, 2, 1)
        np.testing.assert_array_equal(store.landmarks(row), raw)
        np.testing.assert_allclose(store.frames(row), standardise(raw), atol=1e-5)
        np.testing.assert_allclose(store.statistics[row], statistics(raw), rtol=1e-5)


def test_the_table_is_in_corpus_order_and_says_what_the_csv_files_say(whole):
    table, rows = Store(whole[0]).table, whole[1]
    for column in ("file_id", "sequence_id", "participant_id", "phrase", "is_sup", "length"):
        assert table[column].tolist() == rows[column].tolist(), column
    hands = [(~np.isnan(made_values(row.length, row.sequence_id)[:, WHERE[61:82]])).any(1).sum() for row in rows.itertuples()]
    assert table["hand_frames"].tolist() == hands


def test_another_process_opens_the_files_itself(whole):
    store = Store(whole[0])
    assert len(pickle.dumps(store)) < 1000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).landmarks(3), store.landmarks(3))


def test_a_folder_that_is_no_store_is_refused_with_the_way_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="python -m aslutils prepare"):
        Store(tmp_path)


@pytest.mark.parametrize("name", ["columns.bin", "table.parquet"])
def test_a_store_cut_short_is_recognised(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-100])
    with pytest.raises(StoreError, match=f"{name}.*cut short.*--rebuild"):
        Store(copy)


@pytest.mark.parametrize("change, message", [({"version": 99}, "version 99"), ({"landmarks": "0"}, "other landmarks"),
                                             ({"dtype": "float8"}, "other landmarks")])
def test_a_store_of_another_version_is_recognised_by_its_header(copy, change, message):
    header = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps({**header, **change}))
    with pytest.raises(StoreError, match=f"{message}.*--rebuild"):
        Store(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_header_that_says_nothing_is_refused(copy, text):
    (copy / "store.json").write_text(text)
    with pytest.raises(StoreError, match="not a store's header.*--rebuild"):
        Store(copy)


def test_float16_rounding_is_far_below_the_jitter_of_the_landmarks(shared, tmp_path):
    """The jitter, a landmark's second difference over the hand size, is about 0.075 in these sequences."""
    exact = prepare(shared / "realdata" / "competition", tmp_path / "exact", dtype="float32")
    rounded = prepare(shared / "realdata" / "competition", tmp_path / "rounded", dtype="float16")
    hand_size = 0.165
    x_y = np.stack([np.concatenate([store.landmarks(row)[..., :2].ravel() for row in range(len(store))])
                    for store in (exact, rounded)])
    assert np.nanmax(np.abs(x_y[0] - x_y[1])) / hand_size < 0.075 / 10
    assert np.nanmean(np.abs(x_y[0] - x_y[1])) / hand_size < 0.075 / 50
    for row in range(len(exact)):
        np.testing.assert_allclose(rounded.frames(row), exact.frames(row), atol=0.02)
