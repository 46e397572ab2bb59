"""The report of a run: one offline HTML page with the pictures, tables, scores and parameters of all its stages.

`write_report("datamount/demo")` and `python -m aslutils report datamount/demo` write `datamount/demo/report.html`. (nbconvert
would give a page for each notebook, with its progress bars and without the scores of the run and the pictures' texts.)
"""

import re
from html import escape
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

from aslutils.reading.tflite import FIXED
from aslutils.run.scoring import CORRUPTED, UNSPELLED, ScoredOn
from aslutils.system.errors import UserError
from aslutils.system.files import write_text
from aslutils.system.inputs import read_json
from aslutils.system.progress import duration
from aslutils.task.metric import HIDDEN_SEQUENCES, MAX_HOURS, MAX_MEGABYTES

STYLE = Path(__file__).with_suffix(".css")
LINES = 20                          # shown of what a cell printed; the rest is in the notebook
ARTEFACTS = {"export/model.tflite": "the exported model", f"export/{FIXED}": "the same with a fixed shape",
             "submission/submission.zip": "the submission",
             "train_folded_oof_supp.csv": "the out-of-fold table", "folds.csv": "the folds"}
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def write_report(run_folder) -> Path:
    """Write the run's `report.html` and return its path.

    Reads the executed `notebooks/*.ipynb` and, if present, `stages/*.json`, `export/report.json` and `submission/report.json`.
    Raises FileNotFoundError if no notebook has been executed, ValueError if one is damaged.
    """
    folder = Path(run_folder)
    notebooks = sorted((folder / "notebooks").glob("*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"{folder / 'notebooks'} holds no executed notebook; "
                                f"run `./run_all.sh --run {folder.name}` first")
    stages = "".join(_stage(folder, path) for path in notebooks)
    links = "".join(f'<a href="#{path.stem}">{escape(_name(path))}</a>' for path in notebooks)
    return write_text(folder / "report.html", (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="data:,">'
        f"<title>Run {escape(folder.name)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>\n<body><main>"
        f"<h1>Run “{escape(folder.name)}”</h1>\n{_headline(folder)}<nav>{links}</nav>\n{stages}</main></body></html>\n"))


def _name(notebook: Path) -> str:
    return notebook.stem.replace("_", " ")


def figures(folder: Path) -> list[tuple[str, str]]:
    """Scores, size and latency as (name, value) pairs, from the stages that have finished."""
    export, submission, store = (_record(folder / path) for path in (
        "export/report.json", "submission/report.json", "store/store.json"))
    rows = []
    if export:
        people = "held-out participants, " if export["scored_on"] == ScoredOn.HELD_OUT.name else ""
        rows += [(f"score on {people}{export['compared']} sequences: PyTorch / exported file",
                  f"{_number(export['score'], '.4f')} / {_number(export['score_exported'], '.4f')}"),
                 *_confidence(export.get("kinds", {}))]
    if submission:
        scored_on = ScoredOn.__members__.get(submission["scored_on"])           # a run of an earlier version says words
        rows += [("score by the competition's scorer (exported file)", _number(submission["score"], ".4f")),
                 ("scored on", f"{submission['sequences'] or 0:,} {scored_on.value if scored_on else submission['scored_on']}"),
                 ("model size", f"{submission['megabytes']:.1f} MB of {MAX_MEGABYTES} "
                                f"({submission['precision']}, {submission['seeds']} networks)"),
                 ("latency, mean / 95 %",
                  f"{_number(submission['mean_ms'], '.1f')} / {_number(submission['p95_ms'], '.1f')} ms a sequence"),
                 (f"projected for {HIDDEN_SEQUENCES:,} sequences",
                  f"{_number(submission['projected_hours'], '.2f')} h of {MAX_HOURS}")]
    if store and store["source"]["skipped"]:
        rows.append(("sequences left out", f"{store['source']['skipped']:,}, listed in store/skipped.csv"))
    return rows


def _confidence(kinds: dict[str, dict]) -> list[tuple[str, str]]:
    """How the confidence tells the demo's unreadable sequences from those that are spelled, as `figures` says it."""
    rows = [(f"confidence: AUC, {kind} vs. spelled sequences", _number(kinds[kind]["AUC"], ".3f"))
            for kind in (CORRUPTED, UNSPELLED) if kind in kinds]
    if UNSPELLED in kinds:
        rows.append(("texts invented where nobody spells", f"{100 * kinds[UNSPELLED]['read']:.0f} %"))
    return rows


def _headline(folder: Path) -> str:
    """The main figures, then links to the artefacts."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in figures(folder))
    found = [f'<a href="{path}">{name}</a>' for path, name in ARTEFACTS.items() if (folder / path).exists()]
    return (f'<div class="table"><table>{rows}</table></div>\n' if rows else "") + (
        f"<p>Files: {', '.join(found)}.</p>\n" if found else "")


def _record(path: Path) -> dict:
    """The JSON record of a stage; empty if it has not run."""
    return read_json(path) if path.is_file() else {}


def _number(value, form: str) -> str:
    return "not measured" if value is None else format(value, form)


def _stage(folder: Path, path: Path) -> str:
    """One executed notebook: its title, when it ran, its pictures and tables under their headings, its parameters."""
    try:
        notebook = nbformat.read(path, 4)
    except Exception as error:      # nbformat raises many types
        raise UserError(f"{path} is not a readable notebook ({error}); run its stage again with ./run_all.sh --from") from error
    record = _record(folder / "stages" / f"{path.stem}.json")
    title, sections = _sections(notebook)
    prose, outputs = sections[0]
    ran = f"took {duration(record['seconds'])}, ended {record['ended']}" if record else "did not end"
    parts = [f'<section id="{path.stem}"><h2>{escape(title or _name(path))}</h2>',
             f'<p class="ran"><a href="notebooks/{path.name}">{escape(path.name)}</a> {escape(ran)}</p>',
             _html(prose), *outputs]
    for prose, outputs in sections[1:]:
        if outputs:
            parts += [_html(prose), *outputs]
    parts.append(_parameters(record.get("parameters") or {}, _comments(notebook)))
    return "\n".join(part for part in parts if part) + "</section>\n"


def _sections(notebook) -> tuple[str, list[tuple[str, list[str]]]]:
    """The notebook's title and its sections: (markdown, HTML of the outputs below it); the first is that of the title."""
    title, sections = "", [("", [])]
    for cell in notebook.cells:
        if any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", [])):
            continue
        if cell.cell_type == "markdown":
            heading, _, rest = cell.source.strip().partition("\n")
            if heading.startswith("# ") and not title:
                title, sections[0] = heading[2:].strip(), (rest, sections[0][1])
            else:
                sections.append((cell.source, []))
        elif cell.cell_type == "code":
            sections[-1][1].extend(_outputs(cell, re.sub(r"[#`*]", "", sections[-1][0] or title).strip().partition("\n")[0]))
    return title, sections


def _html(markdown: str) -> str:
    """Markdown as HTML, headings one level down."""
    return _MARKDOWN.render(re.sub(r"^(#+) ", r"#\1 ", markdown, flags=re.MULTILINE))


def _outputs(cell, about: str) -> list[str]:
    """The cell's pictures, tables, printed lines and error as HTML."""
    shown, printed = [], ""         # printed text comes first
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if output.output_type == "stream" and output.name == "stdout":
            printed += output.text
        elif output.output_type == "error":
            shown.append(f'<pre class="error">{escape(f"{output.ename}: {output.evalue}")}</pre>')
        elif "image/png" in data:
            plain = str(data.get("text/plain", ""))
            alt = about if plain.startswith("<") or not plain else plain
            source = "".join(data["image/png"].split())
            shown.append(f'<div class="picture"><img src="data:image/png;base64,{source}" alt="{escape(alt)}"></div>')
        elif "<table" in (html := str(data.get("text/html", ""))) or "<figure" in html:
            html = re.sub(r"<(style|script).*?</\1>", "", html, flags=re.DOTALL)
            shown.append(f'<div class="table">{html}</div>')
    return ([f"<pre>{escape(_lines(printed))}</pre>"] if printed.strip() else []) + shown


def _lines(printed: str) -> str:
    """Printed text as it finally looked on a terminal, at most LINES lines."""
    lines = [line.rpartition("\r")[2] for line in re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", printed).strip().split("\n")]
    if len(lines) > LINES:
        lines = [*lines[:LINES], f"... {len(lines) - LINES} more lines in the notebook"]
    return "\n".join(lines)


def _comments(notebook) -> dict[str, str]:
    """The comment of each parameter in the notebook's `parameters` cell."""
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return dict(re.findall(r"^(\w+):[^=\n]*=.*?  # (.*)$", "\n".join(cells), flags=re.MULTILINE))


def _parameters(parameters: dict, comments: dict[str, str]) -> str:
    """The stage's parameters with value and meaning, collapsed."""
    if not parameters:
        return ""
    rows = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{_value(value)}</td>"
                   f"<td>{escape(comments.get(name, ''))}</td></tr>" for name, value in parameters.items())
    return (f"<details><summary>{len(parameters)} parameters</summary>"
            f'<div class="table"><table class="parameters">{rows}</table></div></details>')


def _value(value) -> str:
    """A parameter's value; a list has one entry per line."""
    entries = value if isinstance(value, list) else [value]
    return "<br>".join(f"<code>{escape(str(entry))}</code>" for entry in entries)
