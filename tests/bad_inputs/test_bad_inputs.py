"""Every malformed input gets a line that says what is wrong and what is expected, and leaves nothing half-written."""

import re

import data_cases
import option_cases
import pandas as pd
import pytest
import reading_cases
from page import PAGE, written
from world import FIRST, World, build

from aslutils.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return build(tmp_path_factory.mktemp("good"))


@pytest.fixture
def world(good, tmp_path, monkeypatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(good, tmp_path)


def pattern(words: str) -> str:
    """`...` stands for any words."""
    return ".*".join(re.escape(piece.strip(" ")) for piece in words.split("..."))


def named(listed: list) -> list:
    return [pytest.param(*case, id=re.sub(r"\W+", "-", f"{case[0]} {case[1]}" if isinstance(case[1], str) else case[0])[:60])
            for case in listed]


def refused(arguments: list[str], words: str, capsys, lines: int = 1) -> None:
    """Run a command that must end with these words, in one line (or after a heading), and an exit code for the user's errors."""
    capsys.readouterr()
    try:
        code = main(arguments)
    except SystemExit as ended:                   # argparse prints the usage, then its line
        code, lines = ended.code, 20
    said = capsys.readouterr().err.split("\r")[-1].strip().splitlines()      # behind a progress bar
    shown = [line for line in said if not re.match(r"prepare: ", line)]
    assert code in (1, 2), shown
    assert len(shown) <= lines and all(len(line) < 1000 for line in shown), shown
    assert re.search(pattern(words), " ".join(shown)), shown


def tried(case: tuple, usual: list[str]) -> tuple:
    """What a case changes, its command and its words: (what, change, words) or (what, command, words, change)."""
    if callable(case[0]):
        return case[0], usual, case[1]
    command, words, *change = case
    return (change[0] if change and change[0] else lambda world: world), command, words


@pytest.mark.parametrize("case", [pytest.param(case[1:], id=case[0].replace(" ", "-")) for case in data_cases.PREPARE])
def test_a_preparation_refuses(world, capsys, case):
    change, command, words = tried(case, ["prepare", "data", "out"])
    change(world)
    refused(command, words, capsys, lines=2)
    assert not (world.root / "out" / "store.json").exists()


@pytest.mark.parametrize("what, change, words", named(data_cases.LISTED))
def test_a_preparation_lists(world, what, change, words):
    change(world)
    assert main(["prepare", "data", "out"]) == 0
    assert any(re.search(pattern(words), reason) for reason in pd.read_csv(world.root / "out" / "skipped.csv")["reason"])


@pytest.mark.parametrize("what, change, words", named(data_cases.ARRAYS))
def test_a_preparation_of_arrays_lists(world, what, change, words):
    change(world)
    assert main(["prepare", "arrays", "out"]) == 0
    listed = pd.read_csv(world.root / "out" / "skipped.csv").set_index("sequence_id")["reason"]
    assert list(listed.index) == [1000] and re.search(pattern(words), listed[1000])


@pytest.mark.parametrize("case", [pytest.param(case[1:], id=case[0].replace(" ", "-")) for case in reading_cases.READ])
def test_a_reader_refuses(world, capsys, case):
    change, command, words = tried(case, ["read", "export", FIRST])
    change(world)
    refused(command, words, capsys)


@pytest.mark.parametrize("case", [pytest.param(case[1:], id=case[0].replace(" ", "-")) for case in reading_cases.SCORE])
def test_a_scorer_refuses(world, capsys, case):
    change, command, words = tried(case, ["score", "submission.zip", "data"])
    change(world)
    refused(command, words, capsys)


@pytest.mark.parametrize("case", [pytest.param(case[1:], id=case[0].replace(" ", "-")) for case in data_cases.FOLDS])
def test_folds_are_refused(world, capsys, case):
    change, command, words = tried(case, ["folds", "folds.csv"])
    change(world)
    refused(command, words, capsys)


@pytest.mark.parametrize("which, text, words", named(option_cases.PARAMETERS))
def test_parameters_are_refused(tmp_path, capsys, which, text, words):
    (tmp_path / "p.yaml").write_text(text)
    refused(["train", which, "--params", str(tmp_path / "p.yaml")], words, capsys)


@pytest.mark.parametrize("what, options, words", named(option_cases.KERNELS))
def test_kernels_are_refused_before_anything_is_written(world, capsys, what, options, words):
    refused(["kaggle", "kernels", "--user", "signer", "--no-packages", "--out", "kernels", *options], words, capsys)
    assert not (world.root / "kernels").exists()


@pytest.mark.parametrize("what, change, words", named(option_cases.PUBLISH))
def test_a_data_set_is_refused_before_anything_is_sent(world, kaggle_server, capsys, what, change, words):
    change(world)
    refused(["kaggle", "publish", "dataset"], words, capsys)
    assert not kaggle_server.datasets


@pytest.mark.parametrize("what, change, words", named(option_cases.CHECKPOINTS))
def test_a_checkpoint_is_refused(world, capsys, what, change, words):
    change(world)
    refused(["weights", "ours.pt", "theirs.pth"], words, capsys)
    assert not (world.root / "theirs.pth").exists()


def test_the_page_lists_all_of_them():
    assert PAGE.read_text() == written(), "run: python tests/bad_inputs/page.py"
