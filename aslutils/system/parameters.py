"""From a notebook's parameters to frozen dataclasses: types checked, misspelt names found.

A notebook's `parameters` cell holds literals; papermill puts another cell of literals behind it. `settings(globals(), ...)`
fills the dataclasses from the names in both, and refuses a name that none of them has.
"""

import ast
import difflib
import re
import types
import typing
from dataclasses import fields
from pathlib import Path

import yaml


def settings(namespace: dict, *kinds: type) -> tuple:
    """One instance of each dataclass in `kinds`, filled from a notebook's `namespace`.

    Raises ValueError for a parameter that none of them knows (naming the nearest right one) or a value of another type.
    """
    given = {name: namespace[name] for kind in kinds for name in _names(kind) if name in namespace}
    unknown = [name for name in _assigned(namespace.get("In", [])) if name not in _known(kinds)]
    return from_values({**given, **{name: namespace[name] for name in unknown if name in namespace}}, *kinds)


def from_values(values: dict, *kinds: type) -> tuple:
    """One instance of each dataclass in `kinds`, filled from a dict of parameters; errors as `settings` gives them."""
    known = _known(kinds)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise ValueError(f"there is no parameter {name!r}; {hint}")
    return tuple(kind(**{name: _checked(name, values[name], kind) for name in _names(kind) if name in values})
                 for kind in kinds)


def read_params(path, overrides: dict | None = None) -> dict:
    """The parameters in a YAML file, those in `overrides` put over them."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no parameter file at {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds {type(values).__name__}, expected one 'name: value' a line")
    return {**values, **(overrides or {})}


def _names(kind):
    return [item.name for item in fields(kind)]


def _known(kinds):
    return {name for kind in kinds for name in _names(kind)}


def _checked(name, value, kind):
    """`value` if it fits the field's annotation; whole numbers pass as floats, and so does `1e-3`, which YAML takes for text."""
    wanted = typing.get_type_hints(kind)[name]
    choices = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    plain = [typing.get_origin(choice) or choice for choice in choices]
    if any(type(value) is choice for choice in plain):
        return value
    if float in plain and (type(value) is int or isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)):
        return float(value)
    if tuple in plain and isinstance(value, list):
        return tuple(value)
    names = " or ".join(choice.__name__ for choice in plain)
    number = str in plain and isinstance(value, (int, float))
    raw = f"; if papermill took a text for it, give that with -r instead of -p: -r {name} TEXT" if number else ""
    raise ValueError(f"the parameter {name} is {value!r} ({type(value).__name__}); expected {names}{raw}")


def _assigned(cells: list[str]) -> list[str]:
    """The names that the executed parameter cells assign: the notebook's own, which sets `run`, and papermill's."""
    names = []
    for source in cells:
        try:
            statements = ast.parse(source).body
        except SyntaxError:                       # a cell with IPython magic is no parameter cell
            continue
        targets = [_literal_target(statement) for statement in statements]
        if all(targets) and ("run" in targets or source.startswith("# Parameters")):
            names += targets
    return list(dict.fromkeys(names))


def _literal_target(statement) -> str | None:
    """The name that a statement like `seed: int = 1` assigns, None for any other statement."""
    if isinstance(statement, ast.AnnAssign):
        target, value = statement.target, statement.value
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    else:
        return None
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):
        return None
    return target.id if isinstance(target, ast.Name) else None
