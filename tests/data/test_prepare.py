import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_corpus import WHERE, corpus_rows, made_values, write_competition, write_landmarks, write_npy, write_tables

from aslutils.data import prepare as preparing
from aslutils.data import readers
from aslutils.data.prepare import find_kind, prepare
from aslutils.data.store import Store, StoreError
from aslutils.system.errors import UserError
from aslutils.system.files import locked
from aslutils.task.preprocess import statistics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("competition") / "data"
    write_competition(folder)
    return folder


def contents(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(store.iterdir()) if file.name != ".lock"}


# ---- both layouts

def test_both_layouts_give_the_same_store(data, tmp_path):
    write_npy(tmp_path / "npy")
    assert find_kind(data) == "competition" and find_kind(tmp_path / "npy") == "npy"
    first, second = prepare(data, tmp_path / "a"), prepare(tmp_path / "npy", tmp_path / "b")
    assert contents(first.path)["columns.bin"] == contents(second.path)["columns.bin"]
    pd.testing.assert_frame_equal(first.table, second.table)
    assert sorted(contents(first.path)) == ["columns.bin", "skipped.csv", "store.json", "table.parquet"]


def test_a_sequence_of_both_tables_is_taken_once_and_a_mended_row_counts(tmp_path):
    rows = corpus_rows()
    rows.loc[rows["is_sup"].idxmax(), ["file_id", "sequence_id"]] = rows.loc[0, ["file_id", "sequence_id"]]
    write_competition(tmp_path / "data", rows)
    table = pd.read_csv(tmp_path / "data" / "train.csv")
    wrong = table.iloc[[3]].assign(phrase="HELLO")                                 # listed first, and mended below
    pd.concat([table.iloc[:3], wrong, table.iloc[3:]]).to_csv(tmp_path / "data" / "train.csv", index=False)
    store = prepare(tmp_path / "data", tmp_path / "store")
    skipped = pd.read_csv(tmp_path / "store" / "skipped.csv")
    assert len(store) == len(rows) - 1 and store.rows(store.table).tolist() == list(range(len(store)))
    assert [("HELLO" in reason, "occur in train.csv already" in reason) for reason in skipped["reason"]] == [(True, False),
                                                                                                             (False, True)]


def test_an_array_that_was_mended_is_read_again(tmp_path):
    write_npy(tmp_path / "npy")
    path = next((tmp_path / "npy").rglob("[0-9]*.npy"))
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    count = len(prepare(tmp_path / "npy", tmp_path / "store"))
    path.write_bytes(whole)
    with pytest.raises(StoreError, match="the data has changed since"):
        prepare(tmp_path / "npy", tmp_path / "store")
    assert len(prepare(tmp_path / "npy", tmp_path / "store", rebuild=True)) == count + 1


def test_the_remedy_for_another_type_makes_that_type(data, tmp_path):
    prepare(data, tmp_path / "store")
    with pytest.raises(StoreError, match="holds float16, not float32; rebuild it with .* --dtype float32 --rebuild"):
        prepare(data, tmp_path / "store", dtype="float32")


def test_float16_rounds_as_numpy_does(data, tmp_path):
    rows, store = corpus_rows(), prepare(data, tmp_path / "store")
    for row in range(0, len(store), 5):
        expected = made_values(rows["length"][row], rows["sequence_id"][row])[:, WHERE].astype(np.float16)
        start = store.starts[row]
        np.testing.assert_array_equal(store.array[start:start + store.lengths[row]], expected)


@pytest.mark.parametrize("group, window, tile", [(9, 4096, 7), (50, 5, 4096), (10**6, 4096, 10), (10**6, 13, 4)])
def test_sequences_may_span_row_groups_windows_and_tiles(tmp_path, monkeypatch, group, window, tile):
    monkeypatch.setattr(readers, "memory", lambda dtype: np.empty(window * 390, dtype))
    monkeypatch.setattr(readers, "TILE", tile)
    monkeypatch.setattr(readers, "TURN", (tile, 13))
    rows = corpus_rows(files=1, sequences=4, supplemental=0)
    write_competition(tmp_path / "data", rows, group)
    store = prepare(tmp_path / "data", tmp_path / "store", dtype="float32")
    assert store.lengths.tolist() == rows["length"].tolist()
    for row, expected in enumerate(rows.itertuples()):
        values = made_values(expected.length, expected.sequence_id)[:, WHERE].reshape(-1, 3, 130).transpose(0, 2, 1)
        np.testing.assert_array_equal(store.landmarks(row), values)
        np.testing.assert_allclose(store.statistics[row], statistics(values), rtol=2e-5)


@pytest.mark.parametrize("place", ["sub-folder", "neighbour", "two folders down"])
def test_published_arrays_are_found_where_people_put_them(tmp_path, place):
    rows = corpus_rows(files=1, sequences=3)
    write_npy(tmp_path / "data", rows)
    if place == "neighbour":                                                 # as two Kaggle data sets lie side by side
        (tmp_path / "data" / "supplemental").rename(tmp_path / "preprocessed-supp-dataset")
        (tmp_path / "data" / "supplemental_metadata.csv").rename(tmp_path / "supplemental_metadata.csv")
    if place == "two folders down":
        deep = tmp_path / "data" / "train-dataset" / "train_npy"
        deep.mkdir(parents=True)
        (tmp_path / "data" / "100").rename(deep / "100")
    store = prepare(tmp_path / "data", tmp_path / "store")
    assert store.table["is_sup"].tolist() == rows["is_sup"].tolist() and store.header["source"]["skipped"] == 0


@pytest.mark.parametrize("text, message", [
    ('{"selected_columns": ["x_face_0", "y_face_0"]}', "other columns"), ("{", "is not JSON"), ("[]", "holds")])
def test_arrays_in_another_or_unknown_column_order_are_refused(tmp_path, text, message):
    write_npy(tmp_path / "data")
    (tmp_path / "data" / "inference_args.json").write_text(text)
    with pytest.raises(UserError, match=f"inference_args.json.*{message}"):
        prepare(tmp_path / "data", tmp_path / "store")


def test_without_supplemental_files_there_is_training_data_only(own, tmp_path):
    (own[0] / "supplemental_metadata.csv").unlink()
    assert not prepare(own[0], tmp_path / "store").table["is_sup"].any()


def test_real_sequences_are_prepared_whole(shared, tmp_path):
    store = prepare(shared / "realdata" / "competition", tmp_path / "store")
    assert len(store) == 58 and store.header["frame_count"] == 3201 and store.table["is_sup"].sum() == 14
    assert 0 < store.table["hand_frames"].sum() < 3201
    for row in range(len(store)):
        assert np.isfinite(store.frames(row)).all() and store.frames(row).any()


def test_statistics_summed_up_column_by_column_are_those_of_the_sequence(tmp_path):
    rows = corpus_rows(files=1, sequences=8, supplemental=0)
    write_competition(tmp_path / "data", rows, group=20)
    store = prepare(tmp_path / "data", tmp_path / "store", dtype="float32")
    for row in range(len(store)):
        np.testing.assert_allclose(store.statistics[row], statistics(store.landmarks(row)), rtol=2e-5)


def test_a_sequence_with_a_constant_coordinate_has_no_deviation_there_whatever_lies_beside_it():
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.2, (130, 60)).astype(np.float32)
    values[:, 20:40] = 0.3
    values[:70, 10:30] = np.nan                                              # no face, no left hand
    values[:, 35] = np.nan
    moments = readers.Moments(60)
    for start in range(0, 130, 13):
        for frames in (slice(0, 25), slice(25, 60)):
            columns = values[start:start + 13, frames].copy()
            moments.add_(frames, columns, np.isnan(columns))
    sums = moments.of_runs(np.array([0, 20, 40]))
    found = readers.statistics_of(np.stack([sums] * 3, 1))[:, :, 0]
    runs = [values[:, run].astype(np.float64) for run in (slice(0, 20), slice(20, 40), slice(40, 60))]
    np.testing.assert_allclose(found[:, 0], [np.nanmean(run) for run in runs], rtol=1e-6)
    np.testing.assert_allclose(found[::2, 1], [np.nanstd(run) for run in runs[::2]], rtol=1e-6)
    assert found[1, 1] == 0


@settings(max_examples=300, deadline=None)
@given(values=arrays(np.float32, st.integers(1, 40), elements=st.floats(-65504, 65504, width=32)),
       scale=st.sampled_from([1, 1e-4, 1e-8]))
def test_half_rounds_as_numpy_does(values, scale):
    values = values * np.float32(scale)
    values[::7] = np.nan
    out = np.empty(len(values), np.float16)
    readers.half(values, out)
    np.testing.assert_array_equal(out, values.astype(np.float16))


# ---- once, in parts, by any number of processes

def test_a_finished_store_is_just_opened(data, tmp_path, monkeypatch):
    before = contents(prepare(data, tmp_path / "store").path)
    monkeypatch.setattr(preparing, "convert", None)
    assert contents(prepare(data, tmp_path / "store").path) == before


def test_processes_write_the_same_bytes(data, tmp_path):
    alone, together = prepare(data, tmp_path / "a", workers=1), prepare(data, tmp_path / "b", workers=2)
    assert contents(alone.path) == contents(together.path)


@pytest.mark.parametrize("stop", range(4))
def test_a_preparation_stopped_after_any_file_goes_on_and_ends_with_the_same_bytes(data, tmp_path, monkeypatch, stop):
    whole = contents(prepare(data, tmp_path / "whole").path)
    convert, done = preparing.convert, []

    def interrupted(task):
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(task.source.name)
        return convert(task)

    monkeypatch.setattr(preparing, "convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(data, tmp_path / "store")
    with pytest.raises(StoreError, match="not a finished landmark store"):
        Store(tmp_path / "store")
    again = []
    monkeypatch.setattr(preparing, "convert", lambda task: again.append(task.source.name) or convert(task))
    assert contents(prepare(data, tmp_path / "store").path) == whole
    assert len(again) == 4 - stop and not set(again) & set(done)


@pytest.mark.parametrize("step", ["copyfileobj", "write_table", "seal", "rmtree"])
def test_a_preparation_stopped_while_joining_goes_on(data, tmp_path, monkeypatch, step):
    whole = contents(prepare(data, tmp_path / "whole").path)
    owner = preparing.shutil if step in ("copyfileobj", "rmtree") else preparing
    original, calls = getattr(owner, step), []

    def interrupted(*arguments, **options):
        calls.append(step)
        if len(calls) == (3 if step == "copyfileobj" else 1):
            raise KeyboardInterrupt
        return original(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, step, interrupted)
        prepare(data, tmp_path / "store")
    prepare(data, tmp_path / "store")
    assert {name: (tmp_path / "store" / name).read_bytes() for name in whole} == whole


def test_a_killed_preparation_goes_on_with_the_same_bytes_and_leaves_no_process_behind(data, tmp_path):
    whole = contents(prepare(data, tmp_path / "whole").path)
    script = tmp_path / "slow.py"
    script.write_text(
        "import time\nfrom aslutils.data import prepare as preparing, readers\n"
        "def slowly(*arguments, original=readers.decode):\n    time.sleep(0.1)\n    return original(*arguments)\n"
        "readers.decode = slowly\n"
        f"if __name__ == '__main__':\n    preparing.prepare({str(data)!r}, {str(tmp_path / 'store')!r}, workers=2)\n")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    wait_for(lambda: list((tmp_path / "store" / "parts").glob("*.parquet")))
    children = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert children
    wait_for(lambda: not any(is_running(child) for child in children))
    assert contents(prepare(data, tmp_path / "store").path) == whole


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_preparations_of_one_store_do_not_mix(data, tmp_path):
    (tmp_path / "store").mkdir()
    with locked(tmp_path / "store", RuntimeError), pytest.raises(StoreError, match=f"process {os.getpid()}.*is writing"):
        prepare(data, tmp_path / "store")
    assert len(prepare(data, tmp_path / "store")) == 24


def test_a_store_of_other_data_or_another_dtype_is_not_overwritten_unless_asked(data, own, tmp_path):
    prepare(data, tmp_path / "store")
    with pytest.raises(StoreError, match="made from other data.*--rebuild"):
        prepare(own[0], tmp_path / "store")
    with pytest.raises(StoreError, match="holds float16, not float32.*--rebuild"):
        prepare(data, tmp_path / "store", dtype="float32")
    assert len(prepare(own[0], tmp_path / "store", rebuild=True)) == 6
    with pytest.raises(ValueError, match="dtype is 'float64'"):
        prepare(data, tmp_path / "store", dtype="float64")


def test_a_damaged_store_is_rebuilt_on_request(data, tmp_path):
    whole = contents(prepare(data, tmp_path / "store").path)
    (tmp_path / "store" / "columns.bin").write_bytes(b"")
    with pytest.raises(StoreError, match="columns.bin.*cut short.*--rebuild"):
        prepare(data, tmp_path / "store")
    assert contents(prepare(data, tmp_path / "store", rebuild=True).path) == whole


@pytest.mark.parametrize("change", ["landmarks", "rows"])
@pytest.mark.parametrize("step, calls", [("space_for", 1), ("copyfileobj", 1), ("copyfileobj", 2)])
def test_of_a_preparation_of_other_data_only_what_is_the_same_is_used(own, tmp_path, monkeypatch, step, calls, change):
    folder, rows = own
    owner = preparing.shutil if step == "copyfileobj" else preparing
    original, left = getattr(owner, step), [None] * (calls - 1)

    def interrupted(*arguments, **options):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return original(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, step, interrupted)
        prepare(folder, tmp_path / "store")
    if change == "landmarks":
        write_landmarks(folder / rows["path"][3], rows.iloc[3:].assign(length=9))      # the second file's sequences, of 9 frames
    else:
        write_tables(folder, rows.drop(index=1))                                      # the second file's rows move up
    assert contents(prepare(folder, tmp_path / "store").path) == contents(prepare(folder, tmp_path / "fresh").path)


@pytest.mark.parametrize("step", ["decode", "copyfileobj"])
def test_no_space_left_is_said_and_a_second_call_goes_on(own, tmp_path, monkeypatch, step):
    owner = readers if step == "decode" else preparing.shutil
    original, calls = getattr(owner, step), []

    def full(*arguments, **options):
        calls.append(step)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, **options)

    said = "no space left while writing .*start again, nothing was lost"
    with monkeypatch.context() as patch, pytest.raises(OSError, match=said):
        patch.setattr(owner, step, full)
        prepare(own[0], tmp_path / "store")
    assert contents(prepare(own[0], tmp_path / "store").path) == contents(prepare(own[0], tmp_path / "fresh").path)


# ---- the command

def command(*arguments):
    return subprocess.run([sys.executable, "-m", "aslutils", "prepare", *map(str, arguments)], capture_output=True, text=True)


def test_the_command_prepares_shows_progress_and_ends_with_a_summary(data, tmp_path):
    done = command(data, tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "18 training and 6 supplemental sequences" in done.stdout and len(done.stdout.splitlines()) == 1
    assert "prepare: 100%" in done.stderr and "sequences/s" in done.stderr
    wrong = command(tmp_path, tmp_path / "other")
    assert wrong.returncode == 1 and "holds neither" in wrong.stderr and "Traceback" not in wrong.stderr
