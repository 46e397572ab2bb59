"""Bad input to a preparation: an error that names the file and says what to do, or a skip that is listed with its reason."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from small_corpus import WHERE, corpus_rows, made_values, write_competition, write_npy, write_tables

from aslutils.data import prepare as preparing
from aslutils.data.prepare import prepare
from aslutils.data.sources import DataError
from aslutils.data.store import Store
from aslutils.task.landmarks import COLUMNS


def skipped(store: Store) -> dict[int, str]:
    table = pd.read_csv(store.path / "skipped.csv")
    return dict(zip(table["sequence_id"], table["reason"]))


def test_a_file_cut_short_is_named_and_mending_it_costs_no_other_file(own, tmp_path, monkeypatch):
    file = own[0] / "train_landmarks" / "100.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DataError, match="1 of 2 files(.|\n)*train_landmarks/100.parquet.*download it again"):
        prepare(own[0], tmp_path / "store")
    file.write_bytes(whole)
    converted, convert = [], preparing.convert
    monkeypatch.setattr(preparing, "convert", lambda task: converted.append(task.source.name) or convert(task))
    assert len(prepare(own[0], tmp_path / "store")) == 6 and converted == ["train_landmarks/100.parquet"]


def test_leaving_out_the_rows_of_an_unreadable_file_costs_no_other_file_before_it(own, tmp_path, monkeypatch):
    folder, rows = own
    (folder / "train_landmarks" / "101.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="leave its rows out of the CSV file"):
        prepare(folder, tmp_path / "store")
    write_tables(folder, rows[rows["file_id"] != 101])
    monkeypatch.setattr(preparing, "convert", None)
    assert len(prepare(folder, tmp_path / "store")) == 3


def test_a_file_damaged_inside_is_named(own, tmp_path):
    file = own[0] / "train_landmarks" / "100.parquet"
    corrupted = bytearray(file.read_bytes())
    corrupted[1000:len(corrupted) // 3] = bytes(len(corrupted) // 3 - 1000)
    file.write_bytes(corrupted)
    with pytest.raises(DataError, match="train_landmarks/100.parquet cannot be read as parquet"):
        prepare(own[0], tmp_path / "store")


def test_a_file_that_lacks_a_column_is_named(own, tmp_path):
    file = own[0] / "train_landmarks" / "100.parquet"
    parquet.write_table(parquet.read_table(file).drop_columns(["x_face_61", "z_pose_20"]), file)
    with pytest.raises(DataError, match="train_landmarks/100.parquet: it lacks the column x_face_61 and 1 more; is this"):
        prepare(own[0], tmp_path / "store")


def test_columns_of_another_type_are_taken_and_text_is_named(own, tmp_path):
    folder, rows = own
    file = folder / rows["path"][0]
    table = parquet.read_table(file)
    wide = pa.table({name: pa.nulls(len(table)) if name.startswith("x_left") else table[name].cast(
        pa.float64() if name in COLUMNS else table[name].type) for name in table.column_names})
    parquet.write_table(wide, file)
    store = prepare(folder, tmp_path / "store", dtype="float32")
    np.testing.assert_array_equal(store.array[:rows["length"][0]], made_values(rows["length"][0], 1000)[:, WHERE])
    parquet.write_table(wide.set_column(wide.column_names.index("x_face_0"), "x_face_0", pa.array(["left"] * len(wide))), file)
    with pytest.raises(DataError, match="train_landmarks/100.parquet: its column x_face_0 holds string, expected numbers"):
        prepare(folder, tmp_path / "other")


def test_in_several_processes_every_unreadable_file_is_named(own, tmp_path):
    for name in ("100", "101"):
        (own[0] / "train_landmarks" / f"{name}.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="2 of 2 files(.|\n)*100.parquet(.|\n)*101.parquet"):
        prepare(own[0], tmp_path / "store", workers=2)


SPOILT = {
    "empty": ("", "empty phrase"), "blank": ("  ", "empty phrase"), "unknown": ("Grüße", "'Gü"), "capital": ("Hello", "'H'"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_phrase_that_cannot_be_learnt_is_a_listed_skip(own, tmp_path, case):
    folder, rows = own
    phrase, reason = SPOILT[case]
    rows.loc[1, "phrase"] = phrase
    write_tables(folder, rows)
    store = prepare(folder, tmp_path / "store")
    assert len(store) == 5 and 1001 not in store.table["sequence_id"].tolist()
    assert list(skipped(store)) == [1001] and reason in skipped(store)[1001]


def test_a_nan_phrase_is_a_listed_skip_but_phrases_that_look_like_one_are_not(own, tmp_path):
    folder, rows = own
    rows["phrase"] = [np.nan, "null", "1234", "nan", "0012", "1e5"]
    write_tables(folder, rows)
    store = prepare(folder, tmp_path / "store")
    assert store.table["phrase"].tolist() == ["null", "1234", "nan", "0012", "1e5"]
    assert skipped(store) == {1000: "empty phrase"}


def test_a_sequence_absent_from_its_file_is_a_listed_skip(own, tmp_path):
    folder, rows = own
    write_tables(folder, pd.concat([rows, rows.tail(1).assign(sequence_id=4242)], ignore_index=True))
    store = prepare(folder, tmp_path / "store")
    assert len(store) == 6 and skipped(store) == {4242: "not in train_landmarks/101.parquet"}


def test_a_file_named_but_absent_is_a_listed_skip_of_its_sequences(own, tmp_path):
    (own[0] / "train_landmarks" / "100.parquet").unlink()
    store = prepare(own[0], tmp_path / "store")
    assert len(store) == 3 and set(skipped(store).values()) == {"its file train_landmarks/100.parquet is absent"}


def test_a_sequence_twice_keeps_the_first_and_lists_the_second(own, tmp_path):
    folder, rows = own
    write_tables(folder, pd.concat([rows, rows.head(1).assign(phrase="other")], ignore_index=True))
    store = prepare(folder, tmp_path / "store")
    assert len(store) == 6 and store.table["phrase"][0] == rows["phrase"][0]
    assert skipped(store) == {1000: "its file_id and sequence_id occur twice in train.csv; the first row is kept"}


def rewrite(path, change):
    """Write a landmark file again with its table of pandas changed."""
    change(parquet.read_table(path).to_pandas()).to_parquet(path)


def test_a_sequence_scattered_over_its_file_is_a_listed_skip_if_nothing_tells_its_order(own, tmp_path):
    folder, rows = own
    rewrite(folder / rows["path"][0], lambda table: pd.concat([table[2:], table[:2]]).drop(columns="frame"))
    store = prepare(folder, tmp_path / "store")
    assert len(store) == 5
    assert skipped(store) == {1000: "its rows are scattered, and no column frame tells their order (train_landmarks/100.parquet)"}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_are_read_in_the_order_that_their_column_frame_says(own, tmp_path, dtype):
    folder, rows = own
    right = prepare(folder, tmp_path / "right", dtype=dtype)
    rewrite(folder / rows["path"][0], lambda table: table.sample(frac=1, random_state=3))
    store = prepare(folder, tmp_path / "store", dtype=dtype)
    np.testing.assert_array_equal(store.array, right.array)
    np.testing.assert_allclose(store.statistics, right.statistics, rtol=1e-5, atol=1e-6)
    assert store.table["hand_frames"].equals(right.table["hand_frames"]) and skipped(store) == {}


def test_of_doubled_rows_the_first_is_kept_and_they_are_listed(own, tmp_path, capsys):
    folder, rows = own
    right = prepare(folder, tmp_path / "right")
    rewrite(folder / rows["path"][0], lambda table: pd.concat([table, table[1:3].assign(x_face_0=9)]))
    store = prepare(folder, tmp_path / "store")
    np.testing.assert_array_equal(store.array, right.array)
    assert skipped(store) == {1000: "frame 1 occurs twice (2 such rows); the first row of each is kept"}
    assert "0 skipped, 1 read without doubled rows, listed in" in capsys.readouterr().out


def test_a_folder_of_parquet_parts_is_one_file(own, tmp_path):
    folder, rows = own
    right = prepare(folder, tmp_path / "right")
    path = folder / rows["path"][0]
    table = parquet.read_table(path)
    path.unlink()
    path.mkdir()
    parquet.write_table(table[:5], path / "part-0.parquet")                   # sequence 1001 goes on in the second part
    parquet.write_table(table[5:], path / "part-1.parquet")
    np.testing.assert_array_equal(prepare(folder, tmp_path / "store").array, right.array)


def test_sequences_that_no_csv_names_are_left_alone(own, tmp_path):
    folder, rows = own
    write_tables(folder, rows.drop(index=[0, 2, 5]))
    store = prepare(folder, tmp_path / "store")
    assert store.table["sequence_id"].tolist() == [1001, 1003, 1004] and skipped(store) == {}


@pytest.mark.parametrize("layout", ["competition", "npy"])
def test_infinite_coordinates_count_as_not_seen(tmp_path, layout):
    rows = corpus_rows(files=1, sequences=2, supplemental=0)
    wild = {COLUMNS[100]: np.inf, COLUMNS[101]: -np.inf, COLUMNS[230]: 1e30}
    if layout == "npy":
        write_npy(tmp_path / "data", rows)
        values = made_values(5, 1)[:, WHERE]
        values[2, [COLUMNS.index(name) for name in wild]] = list(wild.values())
        np.save(tmp_path / "data" / "100" / "1000.npy", values)
    else:
        write_competition(tmp_path / "data", rows)
        path = tmp_path / "data" / rows["path"][0]
        table = pd.read_parquet(path)
        table.loc[2, list(wild)] = list(wild.values())
        table.to_parquet(path)
    store = prepare(tmp_path / "data", tmp_path / "store")
    assert np.isnan(store.array[2, [100, 101, 230]]).all() and np.isfinite(store.array[3, [100, 101, 230]]).all()
    assert np.isfinite(store.frames(0)).all() and np.abs(store.statistics[0]).max() < 2


@pytest.mark.parametrize("spoil, reason", [
    (lambda path: path.unlink(), "100/1000.npy is absent"),
    (lambda path: path.write_bytes(path.read_bytes()[:-10]), "100/1000.npy is cut short or damaged: its header promises"),
    (lambda path: path.write_bytes(b""), "100/1000.npy is cut short, damaged or not a .npy file"),
    (lambda path: path.write_bytes(b"PK\x03\x04 and no archive"), "100/1000.npy is cut short, damaged or not a .npy file"),
    (lambda path: np.save(path, np.zeros((4, 100), np.float32)), "100/1000.npy holds float32 (4, 100), expected"),
    (lambda path: np.save(path, np.zeros((0, 390), np.float32)), "100/1000.npy has no frames"),
])
def test_a_bad_array_is_a_listed_skip(tmp_path, spoil, reason):
    write_npy(tmp_path / "data", corpus_rows(files=1, sequences=2, supplemental=0))
    spoil(tmp_path / "data" / "100" / "1000.npy")
    store = prepare(tmp_path / "data", tmp_path / "store")
    assert len(store) == 1 and list(skipped(store)) == [1000] and reason in skipped(store)[1000]


def test_data_without_one_usable_sequence_is_an_error(own, tmp_path):
    folder, rows = own
    write_tables(folder, rows.assign(phrase=""))
    with pytest.raises(DataError, match="no sequence of this data can be used.*skipped.csv.*empty phrase"):
        prepare(folder, tmp_path / "store")


@pytest.mark.parametrize("column, value, message", [
    ("phrase", None, "train.csv lacks the column phrase"),
    ("participant_id", "anna", r"train.csv, line 2: participant_id is 'anna', expected a whole number"),
    ("participant_id", "2.5", r"train.csv, line 2: participant_id is '2.5', expected a whole number"),
    ("file_id", "inf", r"train.csv, line 2: file_id is 'inf', expected a whole number"),
    ("shown", "aaAA", r"train.csv, line 2: shown: 'A' is none of the task's 59 characters, nor '·' for a frame that shows none"),
    ("shown", "a·", r"the sequence 100/1000 has 4 frames, but its column shown says what 2 show \(6 such sequences\)"),
    ("sequence_id", "", r"train.csv, line 2: sequence_id is empty, expected a whole number")])
def test_a_wrong_csv_file_is_named(own, tmp_path, column, value, message):
    folder, rows = own
    rows = rows.drop(columns=["length", "is_sup"])
    rows = rows.drop(columns=column) if value is None else rows.assign(**{column: value})
    rows.to_csv(folder / "train.csv", index=False)
    with pytest.raises(DataError, match=message):
        prepare(folder, tmp_path / "store")


def test_a_folder_that_is_no_data_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="holds neither the competition's files.*nor the published.*holds holiday.jpg"):
        prepare(tmp_path, tmp_path / "store")
    with pytest.raises(DataError, match="there is no folder"):
        prepare(tmp_path / "none", tmp_path / "store")


def test_landmarks_without_a_csv_file_are_refused(own, tmp_path):
    (own[0] / "train.csv").unlink()
    with pytest.raises(DataError, match="train_landmarks but no train.csv"):
        prepare(own[0], tmp_path / "store")
