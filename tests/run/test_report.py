"""The report of a run: everything of the run is in it, nothing is fetched, a browser shows it without complaint."""

import base64
import io
import re
import shutil
import subprocess

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from aslutils.__main__ import main
from aslutils.run.report import write_report
from aslutils.system.files import write_json

PARAMETERS = 'run: str = "demo"  # the run\'s folder\nseed: int = 1  # decides <weights>\nsizes: list = [  # in order\n    1,\n]'


def png(colour="#0072B2"):
    buffer = io.BytesIO()
    Image.new("RGB", (600, 200), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode() + "\n"


def picture(words, colour="#0072B2"):
    return new_output("display_data", {"image/png": png(colour), "text/plain": words})


def table(rows=2):
    html = "<style scoped>.x{}</style><table border=\"1\" class=\"dataframe\">" + "<tr><td>7</td></tr>" * rows + "</table>"
    return new_output("execute_result", {"text/html": html, "text/plain": "0 7"}, execution_count=1)


def skeleton():
    html = f'<figure><img src="data:image/png;base64,{png().strip()}" alt="moves"><figcaption>asl</figcaption></figure>'
    return new_output("execute_result", {"text/html": html}, execution_count=1)


def printed(text, stream="stdout"):
    return new_output("stream", name=stream, text=text)


def notebook(*cells):
    made = new_notebook(cells=[new_markdown_cell("# Round 2: one network\n\nTrains on <everything> and `more`.\n\n- a\n- b"),
                               new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})])
    for cell in cells:
        made.cells.append(new_markdown_cell(cell) if isinstance(cell, str) else new_code_cell("secret_source()", outputs=cell))
    return made


@pytest.fixture
def run(tmp_path):
    """The folder of a run of two stages and an export."""
    folder = tmp_path / "my run"
    (folder / "notebooks").mkdir(parents=True)
    for stage in ("01_round1_folds", "03_fullfit"):
        made = notebook([printed("ready\n"), printed("50 %\r\x1b[K100 %\n"), printed("warning\n", "stderr")],
                        "## Curves\n\nHow it learnt.", [picture(f"Learning curves {stage}")], "## Nothing came of this", [],
                        "## Scores", [table(), picture("<Figure size 1x1>", "#D55E00"), skeleton()])
        nbformat.write(made, folder / "notebooks" / f"{stage}.ipynb")
        write_json(folder / "stages" / f"{stage}.json", {
            "made_from": {}, "seconds": 133.4, "ended": "2026-11-22 20:00:00",
            "parameters": {"run": "my run", "seed": 1, "augmentations": [{"name": "Mirror", "p": 0.5}, {"name": "CutMix"}]}})
    write_json(folder / "export" / "report.json", {
        "score": 0.8123, "score_exported": 0.8123, "compared": 12, "scored_on": "HELD_OUT", "kinds": {
            "spelled": {"AUC": None, "read": 1.0}, "corrupted": {"AUC": None, "read": 0.3},
            "nobody spells": {"AUC": 0.961, "read": 0.08}}})
    write_json(folder / "submission" / "report.json", {"score": 0.8119, "megabytes": 7.31, "mean_ms": 41.2, "p95_ms": 60.3,
                                                       "projected_hours": 0.78, "scored_on": "HELD_OUT", "sequences": 1200,
                                                       "precision": "float32", "seeds": 2})
    (folder / "export" / "model.tflite").touch()
    return folder


def test_the_report_holds_pictures_tables_scores_and_parameters(run):
    path = write_report(run)
    page = path.read_text()
    assert path == run / "report.html"
    assert page.count("<img ") == 6 and 'alt="Learning curves 03_fullfit"' in page and 'alt="Scores"' in page
    assert page.count("<table border") == 2 and "<style scoped>" not in page
    for words in ("0.812", "0.961", "8 %", "7.3 MB", "41.2 / 60.3 ms", "0.78 h", "1,200 sequences of held-out participants",
                  "not measured", "took 2 min 13 s",
                  "decides &lt;weights&gt;", "Mirror", "ready\n100 %",
                  "Trains on &lt;everything&gt; and <code>more</code>", "<li>a</li>"):
        assert words in page, words
    assert "secret_source" not in page and "warning" not in page and "Nothing came of this" not in page


def test_the_report_needs_no_network_and_its_links_lead_somewhere(run):
    page = write_report(run).read_text()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert not [source for source in sources if "://" in source] and "<script" not in page and "url(" not in page
    files = [source for source in sources if not source.startswith(("data:", "#"))]
    assert {"notebooks/03_fullfit.ipynb", "export/model.tflite"} <= set(files)
    assert all((run / file).exists() for file in files)
    assert all(f'id="{source[1:]}"' in page for source in sources if source.startswith("#"))


def test_a_run_that_stopped_has_a_report_with_its_error(run):
    error = new_output("error", ename="ValueError", evalue="the loss is <nan>", traceback=[])
    nbformat.write(notebook([error]), run / "notebooks" / "04_convert_tflite.ipynb")
    shutil.rmtree(run / "export")
    shutil.rmtree(run / "submission")
    page = write_report(run).read_text()
    assert "ValueError: the loss is &lt;nan&gt;" in page and "did not end" in page and "MB" not in page


def test_long_prints_are_cut(run):
    nbformat.write(notebook([printed("line\n" * 50)]), run / "notebooks" / "05_submission_kernel.ipynb")
    assert "30 more lines in the notebook" in write_report(run).read_text()


def test_a_run_without_notebooks_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="no executed notebook; run `./run_all.sh --run empty`"):
        write_report(tmp_path / "empty")


def test_a_damaged_notebook_is_named(run):
    (run / "notebooks" / "02_build_oof.ipynb").write_text('{"cells": [')
    with pytest.raises(ValueError, match="02_build_oof.ipynb is not a readable notebook"):
        write_report(run)


def test_the_command_line_says_where_the_report_is(run, capsys):
    main(["report", str(run)])
    assert capsys.readouterr().out.strip() == str(run / "report.html")


PROBE = """<script>
window.errors = [];
addEventListener("error", event => errors.push(event.message || "a resource did not load"), true);
addEventListener("load", () => {
  const images = [...document.images], page = document.documentElement;
  document.title = JSON.stringify({errors: errors.length, images: images.length, width: innerWidth,
    missing: images.filter(image => !image.complete || !image.naturalWidth).length,
    wide: page.scrollWidth > innerWidth});
});
</script>"""


@pytest.mark.parametrize("width", [500, 1280])
def test_a_browser_shows_every_picture_and_no_page_wider_than_its_window(run, width, tmp_path):
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium is installed: the report was not opened in a browser")
    page = write_report(run).read_text()
    probed = run / "probed.html"
    probed.write_text(page.replace("<head>", "<head>" + PROBE))
    answer = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                             f"--window-size={width},2000", "--virtual-time-budget=5000", "--dump-dom", probed.as_uri()],
                            capture_output=True, text=True, timeout=60)
    assert f'"errors":0,"images":6,"width":{width},"missing":0,"wide":false' in answer.stdout, answer.stdout[:600] + answer.stderr
