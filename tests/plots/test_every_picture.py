"""Every picture on small and on empty data: that it is small and light, stays within its edges, names what it shows."""

import io
import subprocess
import sys

import matplotlib
import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from pictures import AUGMENTATIONS, history, titles, words
from PIL import Image, ImageColor

from aslutils import plots
from aslutils.data import augment
from aslutils.plots import style
from aslutils.run.place import KIT as ROOT

pytestmark = pytest.mark.slow

VARIANTS = pd.DataFrame({"variant": ["float32", "int8"], "seeds": [2, 2], "megabytes": [29.0, 8.2], "milliseconds": [69.0, 41.0],
                         "agreement": [1.0, 0.98], "score": [0.81, None]})
LAYERS = pd.DataFrame({"layer": ["stem", "block 0", "logits"], "tensorflow": [0, 3e-7, 2e-6], "tflite": [1e-6, np.nan, 3e-6]})
TIMES = pd.DataFrame({"length": [3, 50, 300], "milliseconds": [10.0, 20.0, 60.0]})
OUT_OF_FOLD = pd.DataFrame({"score": [1.0, 0.5, np.nan, 0.5], "is_sup": [False, False, False, True]})
DRAWN = {
    "strip": lambda s, p, n: plots.strip(s.landmarks(1), "oak st 12"),
    "strip, no hand": lambda s, p, n: plots.strip(s.landmarks(5)),
    "strip, no frames": lambda s, p, n: plots.strip(np.empty((0, 130, 3), np.float32)),
    "handshapes": lambda s, p, n: plots.handshapes(),
    "augmentations": lambda s, p, n: plots.augmentations(s.frames(1), s.frames(4), augment.build(AUGMENTATIONS)),
    "augmentations, one frame": lambda s, p, n: plots.augmentations(s.frames(1)[:1], s.frames(4)[:1],
                                                                    augment.build(AUGMENTATIONS)),
    "augmentations, nothing seen": lambda s, p, n: plots.augmentations(s.frames(5), s.frames(4), augment.build([])),
    "corpus": lambda s, p, n: plots.corpus(s.table),
    "corpus, one sequence": lambda s, p, n: plots.corpus(s.table[:1]),
    "corpus, empty": lambda s, p, n: plots.corpus(s.table[:0]),
    "learning curves": lambda s, p, n: plots.learning_curves({"seed 1": history(6), "seed 2": history(3)}),
    "learning curves, none": lambda s, p, n: plots.learning_curves({"seed 1": history(0)}),
    "score distribution": lambda s, p, n: plots.score_distribution(OUT_OF_FOLD),
    "score distribution, empty": lambda s, p, n: plots.score_distribution(OUT_OF_FOLD[2:3]),
    "scores by": lambda s, p, n: plots.scores_by(p),
    "scores by, one": lambda s, p, n: plots.scores_by(p[:1]),
    "scores by, empty": lambda s, p, n: plots.scores_by(p[:0]),
    "confusions": lambda s, p, n: plots.confusions(p),
    "confusions, none": lambda s, p, n: plots.confusions(p[:1]),
    "confidence": lambda s, p, n: plots.confidence(p),
    "confidence, empty": lambda s, p, n: plots.confidence(p[:0]),
    "predictions": lambda s, p, n: plots.predictions(p, s, count=3),
    "worst": lambda s, p, n: plots.worst(p, s),
    "worst, empty": lambda s, p, n: plots.worst(p[:0], s),
    "attention": lambda s, p, n: plots.attention(n, s, 1),
    "attention, no hand": lambda s, p, n: plots.attention(n, s, 5),
    "latency": lambda s, p, n: plots.latency(TIMES),
    "latency, empty": lambda s, p, n: plots.latency(TIMES[:0]),
    "variants": lambda s, p, n: plots.variants(VARIANTS),
    "variants, empty": lambda s, p, n: plots.variants(VARIANTS[:0]),
    "layers": lambda s, p, n: plots.layers(LAYERS),
    "layers, empty": lambda s, p, n: plots.layers(LAYERS[:0]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_small_and_light_and_nothing_leaves_its_edges(name, store, predictions, network):
    settings = dict(matplotlib.rcParams)
    figure = DRAWN[name](store, predictions, network)
    assert dict(matplotlib.rcParams) == settings
    png = figure.png()
    assert len(png) < 150_000
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert min(picture[0].min(), picture[:, 0].min(), picture[:, -1].min()) > 240 and picture.min() < 90
    inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert -0.02 <= inside.x0 and inside.x1 <= width + 0.02 and -0.02 <= inside.y0 and inside.y1 <= height + 0.02
    assert figure.name() != "picture"


def test_learning_curves_have_a_panel_for_each_known_part():
    figure = plots.learning_curves({"seed 1": history(6), "seed 2": history(3)})
    assert titles(figure) == ["Loss", "Forward decoder", "CTC", "Learning rate", "Score on validation"]
    score = figure.axes[-1]
    assert [line.get_label() for line in score.lines] == ["seed 1", "seed 2"]
    assert score.lines[0].get_xdata().tolist() == [2, 4, 6]
    assert "no epoch" in words(plots.learning_curves({}))


def test_out_of_fold_scores_leave_out_held_out_rows_and_set_supplemental_ones_apart():
    figure = plots.score_distribution(OUT_OF_FOLD)
    assert titles(figure) == ["2 training sequences", "1 supplemental"] and "mean 0.750" in words(figure)


def test_limits_and_measurements_of_the_export_are_named():
    named = {"mean 30.0 ms", "95 % are under 56.0 ms", "limit 265 ms (5 h for 68,000)"}
    assert named <= set(words(plots.latency(TIMES)).split(" | "))
    assert {"limit 40 MB", "limit 265 ms", "int8", "0.980", "-"} <= set(words(plots.variants(VARIANTS)).split(" | "))
    figure = plots.layers(LAYERS)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["stem", "block 0", "logits"]
    assert figure.axes[0].get_xscale() == "log" and "no difference at all" in words(figure)
    shown = [points.get_offsets()[:, 0].tolist() for points in figure.axes[0].collections]
    assert shown[0][1:] == [3e-7, 2e-6] and shown[1][::2] == [1e-6, 3e-6] and 0 < shown[0][0] < 3e-7


def test_a_notebook_shows_each_picture_once():
    cells = ["from aslutils import plots\nimport pandas as pd\ntimes = pd.DataFrame({'length': [3, 4], 'milliseconds': [1, 2]})",
             "plots.latency(times)", "plots.latency(times);", "if True:\n    plots.latency(times)\n    plots.latency(times)",
             "from IPython.display import display\ndisplay(plots.latency(times))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert shown == [0, 1, 1, 2, 1]


def test_importing_the_pictures_needs_neither_torch_nor_tensorflow():
    code = "import sys; from aslutils import plots; sys.exit(any(name in sys.modules for name in ('torch', 'tensorflow')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_characters_that_matplotlib_takes_for_formulas_are_drawn_as_they_are(network, store, predictions):
    table = predictions.assign(phrase="a$b_c^d$", prediction="$a\\b{$$")
    for figure in (plots.predictions(table, store), plots.worst(table, store), plots.confusions(table), plots.scores_by(table),
                   plots.strip(store.landmarks(0), "$x_$")):
        assert figure.png()
    figure = plots.attention(network, store, 0)
    figure.suptitle("signed “$a”, read “$$_”")
    assert figure.png()


@style.styled
def _crowded() -> style.Picture:
    """Thin lines of the kit's colours over a thousand other ones."""
    figure = style.picture(3.0, "Crowded")
    axes = figure.subplots()
    axes.imshow(np.random.default_rng(0).random((60, 200, 3)), aspect="auto")
    for row, colour in enumerate(style.SERIES, 1):
        axes.axhline(8 * row, color=colour, lw=1.5)
    return figure


def test_a_small_png_keeps_the_colours_of_thin_lines():
    image = Image.open(io.BytesIO(_crowded().png())).convert("RGB")
    found = {colour for _, colour in image.getcolors(image.width * image.height)}
    assert {ImageColor.getrgb(colour) for colour in style.SERIES} <= found and len(found) <= 160
