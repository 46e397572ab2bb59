"""Writes docs/bad_inputs.md, the list of all malformed inputs: `python tests/bad_inputs/page.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "bad_inputs.md"
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers"), str(Path(__file__).parent)]

import data_cases  # noqa: E402
import option_cases  # noqa: E402
import reading_cases  # noqa: E402

PARTS = (("`aslutils prepare`: refused", data_cases.PREPARE),
         ("`aslutils prepare`: listed in `skipped.csv`", [*data_cases.LISTED, *data_cases.ARRAYS]),
         ("`aslutils read`", reading_cases.READ), ("`aslutils score`", reading_cases.SCORE),
         ("`aslutils folds`", data_cases.FOLDS),
         ("Parameter files", option_cases.PARAMETERS), ("`aslutils kaggle kernels`", option_cases.KERNELS),
         ("`aslutils kaggle publish`", option_cases.PUBLISH), ("Checkpoints", option_cases.CHECKPOINTS))


def written() -> str:
    """The page."""
    count = sum(len(part) for _, part in PARTS)
    lines = ["# Malformed inputs, and what the kit says", "",
             f"{count} inputs that are odd in one way each, tried by `tests/bad_inputs`. Where the kit stops, it ends with exit",
             "code 1 (2 for wrong options), one line, and nothing half-written; `...` stands for any words."]
    for title, part in PARTS:
        lines += ["", f"## {title}", "", "| what is odd | what the kit says |", "|---|---|"]
        lines += [f"| {_cell(_what(case))} | {_cell(_words(case))} |" for case in part]
    return "\n".join(lines) + "\n"


def _what(case: tuple) -> str:
    if case in option_cases.PARAMETERS:
        text = case[1].replace("\t", "→").replace("\n", " ⏎ ").replace("\x00", "␀")
        return f"`{text if len(text) < 60 else text[:40] + ' ...'}`" if text.strip() else "an empty file"
    if case in option_cases.KERNELS:
        return f"{case[0]}: `{' '.join(word if word else repr('') for word in case[1])}`"
    return case[0]


def _words(case: tuple) -> str:
    return case[2]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(PAGE, PAGE.write_text(written()), "characters")
