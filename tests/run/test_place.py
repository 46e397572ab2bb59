"""Where am I, and where is the data, against made-up Kaggle roots."""

import time

import numpy as np
import pytest

from aslutils.data.sources import DataError
from aslutils.run.place import COMPETITION, KIT, PREPROCESSED, check_gpu, find_data, minutes_left, where
from aslutils.system.errors import UserError


@pytest.fixture
def at_home(monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(tmp_path / "nowhere"))


@pytest.fixture
def root(monkeypatch, tmp_path):
    """A made-up /kaggle with nothing attached."""
    for folder in ("input", "working"):
        (tmp_path / "kaggle" / folder).mkdir(parents=True)
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(tmp_path / "kaggle"))
    return tmp_path / "kaggle"


def competition(folder):
    (folder / "train_landmarks").mkdir(parents=True)
    (folder / "train_landmarks" / "1.parquet").touch()
    (folder / "train.csv").write_text("path,file_id,sequence_id,participant_id,phrase\n")
    return folder


def test_at_home_artefacts_go_into_datamount(at_home):
    place = where()
    assert (place.on_kaggle, place.inputs, place.outputs) == (False, None, KIT / "datamount")


def test_kaggle_is_known_by_its_folders(root):
    place = where()
    assert (place.on_kaggle, place.inputs, place.outputs) == (True, root / "input", root / "working")


def test_kaggle_is_known_by_its_variable_even_with_nothing_attached(at_home, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert where().on_kaggle and where().outputs == tmp_path / "nowhere" / "working"
    assert find_data().kind == "demo"


@pytest.mark.parametrize("layout", ["", "competitions/"])
def test_attached_competition_files_are_found_in_both_layouts(root, layout):
    folder = competition(root / "input" / f"{layout}{COMPETITION}")
    found = find_data()
    assert (found.folder, found.kind) == (folder, "competition") and str(folder) in found.how


@pytest.mark.parametrize("layout", ["", "datasets/darraghdog/"])
def test_attached_preprocessed_files_are_found_in_both_layouts(root, layout):
    folder = root / "input" / f"{layout}{PREPROCESSED}"
    (folder / "5414471").mkdir(parents=True)
    np.save(folder / "5414471" / "1.npy", np.zeros((3, 390), np.float32))
    with pytest.raises(DataError, match="train.csv.*attach the whole competition"):
        find_data()
    (folder / "train.csv").touch()
    assert (find_data().folder, find_data().kind) == (folder, "npy")


def test_the_competition_comes_before_other_sets_of_its_layout(root):
    demo = competition(root / "input" / "a-demo-set")
    assert find_data().folder == demo
    real = competition(root / "input" / "competitions" / COMPETITION)
    assert find_data().folder == real


def test_nothing_attached_means_the_demo_and_says_what_to_attach(root):
    found = find_data()
    assert (found.folder, found.kind) == (None, "demo") and COMPETITION in found.how


def test_at_home_without_a_folder_means_the_demo(at_home):
    assert find_data().kind == "demo"


def test_a_folder_asked_for_is_taken_and_said(at_home, tmp_path):
    folder = competition(tmp_path / "mine")
    assert find_data(folder) == find_data(str(folder))
    assert find_data(folder).folder == folder and "as given" in find_data(folder).how


def test_a_folder_that_is_not_there_is_an_error_with_its_name(at_home, tmp_path):
    with pytest.raises(DataError, match="no folder .*no_such_folder"):
        find_data(tmp_path / "no_such_folder")


def cards(monkeypatch, name, capability, built):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)


def test_a_p100_with_a_torch_that_cannot_use_it_says_to_pick_t4(monkeypatch):
    cards(monkeypatch, "Tesla P100-PCIE-16GB", (6, 0), ["sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_120", "compute_120"])
    with pytest.raises(UserError, match=r"P100.*6\.0.*pick GPU T4"):
        check_gpu()


def test_code_for_a_later_gpu_of_the_same_generation_will_not_do(monkeypatch):
    cards(monkeypatch, "Tesla V100", (7, 0), ["sm_75", "sm_80"])
    with pytest.raises(UserError, match=r"V100.*7\.0.*sm_75 sm_80"):
        check_gpu()


@pytest.mark.parametrize("capability, built", [((7, 5), ["sm_70", "sm_75"]), ((8, 9), ["sm_80", "sm_86"]), ((9, 0), ["sm_90a"]),
                                               ((12, 0), ["sm_90", "compute_90"])])
def test_a_gpu_that_torch_has_code_for_is_named(monkeypatch, capability, built):
    cards(monkeypatch, "Tesla T4", capability, built)
    assert check_gpu() == "2 x Tesla T4"


def test_without_a_gpu_it_says_cpu(monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "CPU" in check_gpu()


def test_on_kaggle_a_training_ends_in_time_and_at_home_never(tmp_path, monkeypatch):
    monkeypatch.setenv("ASLUTILS_KAGGLE_ROOT", str(tmp_path))
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    assert minutes_left(0.0) == 0.0 and minutes_left(30.0) == 30.0
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    before, now = minutes_left(0.0), time.monotonic()
    assert before <= 9 * 60 - 20
    monkeypatch.setattr("time.monotonic", lambda: now + 3600)
    assert minutes_left(0.0) == pytest.approx(before - 60, abs=1)
    assert minutes_left(30.0) == 30.0
