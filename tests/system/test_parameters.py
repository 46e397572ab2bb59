"""A notebook's parameters become dataclasses, and a wrong one says so."""

from dataclasses import dataclass

import pytest

from aslutils.system.parameters import from_values, read_params, settings


@dataclass(frozen=True)
class First:
    run: str = "demo"
    seed: int = 1
    rate: float = 0.5
    folds: list = ()
    limit: int | None = None


@dataclass(frozen=True)
class Second:
    seed: int = 1
    epochs: int = 3


def test_fills_each_dataclass_from_the_namespace_and_shares_common_names():
    first, second = settings({"run": "mine", "seed": 7, "rate": 2, "folds": [1], "unrelated": object()}, First, Second)
    assert first == First(run="mine", seed=7, rate=2.0, folds=[1])
    assert second == Second(seed=7)
    assert isinstance(first.rate, float)


def test_names_the_nearest_parameter_for_a_misspelt_one_that_papermill_injected():
    cells = ["", 'run: str = "demo"  # the run\nseed: int = 1', "# Parameters\nsede = 2\n"]
    with pytest.raises(ValueError, match="'sede'.*did you mean 'seed'"):
        settings({"run": "demo", "seed": 1, "sede": 2, "In": cells}, First, Second)


def test_takes_no_offence_at_other_variables_of_a_notebook():
    cells = ["", 'run: str = "demo"', "%matplotlib inline", "threshold = 3", "import os", "table = read()"]
    (first,) = settings({"run": "demo", "threshold": 3, "table": 1, "In": cells}, First)
    assert first.run == "demo"


@pytest.mark.parametrize("values, words", [
    ({"seed": "two"}, "seed is 'two' .str.; expected int"),
    ({"seed": True}, "expected int"),
    ({"seed": 1.5}, "expected int"),
    ({"folds": 3}, "expected list"),
    ({"limit": "x"}, "expected int or NoneType"),
    ({"run": 2024}, "run is 2024 .int.; expected str; .* took a text for it, give that with -r instead of -p: -r run TEXT$"),
    ({"epoch": 4}, "did you mean 'epochs'"),
    ({"zzz": 4}, "known are"),
])
def test_says_what_is_wrong_with_a_value(values, words):
    with pytest.raises(ValueError, match=words):
        from_values(values, First, Second)


def test_reads_a_yaml_file_with_overrides_on_top(tmp_path):
    path = tmp_path / "stage.yaml"
    path.write_text("seed: 1  # a comment\nepochs: 2\n")
    assert read_params(path, {"seed": 5}) == {"seed": 5, "epochs": 2}


@pytest.mark.parametrize("content, words", [("- 1\n- 2\n", "one 'name: value' a line"), ("a: [1\n", "is not YAML")])
def test_a_broken_yaml_file_is_named(tmp_path, content, words):
    path = tmp_path / "stage.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_params(path)
    with pytest.raises(FileNotFoundError, match="no parameter file"):
        read_params(tmp_path / "absent.yaml")


def test_a_number_that_yaml_takes_for_text_is_a_number(tmp_path):
    path = tmp_path / "stage.yaml"
    path.write_text("rate: 2e-3\n")
    assert from_values(read_params(path), First)[0].rate == 0.002
    with pytest.raises(ValueError, match="rate is 'fast'"):
        from_values({"rate": "fast"}, First)
