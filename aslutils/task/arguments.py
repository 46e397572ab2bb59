"""`inference_args.json`, which lies beside a model and says what it reads.

The competition's scorer takes the columns from it. An export of ours also says what its readers need to know of it.
"""

from dataclasses import asdict, dataclass, field, fields

from aslutils.system.errors import UserError
from aslutils.system.inputs import parse_json
from aslutils.task.landmarks import COLUMNS
from aslutils.task.rejection import PUBLISHED, Limits

NAME = "inference_args.json"
USUAL_END, USUAL_CHARACTERS = "usual_end", "usual_characters"


@dataclass(frozen=True)
class Arguments:
    """What such a file says; the defaults are those of a model without one."""

    columns: list[str] = field(default_factory=COLUMNS.copy)
    usual_end: int | None = None         # the most hand-less frames that its training's sequences usually begin or end with
    usual_characters: int | None = None  # the most that its training's phrases usually have
    limits: Limits = PUBLISHED           # below which it rejects

    @classmethod
    def parse(cls, content: bytes | str, source) -> "Arguments":
        """Raises UserError naming the source, and what in it is wrong."""
        known = parse_json(content, source)
        for name, unit in ((USUAL_END, "frames"), (USUAL_CHARACTERS, "characters")):
            usual = known.get(name)
            if usual is not None and (type(usual) is not int or usual < 0):
                raise UserError(f"{source}: {name} is {usual!r}; expected a whole number of {unit} of at least 0")
        try:
            limits = Limits(**{one.name: known[f"min_{one.name}"] for one in fields(Limits) if f"min_{one.name}" in known})
        except UserError as error:
            raise UserError(f"{source}: {error}") from None
        return cls(_columns(known, source), known.get(USUAL_END), known.get(USUAL_CHARACTERS), limits)

    def content(self) -> dict:
        """What the file holds; nothing that a reader takes for granted."""
        limits = {f"min_{name}": value for name, value in asdict(self.limits).items() if value != getattr(PUBLISHED, name)}
        usual = {USUAL_END: self.usual_end, USUAL_CHARACTERS: self.usual_characters}
        return {"selected_columns": self.columns} | {name: value for name, value in usual.items() if value is not None} | limits


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
