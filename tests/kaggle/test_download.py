"""Getting the data with the real, unpatched kaggle client against a stand-in server."""

import io
import json
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from kaggle_server import zipped

from aslutils.__main__ import main
from aslutils.data.sources import DataError
from aslutils.kaggle.client import KaggleError, listing
from aslutils.kaggle.download import PREPROCESSED, _unpack_single, download, download_competition, download_dataset, verify
from aslutils.task.landmarks import COLUMNS

pytestmark = pytest.mark.slow

TABLE = b"path,file_id,sequence_id,participant_id,phrase\ntrain_landmarks/5.parquet,5,11,1,hello\n"
SUPPLEMENTAL = b"path,file_id,sequence_id,participant_id,phrase\nsupplemental_landmarks/6.parquet,6,12,1,good day\n"


def parquet(rows):
    """A parquet file of `rows` x 80 bytes."""
    packed = io.BytesIO()
    values = np.random.default_rng(0).normal(size=(rows, 20)).astype(np.float32)
    pd.DataFrame(values, columns=[f"x_face_{i}" for i in range(20)]).to_parquet(packed)
    return packed.getvalue()


@pytest.fixture
def competition(kaggle_server):
    packed = parquet(2000)
    kaggle_server.files = {"train.csv": TABLE, "supplemental_metadata.csv": SUPPLEMENTAL,
                           "character_to_prediction_index.json": b"{}", "train_landmarks/5.parquet": packed,
                           "supplemental_landmarks/6.parquet": packed}
    return kaggle_server


def here(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_every_file_is_fetched_checked_and_not_fetched_twice(competition, tmp_path, capsys):
    competition.compressed.add("train.csv")                       # Kaggle sends some as zip
    out = download("competition", tmp_path / "data")
    assert here(out) == competition.files
    assert "2 sequences in 2 files, all files readable" in capsys.readouterr().out
    competition.sent.clear()
    download("competition", out)
    assert competition.sent == []
    (out / "train.csv").write_bytes(b"cut sho")                   # one that is damaged is fetched again, alone
    download("competition", out)
    assert [name for name, _ in competition.sent] == ["train.csv.zip"] and here(out) == competition.files


def test_a_client_killed_in_mid_download_is_gone_on_with_by_the_next_call(competition, tmp_path):
    name, folder = "train_landmarks/5.parquet", tmp_path / "data" / "train_landmarks"
    competition.files[name] = parquet(50_000)                     # 4 MB: the client writes 1 MB at a time
    competition.hold = threading.Event()
    killed = subprocess.Popen([sys.executable, "-P", "-m", "kaggle", "competitions", "download", "asl-fingerspelling", "-f", name,
                               "-p", folder.parent], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert competition.held.wait(20)
    while not (folder / "5.parquet").exists() or (folder / "5.parquet").stat().st_size < 1 << 20:
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    competition.hold.set()
    competition.hold = None
    got = (folder / "5.parquet").stat().st_size
    assert here(download("competition", tmp_path / "data")) == competition.files
    assert dict(competition.sent)[name] == len(competition.files[name]) - got                 # only what was missing


def test_a_list_of_several_pages_is_read_to_its_end(kaggle_server):
    kaggle_server.files = {f"train_landmarks/{file_id}.parquet": b"x" * (file_id % 7) for file_id in range(1000, 1210)}
    listed = {row["name"]: row["size"] for row in listing("competitions", "files", "asl-fingerspelling")}
    assert listed == {name: len(data) for name, data in kaggle_server.files.items()}


def test_unaccepted_rules_say_where_to_accept_them(competition, tmp_path, capsys):
    competition.rules_accepted = False
    assert main(["kaggle", "download", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().err
    assert "competitions/asl-fingerspelling/rules" in said and "403" in said and "Traceback" not in said


def test_a_file_of_another_size_than_listed_is_an_error_with_both_sizes(competition, tmp_path):
    competition.listed["train.csv"] = 1234
    with pytest.raises(KaggleError, match=f"train.csv has {len(TABLE)} bytes, Kaggle lists 1,234"):
        download_competition(tmp_path, only=["train.csv"])


def test_a_parquet_file_that_cannot_be_read_is_named(competition, tmp_path):
    for name, data in {**competition.files, "train_landmarks/5.parquet": b"PAR1 but not really"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=r"(?s)damaged; remove them.*5\.parquet"):
        verify(tmp_path)


def test_a_disk_too_small_is_said_before_anything_is_fetched(competition, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(OSError, match="GB are needed"):
        download("competition", tmp_path / "data")
    assert competition.sent == []


@pytest.fixture
def preprocessed(competition):
    packed = io.BytesIO()
    np.save(packed, np.zeros((7, 390), np.float32))
    train, supplemental = PREPROCESSED
    columns = json.dumps({"selected_columns": COLUMNS}).encode()
    competition.archives = {train: zipped({"5/11.npy": packed.getvalue(), "inference_args.json": columns}),
                            supplemental: zipped({"6/12.npy": packed.getvalue()})}
    return competition


def test_the_preprocessed_sets_come_with_the_tables_that_name_their_phrases(preprocessed, tmp_path, capsys):
    out = download("preprocessed", tmp_path / "data")
    train, supplemental = (out / reference.partition("/")[2] for reference in PREPROCESSED)
    assert np.load(train / "5/11.npy").shape == np.load(supplemental / "6/12.npy").shape == (7, 390)
    assert (out / "train.csv").read_bytes() == TABLE and not list(out.glob("*.zip")) and not (out / "train_landmarks").exists()
    assert "2 sequences in 2 files, all files readable" in capsys.readouterr().out
    preprocessed.sent.clear()
    download("preprocessed", out)
    assert preprocessed.sent == []
    (train / "5/11.npy").unlink()                                 # one that is gone is fetched again
    download("preprocessed", out)
    assert np.load(train / "5/11.npy").shape == (7, 390)


def test_an_unpacking_cut_off_goes_on_without_fetching_again(preprocessed, tmp_path):
    slug = PREPROCESSED[0].partition("/")[2]
    (tmp_path / f"{slug}.zip").write_bytes(preprocessed.archives[PREPROCESSED[0]])
    (tmp_path / slug / "5").mkdir(parents=True)
    (tmp_path / slug / "5/11.npy").write_bytes(b"half")
    download_dataset(PREPROCESSED[0], tmp_path)
    assert np.load(tmp_path / slug / "5/11.npy").shape == (7, 390) and preprocessed.sent == []
    assert json.loads((tmp_path / f"{slug}.json").read_text()) == {"files": 2}


@pytest.mark.parametrize("name", ["5.parquet", "train_landmarks/5.parquet"])
def test_a_single_file_is_unpacked_whatever_its_name_in_the_archive(name, tmp_path):
    (tmp_path / "5.parquet.zip").write_bytes(zipped({name: b"content"}))
    _unpack_single(tmp_path / "5.parquet")
    assert here(tmp_path) == {"5.parquet": b"content"}


@pytest.mark.parametrize("damage", [lambda packed: packed[:-30], lambda packed: packed[:45] + b"\xff" * 20 + packed[65:]])
def test_a_damaged_single_file_is_removed_and_said(damage, tmp_path):
    (tmp_path / "5.parquet.zip").write_bytes(damage(zipped({"5.parquet": bytes(range(256)) * 40})))
    with pytest.raises(KaggleError, match="5.parquet.zip was damaged .* start again"):
        _unpack_single(tmp_path / "5.parquet")
    assert here(tmp_path) == {}


def test_a_damaged_archive_is_removed_and_said(preprocessed, tmp_path):
    whole = bytearray(preprocessed.archives[PREPROCESSED[0]])
    whole[60] ^= 0xFF                                             # inside the first member's data
    preprocessed.archives[PREPROCESSED[0]] = bytes(whole)
    with pytest.raises(KaggleError, match="was damaged .* start again"):
        download_dataset(PREPROCESSED[0], tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_an_unknown_thing_to_download_is_refused(tmp_path):
    with pytest.raises(ValueError, match="\"competition\" and \"preprocessed\""):
        download("everything", tmp_path)
