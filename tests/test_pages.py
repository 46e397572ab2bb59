"""The pages hold: their commands are taken by the real programs and run by tests, their Python runs, quotations are true."""

import argparse
import ast
import importlib
import re
import runpy
import shlex
import sys
import tomllib
import types
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from accelerate.commands.launch import launch_command_parser
from click.testing import CliRunner
from papermill.cli import papermill
from small_corpus import as_results, corpus_rows, made_values, write_competition
from tiny_tflite import constant_model

from aslutils.__main__ import main
from aslutils.kaggle.card import RUNTIMES
from aslutils.reading.recognizer import OWN_MODEL
from aslutils.reading.tflite import FIXED
from aslutils.run.place import KIT
from aslutils.run.stages import configs, defaults
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS

PAGES = {path.relative_to(KIT).as_posix(): path.read_text(encoding="utf-8")
         for path in (KIT / "README.md", *sorted((KIT / "docs").glob("*.md")))}
PROGRAMS = ("python ", "papermill ", "./run_all.sh", "accelerate ", "tests/run.sh")
# What a command begins with -> the test that runs it in a small form; "" for what takes minutes, or would run this test.
RUN_BY = {
    "./run_all.sh --help": "run/test_pipeline.py::test_the_shell_commands_help_needs_nothing_installed",
    "./run_all.sh": "run/test_pipeline.py::test_five_notebooks_leave_a_scored_submission",
    "tests/run.sh": "",
    "papermill --help-notebook": "test_pages.py::test_a_notebooks_help_is_its_manual",
    "papermill notebooks/01": "test_notebooks.py::test_on_kaggle_round_one_finds_the_attached_files_and_the_attached_kit",
    "papermill notebooks/02": "run/test_pipeline.py::test_five_notebooks_leave_a_scored_submission",
    "papermill notebooks/03":
        "test_notebooks.py::test_a_partial_file_trains_the_same_network_under_papermill_and_by_the_command",
    "papermill notebooks/04": "test_notebooks.py::test_published_checkpoints_are_exported_without_training_and_without_data",
    "papermill notebooks/05": "kaggle/test_publish.py::test_the_first_time_creates_and_afterwards_versions",
    "python -m aslutils --help": "test_main.py::test_help_lists_every_command_and_comes_at_once",
    "python -m pip install": "page/test_write.py::test_writing_the_page_takes_the_three_packages_that_the_readme_names",
    "python -m aslutils page": "page/test_write.py::test_the_command_writes_the_page",
    "python -m aslutils read": "reading/test_recognizer.py::test_the_command_prints_a_row_a_sequence",
    ".venv-video/bin/python": "reading/test_video.py::test_a_signing_person_is_read_and_leaves_a_strip",
    "python3 -m venv .venv-video": "",
    "python -m aslutils prepare DIR STORE --dask":
        "data/test_prepare_dask.py::test_a_cluster_that_loses_a_worker_half_way_writes_the_same_bytes_as_one_process",
    "python -m aslutils prepare": "data/test_prepare.py::test_the_command_prepares_shows_progress_and_ends_with_a_summary",
    "python -m aslutils folds": "data/test_folds.py::test_the_command_shows_the_balance",
    "python -m aslutils demo": "demo/test_writer.py::test_the_command_line_spells_the_phrases_of_a_file",
    "python -m aslutils weights": "model/test_checkpoint.py::test_the_command_rewrites_ours_as_published",
    "python -m aslutils train": "training/test_parallel.py::test_a_resume_may_change_the_number_of_processes",
    "python -m aslutils score": "reading/test_scorer.py::test_the_command_prints_figures_or_one_json_object",
    "python -m aslutils kaggle kernels": "kaggle/test_kernels.py::test_stages_are_pushed_in_order_with_seeds_side_by_side",
    "python -m aslutils kaggle download": "kaggle/test_download.py::test_every_file_is_fetched_checked_and_not_fetched_twice",
    "accelerate launch": "training/test_parallel.py::test_two_processes_give_the_loss_curve_and_weights_of_one",
    "python tests/benchmarks/": "",
}


def blocks(language: str, pages=None) -> list[str]:
    """The blocks of a language, of some pages or all."""
    text = "\n".join(PAGES[page] for page in pages or PAGES)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every line of a bash block, and whatever else begins with a program between backticks; NAME=VALUE in front is dropped."""
    spans = [re.sub(r"^(\w+=\S+ )*", "", span) for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", "\n".join(PAGES.values()))]
    lines = [re.sub(r"(^|\s+)#.*", "", line) for block in blocks("bash") for line in block.splitlines()]
    return sorted({*filter(None, lines), *(span for span in spans if span.startswith(PROGRAMS))} - {"python -m aslutils"})


class Parsed(Exception):
    """A program's parser took its arguments."""


def parse(words: list[str], monkeypatch):
    """Start a Python program, `FILE.py ...` or `-m aslutils ...`, up to where its own parser has taken the arguments."""
    whole = argparse.ArgumentParser.parse_args

    def stop(parser, *given):
        whole(parser, *given)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")                           # some benchmarks set it: it ends with the test
    monkeypatch.syspath_prepend(str(KIT / "tests" / "benchmarks"))
    with pytest.raises((Parsed, SystemExit)) as stopped:
        if words[0] == "-m":
            assert words[1] == "aslutils"
            main(words[2:])
        else:
            monkeypatch.setattr(sys, "argv", words)
            runpy.run_path(words[0], run_name="__main__")
    assert getattr(stopped.value, "code", 0) == 0, stopped.value


def inject(words: list[str], out):
    """Let papermill inject the parameters into `out`, and the kit's own check look at them."""
    done = CliRunner().invoke(papermill, [str(out) if word == "out.ipynb" else word for word in words] + ["--prepare-only"])
    assert done.exit_code == 0, done.output
    (cell,) = [cell for cell in nbformat.read(out, 4).cells if "injected-parameters" in cell.metadata.get("tags", [])]
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}
    assert configs(Path(words[0]).stem, {**defaults(Path(words[0]).stem), **values})


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize("command", commands())
def test_a_command_is_taken_by_its_program_and_run_by_a_test(command, tmp_path, monkeypatch):
    assert command.startswith(tuple(RUN_BY)), "no test runs it: write one, and name it here"
    monkeypatch.chdir(KIT)
    (tmp_path / "DIR").mkdir()
    program, *words = (str(tmp_path / word) if word == "DIR" else word for word in shlex.split(command))
    if program == "papermill" and words[0] != "--help-notebook":
        inject(words, tmp_path / "out.ipynb")
    elif program == "tests/run.sh":
        assert all((KIT / word).exists() for word in words)
    elif program == "accelerate":
        options = launch_command_parser().parse_args(words[1:])
        parse(["-m" if options.module else "", options.training_script, *options.training_script_args], monkeypatch)
    elif program == "./run_all.sh":
        parse(["-m", "aslutils", "run", *words], monkeypatch)
    elif program not in ("papermill", "python3") and words[:2] != ["-m", "pip"]:
        parse(words, monkeypatch)
    assert all((KIT / path).is_file() for path in re.findall(r"(?:params|notebooks)/\S+", command))


def test_a_notebooks_help_is_its_manual(monkeypatch):
    monkeypatch.chdir(KIT)
    (command,) = [command for command in commands() if "--help-notebook" in command]
    told = CliRunner().invoke(papermill, shlex.split(command)[1:]).output
    assert "seed: int (default 1)" in told and "decides weights" in told


def test_every_test_that_is_said_to_run_a_command_is_there_and_every_entry_is_used():
    assert [start for start in RUN_BY if not any(command.startswith(start) for command in commands())] == []
    for file, _, test in (node.partition("::") for node in RUN_BY.values() if node):
        assert f"def {test}(" in (KIT / "tests" / file).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("page", ["README.md", "docs/using.md"])
def test_the_python_runs(page, tmp_path, monkeypatch, capsys):
    export = tmp_path / "datamount" / "demo" / "export"
    export.mkdir(parents=True)
    (export / "model.tflite").write_bytes(constant_model("asl", confidence=0.5))
    for name in ("model.tflite", FIXED):
        (tmp_path / name).write_bytes((OWN_MODEL / FIXED).read_bytes())
    rows = corpus_rows()
    write_competition(tmp_path, rows)
    (tmp_path / rows["path"][0]).rename(tmp_path / "sequences.parquet")
    np.save(tmp_path / "sequence.npy", np.random.default_rng(1).random((384, len(COLUMNS)), np.float32))
    results = as_results(pd.DataFrame(made_values(40, seed=1), columns=ALL_COLUMNS))
    monkeypatch.chdir(tmp_path)
    for block in blocks("python", [page]):
        exec(compile(block, page, "exec"), {"results": results})  # noqa: S102
    assert capsys.readouterr().out.splitlines()[0].startswith("asl 0.5")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = (KIT / page).parent
    for link in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", PAGES[page]):
        link = "".join(link)
        assert link.startswith("https://") or (folder / link).is_file(), link


def test_the_readme_is_for_five_minutes():
    assert len(PAGES["README.md"].splitlines()) <= 150 and len(PAGES["README.md"].split()) <= 1300


def test_the_architecture_is_that_of_the_package():
    page = PAGES["docs/architecture.md"]
    (diagram,) = blocks("mermaid")
    files = re.findall(r"\w+/\w+\.py", diagram) + re.findall(r"`aslutils/(\S+\.py)`", page)
    assert len(files) > 20
    for file in files:
        assert (KIT / "aslutils" / file).is_file(), file
    folders = re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE)
    package = {path.name for path in (KIT / "aslutils").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(folders) == package
    contract = tomllib.loads((KIT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert ["__main__", *folders] == [name for layer in contract["layers"] for name in layer.split(" | ")]


def test_no_folder_holds_more_than_fourteen_entries():
    for folder in [KIT / "aslutils", *(path for path in (KIT / "aslutils").iterdir() if path.is_dir())]:
        entries = [path for path in folder.iterdir() if path.name != "__pycache__"]
        assert len(entries) <= 14, folder


def test_the_model_card_says_of_other_runtimes_what_the_page_says():
    assert RUNTIMES.read_text(encoding="utf-8") in PAGES["docs/using.md"]


def test_quoted_messages_are_those_of_the_code():
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((KIT / "aslutils").rglob("*.py")))
    code = re.sub(r'"\s*f?"', "", code)                                   # strings over several lines
    rows = PAGES["docs/troubleshooting.md"].splitlines()
    seen = [message for row in rows if not row.startswith("| pip") for message in re.findall("`([^`]+)`", row.split(" | ")[0])]
    assert len(seen) > 10
    for message in seen:
        for words in re.split(r"[\d.]+|\w+\.json|\.\.\.", message):     # what a message fills in
            assert words.strip() in code, message


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((KIT / "tests" / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_takes_from_the_modules_of_the_kit_is_there(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {}
    for line in ast.walk(tree):
        if isinstance(line, ast.ImportFrom) and (line.module or "").startswith("aslutils"):
            for name in line.names:
                module = importlib.import_module(line.module)
                found = getattr(module, name.name) if hasattr(module, name.name) else importlib.import_module(
                    f"{line.module}.{name.name}")
                if isinstance(found, types.ModuleType):
                    modules[name.asname or name.name] = found
    lacking = [f"{node.value.id}.{node.attr}" for node in ast.walk(tree)
               if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
               and not hasattr(modules[node.value.id], node.attr)]
    assert lacking == []
