"""Parameters: read from notebooks and YAML files, checked, and converted to frozen dataclasses.

A notebook's `parameters` cell holds literals; papermill inserts another cell of literals after it.
"""

import ast
import contextlib
import difflib
import itertools
import math
import re
import types
import typing
from dataclasses import MISSING, fields
from pathlib import Path

import yaml

from aslutils.system.errors import UserError
from aslutils.system.inputs import read_text

# These change no result: changing one does not make a stage run again, and a training may resume with other values.
# (`threads` and `processes` change the last bits of a sum; a training keeps its share of the cores on every resume.)
CHANGE_NO_RESULT = frozenset({"run", "fresh", "processes", "threads", "workers", "max_minutes", "checkpoint_minutes",
                              "evaluate_every", "tracker"})
PARAMETERS_LIMIT = 1 << 20                        # bytes of a parameter file
PLAIN = (str, int, float, bool, list, tuple, dict, type(None))


def decisive(parameters: dict) -> dict:
    """The parameters that can change a result."""
    return {name: value for name, value in parameters.items() if name not in CHANGE_NO_RESULT}


def assigned(namespace: dict) -> dict:
    """The parameters in a notebook's namespace: its own, from `run` on, and those that papermill inserted.

    A namespace keeps insertion order, and the cell after the parameters imports modules. So the parameters are the plain values
    from `run` up to the first name whose value is not plain.
    """
    named = ((name, value) for name, value in namespace.items() if not name.startswith("_"))
    behind = itertools.dropwhile(lambda item: item[0] != "run", named)
    return dict(itertools.takewhile(lambda item: isinstance(item[1], PLAIN), behind))


def from_text(text: str):
    """A parameter's value from a command line, as papermill's -p takes it; lists and mappings too, as Python literals."""
    for read in (int, float, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text)
    return text


def from_values(values: dict, *kinds: type) -> tuple:
    """One instance of each dataclass in `kinds`, filled from a dict of parameters.

    Raises UserError for an unknown parameter (suggesting the closest one), a missing parameter, or a value of the
    wrong type.
    """
    known = {name for kind in kinds for name in _names(kind)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise UserError(f"there is no parameter {name!r}; {hint}")
    return tuple(kind(**{name: _checked(name, values, kind) for name in _names(kind)}) for kind in kinds)


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which a few lines can expand without end, and without repeated names, of which one would be lost."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"line {event.start_mark.line + 1}: *{event.anchor}: write the value out instead of an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        names = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value} is given twice")
        return super().construct_mapping(node, deep)


def read_params(path) -> dict:
    """The parameters in a YAML file. Raises as `read_text` does, or UserError if it holds something else, or nothing."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no parameter file {path}")
    try:
        values = yaml.load(read_text(path, PARAMETERS_LIMIT), _Loader)       # noqa: S506 - a safe loader
    except (UserError, OSError):
        raise
    except Exception as error:                    # a wrong tag fails anywhere in the parser, with any error
        why = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise UserError(f"{path} is not YAML: {why}") from error
    if not isinstance(values, dict):
        what = "nothing" if values is None else type(values).__name__
        raise UserError(f"{path} holds {what}, expected one 'name: value' per line")
    return values


def _names(kind):
    """The fields of a dataclass that are parameters; a field with a default is computed from others."""
    return [item.name for item in fields(kind) if item.default is MISSING]


def _checked(name, values, kind):
    """A value if it fits the field's annotation; a float may be an int, or a string like `1e-3`, which YAML reads as text."""
    if name not in values:
        raise UserError(f"the parameter {name} is missing")
    value, wanted = values[name], typing.get_type_hints(kind)[name]
    choices = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if type(value) is float and not math.isfinite(value):
        raise UserError(f"the parameter {name} is {value}; expected a finite number")
    if any(type(value) is choice for choice in choices):
        return value
    if float in choices and (type(value) is int or isinstance(value, str)
                             and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)):
        return _checked(name, {name: float(value) if isinstance(value, str) or abs(value) < 1e300 else math.inf}, kind)
    names = " or ".join(choice.__name__ for choice in choices)
    number = str in choices and isinstance(value, (int, float))
    raw = f"; if papermill converted a text to it, give that with -r instead of -p: -r {name} TEXT" if number else ""
    raise UserError(f"the parameter {name} is {value!r} ({type(value).__name__}); expected {names}{raw}")
