"""Writing the page: what is in it, what it refuses, and that nothing is lost."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from threading import Thread

import pytest
from tiny_tflite import constant_model

from aslutils.__main__ import main
from aslutils.page import write
from aslutils.reading.recognizer import OWN_MODEL
from aslutils.reading.tflite import FIXED

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def test_the_page_holds_its_modules_its_model_and_what_it_needs_of_npm(page):
    for name in ("index.html", "app.js", FIXED, "vendor/NOTICE", *(f"vendor/{place}" for place in write.VENDORED.values())):
        assert (page / name).is_file(), name
    assert 'from "./wasm-utils.js"' in (page / "vendor/litert/index.js").read_text()
    assert not list(page.parent.glob(".*"))
    total = sum(path.stat().st_size for path in page.rglob("*"))
    assert total < 60e6


def test_a_page_is_written_again_without_npm_and_loses_nothing_that_lies_beside_it(page, tmp_path, monkeypatch):
    again = shutil.copytree(page, tmp_path / "again")
    (again / "app.js").write_text("old")
    (again / ".git").mkdir()
    (again / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (again / "CNAME").write_text("hands.example.org")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.chdir(again)                                     # the current folder may be the page
    began = time.time() - 2
    write.write_page(".")
    assert (again / "app.js").stat().st_mtime > began            # browsers compare times: not its source's
    assert (again / "app.js").read_bytes() == (page / "app.js").read_bytes()
    assert (again / "vendor/holistic/holistic.js").is_file()
    assert (again / ".git" / "HEAD").read_text() == "ref: refs/heads/main" and (again / "CNAME").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


@pytest.mark.parametrize("left", [False, True])
def test_an_empty_folder_is_filled_from_within_as_it_may_be_a_file_system_of_its_own(page, tmp_path, monkeypatch, left):
    out, moved = tmp_path / "site", []
    shutil.copytree(page / "vendor", out / f"{write.BEGUN}killed" / "page" / "vendor") if left else out.mkdir()
    monkeypatch.setattr(write, "_vendor", lambda folder, _: shutil.copytree(page / "vendor", folder))
    monkeypatch.setattr(Path, "replace", lambda path, target: (moved.append(path), os.replace(path, target)))
    write.write_page(out)
    assert (out / "app.js").is_file() and all(path.is_relative_to(out) for path in moved)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("moment", [3, 12, 25])
def test_an_interrupted_page_is_made_whole_by_the_next_call(page, tmp_path, monkeypatch, moment):
    again = shutil.copytree(page, tmp_path / "again")
    (again / "app.js").write_text("old")
    calls = []

    def replace(path, target):
        calls.append(target)
        if len(calls) == moment:
            raise KeyboardInterrupt
        os.replace(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write.write_page(again)
    assert not (again / "vendor" / write.STAMP).exists()         # so that its parts are fetched again, not mixed
    monkeypatch.undo()
    shutil.copy(page / "vendor" / write.STAMP, again / "vendor")  # as if npm had fetched the same
    write.write_page(again)
    files = {path.relative_to(page) for path in page.rglob("*") if path.is_file()}
    assert all((again / path).read_bytes() == (page / path).read_bytes() for path in files)


def test_the_server_answers_with_the_types_that_browsers_want(page):
    with write.server(page) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        for path, kind in (("app.js", "text/javascript"), ("vendor/litert/wasm/litert_wasm_internal.wasm", "application/wasm"),
                           ("", "text/html")):
            with urllib.request.urlopen(f"http://127.0.0.1:{running.server_port}/{path}") as answer:
                assert answer.headers.get_content_type() == kind
        running.shutdown()


def test_what_cannot_become_a_page_ends_in_one_line(tmp_path, capsys, monkeypatch):
    def said(*arguments) -> str:
        assert main(["page", *map(str, arguments)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    variable = tmp_path / "variable"
    variable.mkdir()
    assert said(tmp_path / "page", "--model", variable) == f"there is no {variable / FIXED}; notebook 04 writes it where " \
        "fixed_frames is not 0"
    (variable / FIXED).write_bytes(constant_model("ab"))
    assert said(tmp_path / "page", "--model", variable) == (
        f"{variable / FIXED} has no fixed shape; give the folder of an export that holds {FIXED}")
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    assert said(full) == f"{full} holds other files; give a new folder"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "needs npm, which comes with Node.js" in said(tmp_path / "page")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "variable"] and (full / "thesis.txt").exists()


def test_writing_the_page_takes_the_three_packages_that_the_readme_names():
    code = """
import sys
def packages():
    files = [(name.split(".")[0], getattr(module, "__file__", None) or "") for name, module in sys.modules.items()]
    return {package for package, file in files if "site-packages" in file}
before = packages()
from aslutils.page import write
from aslutils.page.constants import constants
from aslutils.reading.recognizer import OWN_MODEL, Recognizer
constants(Recognizer(OWN_MODEL / "model_fixed.tflite"), [])
print(*sorted(packages() - before))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["ai_edge_litert", "numpy", "tqdm"]
    assert "python -m pip install numpy ai-edge-litert tqdm" in (ROOT / "README.md").read_text()


def test_the_command_writes_the_page(page, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    shutil.copytree(page / "vendor", tmp_path / "out" / "vendor")
    shutil.copy(page / write.WRITTEN, tmp_path / "out")
    assert main(["page", str(tmp_path / "out"), "--model", str(OWN_MODEL)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'} is ready: put it on a static host with https, or serve it here with " \
        "--serve\n"
    assert (tmp_path / "out" / FIXED).read_bytes() == (OWN_MODEL / FIXED).read_bytes()
