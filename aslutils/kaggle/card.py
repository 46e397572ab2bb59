"""The model card of an exported model, which is the README.md of its data set."""

from pathlib import Path

from aslutils.system.files import write_text

MEASURES = {"score": "score, (N - D) / N by the competition's rule", "scored_on": "score measured on", "megabytes": "size, MB",
            "mean_ms": "mean time for a sequence, ms (CPU, one thread)", "p95_ms": "95th percentile of that time, ms"}
TEMPLATE = Path(__file__).with_suffix(".md")
RUNTIMES = TEMPLATE.with_name("runtimes.md")        # how to use the files; docs/using.md says the same


def write_model_card(folder, facts: dict) -> Path:
    """Write `README.md` into `folder` from measured figures.

    facts: `score` (0..1, or None when nobody was held out), `scored_on` (words), `megabytes`, `mean_ms`, `p95_ms`, as the scorer
    reports them; `parameters` (dict); optional `title` and `license`; any other number or string becomes a row of the
    table. Raises KeyError naming the missing facts.
    """
    missing = [name for name in (*MEASURES, "parameters") if name not in facts]
    if missing:
        raise KeyError(f"the model card lacks {', '.join(missing)}: run the scorer first; its report holds them")
    further = {name: name.replace("_", " ") for name, value in facts.items()
               if name not in (*MEASURES, "title", "license") and isinstance(value, (str, int, float))}
    text = TEMPLATE.read_text(encoding="utf-8").format(
        title=facts.get("title", "ASL fingerspelling, TFLite"), license=facts.get("license", "apache-2.0"),
        runtimes=RUNTIMES.read_text(encoding="utf-8"),
        measures=_table({words: facts[name] for name, words in {**MEASURES, **further}.items()}),
        parameters=_table(facts["parameters"]))
    return write_text(Path(folder) / "README.md", text)


def _table(values: dict) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in values.items())])


def _cell(value) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
