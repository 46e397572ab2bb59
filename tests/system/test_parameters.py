"""A notebook's parameters become dataclasses, and a wrong one says so."""

import re
from dataclasses import dataclass

import pytest

from aslutils.system.errors import UserError
from aslutils.system.parameters import assigned, from_values, read_params


@dataclass(frozen=True, kw_only=True)
class First:
    run: str
    seed: int
    rate: float
    folds: list
    limit: int | None
    follows: bool = False


@dataclass(frozen=True, kw_only=True)
class Second:
    seed: int
    epochs: int


GIVEN = {"run": "demo", "seed": 1, "rate": 0.5, "folds": [], "limit": None, "epochs": 3}


def test_fills_each_dataclass_and_shares_common_names():
    first, second = from_values({**GIVEN, "run": "mine", "seed": 7, "rate": 2, "folds": [1]}, First, Second)
    assert first == First(run="mine", seed=7, rate=2.0, folds=[1], limit=None)
    assert second == Second(seed=7, epochs=3) and isinstance(first.rate, float)


def test_the_parameters_of_a_notebook_are_the_plain_values_from_run_to_the_first_import():
    namespace = {"In": [""], "exit": object(), "_i1": "", "run": "mine", "seed": 1, "_i2": "", "sede": 2, "os": re, "row": 3}
    assert assigned(namespace) == {"run": "mine", "seed": 1, "sede": 2}


def test_a_misspelt_parameter_and_a_missing_one_are_named():
    with pytest.raises(UserError, match="'sede'.*did you mean 'seed'"):
        from_values({**GIVEN, "sede": 2}, First, Second)
    with pytest.raises(UserError, match="the parameter epochs is missing"):
        from_values({name: value for name, value in GIVEN.items() if name != "epochs"}, First, Second)


@pytest.mark.parametrize("values, words", [
    ({"seed": "two"}, "seed is 'two' .str.; expected int"),
    ({"seed": True}, "expected int"),
    ({"seed": 1.5}, "expected int"),
    ({"folds": 3}, "expected list"),
    ({"limit": "x"}, "expected int or NoneType"),
    ({"run": 2024}, "run is 2024 .int.; expected str; .* converted a text to it, give that with -r instead of -p: -r run TEXT$"),
    ({"epoch": 4}, "did you mean 'epochs'"),
    ({"zzz": 4}, "no parameter 'zzz'; there are"),
])
def test_says_what_is_wrong_with_a_value(values, words):
    with pytest.raises(ValueError, match=words):
        from_values({**GIVEN, **values}, First, Second)


@pytest.mark.parametrize("content, words", [("- 1\n- 2\n", "one 'name: value' per line"), ("a: [1\n", "is not YAML")])
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
    assert from_values({**GIVEN, **read_params(path)}, First, Second)[0].rate == 0.002
    with pytest.raises(ValueError, match="rate is 'fast'"):
        from_values({**GIVEN, "rate": "fast"}, First, Second)
