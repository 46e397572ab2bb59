"""`inference_args.json`, which lies beside a model and says what it reads.

The competition's scorer takes the columns from it. An export of ours also says what its readers need to know of it.
"""

from dataclasses import asdict, dataclass, field, fields

from aslutils.system.errors import UserError
from aslutils.system.inputs import parse_json
from aslutils.task.landmarks import COLUMNS
from aslutils.task.rejection import PUBLISHED, Limits

NAME = "inference_args.json"
USUAL_END = "usual_end"


@dataclass(frozen=True)
class Arguments:
    """What such a file says; the defaults are those of a model without one."""

    columns: list[str] = field(default_factory=COLUMNS.copy)
    usual_end: int | None = None         # the most hand-less frames that its training's sequences usually begin or end with
    limits: Limits = PUBLISHED           # below which it rejects

    @classmethod
    def parse(cls, content: bytes | str, source) -> "Arguments":
        """Raises UserError naming the source, and what in it is wrong."""
        known = parse_json(content, source)
        usual_end = known.get(USUAL_END)
        if usual_end is not None and (type(usual_end) is not int or usual_end < 0):
            raise UserError(f"{source}: {USUAL_END} is {usual_end!r}; expected a whole number of frames of at least 0")
        try:
            limits = Limits(**{one.name: known[f"min_{one.name}"] for one in fields(Limits) if f"min_{one.name}" in known})
        except UserError as error:
            raise UserError(f"{source}: {error}") from None
        return cls(_columns(known, source), usual_end, limits)

    def content(self) -> dict:
        """What the file holds; nothing that a reader takes for granted."""
        limits = {f"min_{name}": value for name, value in asdict(self.limits).items() if value != getattr(PUBLISHED, name)}
        usual = {} if self.usual_end is None else {USUAL_END: self.usual_end}
        return {"selected_columns": self.columns} | usual | limits


def selected_columns(content: bytes | str, source) -> list[str]:
    """The columns that an `inference_args.json` selects. Raises UserError naming the source if it is not valid."""
    return _columns(parse_json(content, source), source)


def _columns(known: dict, source) -> list[str]:
    columns = known.get("selected_columns")
    if not isinstance(columns, list) or not columns or not all(isinstance(column, str) for column in columns):
        raise UserError(f'{source} is not {{"selected_columns": [...]}} with a list of column names')
    columns = [column.strip() for column in columns]
    twice = next((column for column in columns if columns.count(column) > 1), None) if len(set(columns)) < len(columns) else None
    if twice:
        raise UserError(f"{source} selects the column {twice} twice")
    return columns
