"""The report of a run: one page without network or scripts, with the pictures, tables, scores and parameters of all its stages.

`write_report("datamount/demo")` writes `datamount/demo/report.html` from the executed notebooks and the stages' records;
`python -m aslutils.run.report datamount/demo` does the same.
"""

import argparse
import re
from html import escape
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

from aslutils.run.report_style import CSS
from aslutils.system.files import read_json, write_text
from aslutils.task.metric import HIDDEN_SEQUENCES, MAX_HOURS, MAX_MEGABYTES

LINES = 20                          # of what a cell printed; the rest is in the notebook
ARTEFACTS = {"export/model.tflite": "the exported model", "submission/submission.zip": "the submission",
             "train_folded_oof_supp.csv": "the out-of-fold table", "folds.csv": "the folds"}
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def write_report(run_folder) -> Path:
    """Write the run's `report.html` and return its path.

    Reads `notebooks/*.ipynb` (executed), and what there is of `stages/*.json`, `export/report.json` and `submission/report.json`.
    Raises FileNotFoundError when no notebook was executed yet, ValueError for one that is damaged.
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
        f"<title>Run {escape(folder.name)}</title><style>{CSS}</style></head>\n<body><main>"
        f"<h1>Run “{escape(folder.name)}”</h1>\n{_headline(folder)}<nav>{links}</nav>\n{stages}</main></body></html>\n"))


def _name(notebook: Path) -> str:
    return notebook.stem.replace("_", " ")


def _headline(folder: Path) -> str:
    """The figures that count, then where the artefacts lie."""
    export, submission = (_record(folder / part / "report.json") for part in ("export", "submission"))
    figures = [
        ("score in PyTorch", _number(export.get("score"), ".3f"), str(export.get("scored_on", ""))),
        ("score of the exported model", _number(submission.get("score"), ".3f"), str(submission.get("scored_on", ""))),
        ("size", _number(submission.get("megabytes"), ".1f", " MB"), f"of {MAX_MEGABYTES} MB"),
        ("latency", _number(submission.get("mean_ms"), ".1f", " ms"),
         _number(submission.get("p95_ms"), ".1f", " ms or less for 95 % of the sequences", before="")),
        (f"{HIDDEN_SEQUENCES:,} sequences take", _number(submission.get("projected_hours"), ".2f", " h"), f"of {MAX_HOURS} h"),
    ]
    tiles = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
                    for name, value, note in figures if value)
    found = [f'<a href="{path}">{name}</a>' for path, name in ARTEFACTS.items() if (folder / path).exists()]
    return (f'<dl class="figures">{tiles}</dl>\n' if tiles else "") + (f"<p>Files: {', '.join(found)}.</p>\n" if found else "")


def _record(path: Path) -> dict:
    """What a stage wrote down; nothing where it has not run."""
    return read_json(path) if path.is_file() else {}


def _number(value, form: str, unit: str = "", before: str = "") -> str:
    return "" if value is None else f"{before}{value:{form}}{unit}"


def _stage(folder: Path, path: Path) -> str:
    """One executed notebook: its title, when it ran, its pictures and tables under their headings, its parameters."""
    try:
        notebook = nbformat.read(path, 4)
    except Exception as error:      # nbformat raises many kinds
        raise ValueError(f"{path} is not a readable notebook ({error}); run its stage again with ./run_all.sh --from") from error
    record = _record(folder / "stages" / f"{path.stem}.json")
    title, sections = _sections(notebook)
    prose, outputs = sections[0]
    ran = f"took {_duration(record['seconds'])}, ended {record['ended']}" if record else "did not end"
    parts = [f'<section id="{path.stem}"><h2>{escape(title or _name(path))}</h2>',
             f'<p class="ran"><a href="notebooks/{path.name}">{escape(path.name)}</a> {escape(ran)}</p>',
             _html(prose), *outputs]
    for prose, outputs in sections[1:]:
        if outputs:
            parts += [_html(prose), *outputs]
    parts.append(_parameters(record.get("parameters") or {}, _comments(notebook), record.get("fingerprint", "")))
    return "\n".join(part for part in parts if part) + "</section>\n"


def _sections(notebook) -> tuple[str, list[tuple[str, list[str]]]]:
    """The notebook's title and its sections: (markdown, HTML of the outputs below it); the first stands under the title."""
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
    """Markdown as HTML, headings one step down."""
    return _MARKDOWN.render(re.sub(r"^(#+) ", r"#\1 ", markdown, flags=re.MULTILINE))


def _outputs(cell, about: str) -> list[str]:
    """The cell's pictures, tables, printed lines and error as HTML."""
    shown, printed = [], ""         # what was printed comes first
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
    """Printed text as it stood on the screen in the end, no more than LINES lines."""
    lines = [line.rpartition("\r")[2] for line in re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", printed).strip().split("\n")]
    if len(lines) > LINES:
        lines = [*lines[:LINES], f"... {len(lines) - LINES} more lines in the notebook"]
    return "\n".join(lines)


def _comments(notebook) -> dict[str, str]:
    """What the notebook's `parameters` cell says about each parameter."""
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return dict(re.findall(r"^(\w+):[^=\n]*=.*?  # (.*)$", "\n".join(cells), flags=re.MULTILINE))


def _parameters(parameters: dict, comments: dict[str, str], fingerprint: str) -> str:
    """The stage's parameters, each with its value and meaning, folded away."""
    if not parameters:
        return ""
    rows = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{_value(value)}</td>"
                   f"<td>{escape(comments.get(name, ''))}</td></tr>" for name, value in parameters.items())
    mark = f'<p class="ran">Fingerprint of inputs and parameters: {escape(fingerprint[:16])}</p>' if fingerprint else ""
    return (f"<details><summary>{len(parameters)} parameters</summary>"
            f'<div class="table"><table class="parameters">{rows}</table></div>{mark}</details>')


def _value(value) -> str:
    """A parameter's value; a list one entry a line."""
    entries = value if isinstance(value, list) else [value]
    return "<br>".join(f"<code>{escape(str(entry))}</code>" for entry in entries)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def main(arguments=None) -> None:
    """Write the report of the run folder that the command line names, and say where it lies."""
    parser = argparse.ArgumentParser(prog="python -m aslutils.run.report", description="Write a run's report.html.")
    parser.add_argument("run", help="the run's folder, such as datamount/demo")
    print(write_report(parser.parse_args(arguments).run))


if __name__ == "__main__":
    main()
