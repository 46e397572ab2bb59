"""Every picture on small and on empty data: what it shows, that it stays within its edges, that it is small and light."""

import base64
import copy
import io
import re
import subprocess
import sys

import matplotlib
import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from PIL import Image, ImageColor
from tiny_tflite import constant_model

from aslutils import augment, plots
from aslutils.landmarks import COLUMNS, HANDS
from aslutils.metric import sequence_scores
from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.plots import reading, style
from aslutils.plots.decoding import attention_weights
from aslutils.plots.examples import aligned
from aslutils.plots.handsheet import recorded
from aslutils.plots.motion import BODY, MOST_PICTURES
from aslutils.preprocess import standardise
from aslutils.recognizer import Reading
from aslutils.release import columns
from aslutils.text import MIN_FRAMES

matplotlib.use("Agg")
AUGMENTATIONS = [{"name": "Mirror"}, {"name": "CutMix"}, {"name": "Resample", "low": 0.5, "high": 2.0, "p": 0.1},
                 {"name": "PartDrop", "face": 0.3}, {"name": "OneOf", "of": [{"name": "TemporalMask"}]},
                 {"name": "SpatialMask", "p": 0}]


class Recordings:
    """What the pictures ask of a store."""

    def __init__(self, recordings, phrases):
        self.recordings = recordings
        seen = [(~np.isnan(frames[:, HANDS, 0])).any(1).sum() for frames in recordings]
        self.table = pd.DataFrame({"phrase": phrases, "participant_id": [index % 3 for index in range(len(phrases))],
                                   "frames": [len(frames) for frames in recordings], "hand_frames": seen,
                                   "is_sup": [index % 4 == 3 for index in range(len(phrases))]})

    def raw(self, row):
        return self.recordings[row]

    def standardised(self, row):
        return standardise(self.recordings[row])


@pytest.fixture(scope="module")
def store():
    phrases = ["asl", "oak st 12", "www.x.org", "555-1234", "a", "unseen", "kim lopez", "42"]
    recordings = [recorded(phrase, seed=index) for index, phrase in enumerate(phrases)]
    recordings[5] = np.full((20, 130, 3), np.nan, np.float32)
    return Recordings(recordings, phrases)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return Network(ModelConfig(dim=16, blocks=1, heads=2, kernel=5, decoder_heads=2, decoder_ffn=16, stem_channels=4))


@pytest.fixture(scope="module")
def predictions(store):
    table = store.table.assign(row=range(len(store.table)), confidence=np.linspace(0.05, 0.95, len(store.table)))
    table["prediction"] = ["asl", "oat st 12", "www.x.or", "555-1234", "", "2 a-e -aroe", "kimm lopez", "4"]
    return table


def history(epochs):
    table = pd.DataFrame({"epoch": range(1, epochs + 1), "learning_rate": 1e-3, "samples_per_second": 80.0})
    return table.assign(loss=2 / table["epoch"], forward=1.5 / table["epoch"], ctc=3 / table["epoch"],
                        score=np.where(table["epoch"] % 2, np.nan, 0.5))


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def words(figure):
    """All words in a figure."""
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


VARIANTS = pd.DataFrame({"variant": ["float32", "int8"], "seeds": [2, 2], "megabytes": [29.0, 8.2], "milliseconds": [69.0, 41.0],
                         "agreement": [1.0, 0.98], "score": [0.81, None]})
LAYERS = pd.DataFrame({"layer": ["stem", "block 0", "logits"], "tensorflow": [0, 3e-7, 2e-6], "tflite": [1e-6, np.nan, 3e-6]})
TIMES = pd.DataFrame({"frames": [3, 50, 300], "milliseconds": [10.0, 20.0, 60.0]})
OUT_OF_FOLD = pd.DataFrame({"score": [1.0, 0.5, np.nan, 0.5], "is_sup": [False, False, False, True]})

DRAWN = {
    "strip": lambda s, p, n: plots.strip(s.raw(1), "oak st 12"),
    "strip, no hand": lambda s, p, n: plots.strip(s.raw(5)),
    "strip, no frames": lambda s, p, n: plots.strip(np.empty((0, 130, 3), np.float32)),
    "handshapes": lambda s, p, n: plots.handshapes(),
    "augmentations": lambda s, p, n: plots.augmentations(s.standardised(1), s.standardised(4), augment.build(AUGMENTATIONS)),
    "augmentations, one frame": lambda s, p, n: plots.augmentations(s.standardised(1)[:1], s.standardised(4)[:1],
                                                                    augment.build(AUGMENTATIONS)),
    "augmentations, nothing seen": lambda s, p, n: plots.augmentations(s.standardised(5), s.standardised(4), augment.build([])),
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


def test_a_strip_shows_frames_in_which_the_hand_is_seen(store):
    frames = store.raw(1).copy()
    frames[:30, HANDS] = np.nan
    seen = [int(number) for number in re.findall(r"frame (\d+)", words(plots.strip(frames, pictures=5)))]
    assert len(seen) == 5 and seen == sorted(seen) and seen[0] >= 30
    assert "no hand" in words(plots.strip(store.raw(5)))


def test_a_corpus_is_shown_with_units_and_both_groups(store):
    figure = plots.corpus(store.table)
    assert titles(figure) == ["Length", "Pace", "Hand seen", "Kinds of phrases"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["frames", "frames a character", "% of frames", "% of sequences"]
    assert figure.name() == "6 training, 2 supplemental sequences"
    table = pd.DataFrame({"phrase": ["oak", "elm", "kim", "555-1234"], "frames": 40, "hand_frames": 20, "is_sup": False})
    *_, seen, kinds = plots.corpus(table).axes
    drawn = seen.patches[0].get_path().vertices
    assert drawn[drawn[:, 1] > 0, 0].mean() == pytest.approx(50, abs=2) and drawn[:, 1].max() == 100
    assert [bar.get_width() for bar in kinds.patches] == [75, 0, 25]            # address, url, phone


def test_a_corpus_of_even_lengths_is_drawn_even_and_the_last_bar_says_what_it_holds():
    lengths = [*range(3, 81)] * 4 + [900]
    figure = plots.corpus(pd.DataFrame({"phrase": "oak", "is_sup": False, "frames": lengths, "hand_frames": 1}))
    counts = figure.axes[0].patches[0].get_path().vertices[:, 1] * len(lengths) / 100
    assert set(counts.round(6)) == {0, 12, 13}                          # no comb where bins hold 2 numbers, then 3
    assert [axes.get_xlabel().split("\n")[1:] for axes in figure.axes] == [["(last bar: 78 and more)"],
                                                                           ["(last bar: 26 and more)"], [], []]


def test_hand_shapes_name_every_character():
    shown = words(plots.handshapes("kit"))
    assert set("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+,-./:;=?@[_~␣") <= set(shown.split(" | "))
    assert "“kit”" in shown


def test_augmentations_that_can_act_are_shown_in_their_order(store):
    figure = plots.augmentations(store.standardised(1), store.standardised(4), augment.build(AUGMENTATIONS))
    assert titles(figure) == ["as recorded", "Mirror", "CutMix", "Resample", "PartDrop", "one of: TemporalMask"]
    maps = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert maps[0].shape == (130, len(store.raw(1))) and maps[3].shape != maps[0].shape
    assert all(shown.shape != maps[0].shape or np.ma.filled(shown != maps[0], True).any() for shown in maps[1:])
    assert {axes.get_xlim() for axes in figure.axes if axes.images} == {(0, max(shown.shape[1] for shown in maps))}
    assert "orange: right of it, grey: missing" in words(figure)
    missing = (store.standardised(1) == 0).all(2)
    assert maps[0].mask.sum() == missing.sum() > 0


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


def test_scores_by_group_lie_within_their_intervals(predictions):
    figure = plots.scores_by(predictions)
    assert titles(figure) == ["Participant", "Kind of phrase", "Length of phrase", "Hand seen"]
    for axes in figure.axes:
        points, _, (bars,) = axes.containers[0]
        spans = [segment[:, 1] for segment in bars.get_segments()]
        assert all(low - 1e-9 <= score <= high + 1e-9 for score, (low, high) in zip(points.get_ydata(), spans)) and spans


def test_scores_below_nothing_are_in_sight():
    table = pd.DataFrame({"participant_id": [1, 2], "phrase": "oak", "prediction": ["oakoakoak", "oak"], "frames": 9,
                          "hand_frames": 9})
    assert all(axes.get_ylim()[0] <= -1 for axes in plots.scores_by(table).axes)
    score = plots.learning_curves({"seed 1": history(4).assign(score=[-0.4, 0.1, 0.2, 0.3])}).axes[-1]
    assert score.get_ylim() == (-0.4, 1)


@pytest.mark.parametrize("values, groups", [
    ([100] * 80 + [*range(3, 23)], {"3-100"}), ([9, 10, 100, 9], {"9", "10", "100"}),
    ([*range(1, 9)], {"1-3", "4", "5-6", "7-8"}),
])
def test_quarters_are_few_and_in_the_order_of_their_numbers(values, groups):
    table = pd.DataFrame({"phrase": "oak", "prediction": "oak", "participant_id": 1, "frames": 100, "hand_frames": values})
    shown = [label.get_text() for label in plots.scores_by(table).axes[3].get_xticklabels()]
    assert set(shown) == groups and shown == sorted(shown, key=lambda label: int(label.split("-")[0]))


def test_confusions_count_each_kind_of_error():
    table = pd.DataFrame({"phrase": ["uv ", "uu", "ab"], "prediction": ["vv", "vu", "abc"]})
    figure = plots.confusions(table)
    assert titles(figure) == ["Read as another: 2", "Left out: 1", "Read where there is none: 1"]
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes] == [["u → v"], ["␣"], ["c"]]
    assert "67 % of u" in words(figure)


def test_confidence_tells_what_its_threshold_rejects(predictions):
    assert "under 0.15 is rejected: 12.5 %" in words(plots.confidence(predictions))


def test_confidence_is_held_against_the_mean_score():
    table = pd.DataFrame({"phrase": "oak", "prediction": ["oak", "oak", "", "oa"] * 2,
                          "confidence": [0.91, 0.93, 0.98, 0.94] + [0.2] * 4})
    means = plots.confidence(table).axes[0].lines[0].get_xydata()
    assert np.allclose(means, [[0.2, 2 / 3], [0.94, 2 / 3]])


def test_aligned_texts_show_each_difference_once():
    assert aligned("oak st", "oat sst") == ([*"oak ", None, *"st"], [*"oat sst"])
    assert aligned("ab", "") == (["a", "b"], [None, None]) and aligned("", "") == ([], [])


def test_a_space_that_was_misread_can_be_seen_and_told_from_nothing(predictions, store):
    assert "␣" in words(plots.predictions(predictions[:1].assign(prediction="a l"), store))
    assert "␣" not in words(plots.predictions(predictions[:1].assign(prediction="al"), store))
    assert "␣" not in words(plots.predictions(predictions[1:2].assign(prediction="oak st 12"), store))


def test_as_many_predictions_are_shown_as_asked_for(predictions, store):
    for shown in (plots.predictions(predictions, store, count=3), plots.worst(predictions, store, count=3)):
        assert words(shown).split(" | ").count("signed") == 3


def test_the_worst_predictions_come_worst_and_surest_first(predictions, store):
    shown = [tuple(map(float, pair)) for pair in re.findall(r"score ([\d.]+), confidence ([\d.]+)",
                                                            words(plots.worst(predictions, store, count=4)))]
    scores = np.sort(sequence_scores(predictions["phrase"], predictions["prediction"]))[:4]
    assert [score for score, _ in shown] == pytest.approx(scores, abs=0.006)
    assert shown == sorted(shown, key=lambda pair: (pair[0], -pair[1]))


def test_a_network_without_confidence_shows_none(predictions, store):
    assert "confidence" not in words(plots.predictions(predictions.assign(confidence=1.0), store))
    assert "confidence" not in words(plots.worst(predictions.drop(columns="confidence"), store))


def test_attention_is_a_distribution_over_frames_for_each_token_and_leaves_the_network_alone(network, store):
    network.train()
    tokens, weights = attention_weights(network, store.standardised(1))
    assert network.training and weights.shape == (len(tokens), len(store.raw(1)))
    assert weights.min() >= 0 and np.allclose(weights.sum(1), 1, atol=1e-5)
    assert not any(layer.cross_attention._forward_pre_hooks for layer in network.decoder.layers)
    lower = plots.attention(network, store, 1).axes[1]
    assert len(lower.get_yticklabels()) == len(tokens)
    assert lower.collections[0].get_offsets().tolist() == [[frame, row] for row, frame in enumerate(weights.argmax(1))]


def test_attention_is_what_the_decoder_really_uses(network, store):
    """Given values that are the same for all heads, the layers mix them as the weights say."""
    network.eval()
    given = []
    hooks = [layer.cross_attention.register_forward_pre_hook(lambda module, inputs, named: given.append((module, inputs, named)),
                                                             with_kwargs=True) for layer in network.decoder.layers]
    _, weights = attention_weights(network, store.standardised(1))
    for hook in hooks:
        hook.remove()
    value, mixed = torch.randn(weights.shape[1], 8), []
    for module, (x, key, _), named in given[-len(hooks):]:
        module = copy.copy(module)
        module._modules = {**module._modules, "output": torch.nn.Identity()}
        heads = module(x, key, value.expand(1, module.heads, -1, -1), **named).unflatten(-1, (module.heads, -1))
        mixed.append(heads[0].mean(1))
    assert np.allclose(torch.stack(mixed).mean(0).detach(), weights @ value.numpy(), atol=1e-5)


def test_limits_and_measurements_of_the_export_are_named():
    named = {"mean 30.0 ms", "95 % are under 56.0 ms", "limit 265 ms (5 h for 68,000)"}
    assert named <= set(words(plots.latency(TIMES)).split(" | "))
    assert {"limit 40 MB", "limit 265 ms", "int8", "0.980", "-"} <= set(words(plots.variants(VARIANTS)).split(" | "))
    figure = plots.layers(LAYERS)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["stem", "block 0", "logits"]
    assert figure.axes[0].get_xscale() == "log" and "no difference at all" in words(figure)
    shown = [points.get_offsets()[:, 0].tolist() for points in figure.axes[0].collections]
    assert shown[0][1:] == [3e-7, 2e-6] and shown[1][::2] == [1e-6, 3e-6] and 0 < shown[0][0] < 3e-7


def animation(page):
    """The picture inside the page."""
    return base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])


@pytest.mark.parametrize("frames", [0, 1, 40, 800])
def test_a_skeleton_moves_and_stays_small(store, frames):
    recording = np.resize(store.raw(1), (frames, 130, 3))
    page = plots.skeleton(recording, "<b> & co").data
    shown = Image.open(io.BytesIO(animation(page)))
    assert len(page) < 400_000 and "&lt;b&gt; &amp; co" in page and "<script" not in page
    pictures = getattr(shown, "n_frames", 1)
    assert 1 <= pictures <= MOST_PICTURES and pictures >= min(frames // 2, MOST_PICTURES // 2, 5)
    if pictures > 1:
        assert pictures * shown.info["duration"] == pytest.approx(1000 * frames / 30, rel=0.05)       # true speed


def ink(picture):
    """Where there is more than the light ground, but for the bottom line that tells the time: bool (height, width)."""
    return (np.asarray(picture.convert("L")) < 200)[:-4]


def test_a_skeleton_without_hands_says_so(store):
    unseen, seen = (Image.open(io.BytesIO(animation(plots.skeleton(store.raw(row)).data))).convert("RGB") for row in (5, 1))
    assert ink(unseen)[:, :BODY].sum() < 20 < ink(unseen)[:, BODY:].sum()         # a word, where the hand would be
    assert ink(seen)[:, :BODY].sum() > 400


def test_a_hand_is_shown_being_read_with_the_models_own_words(store, tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("asl"))
    recording = pd.DataFrame(columns(store, 1), columns=COLUMNS).assign(sequence_id=7)
    recording.to_parquet(tmp_path / "one.parquet")
    reading.main([str(tmp_path), str(tmp_path / "one.parquet"), "7", str(tmp_path / "shown" / "reading.png")])
    shown = Image.open(tmp_path / "shown" / "reading.png")
    assert shown.n_frames == len(recording) > MIN_FRAMES
    feet = []
    for frame in range(shown.n_frames):
        shown.seek(frame)
        feet.append(np.asarray(shown.convert("L"))[-reading.FOOT:])
    assert all((foot < 200).any() for foot in feet)
    changes = [frame for frame, (before, now) in enumerate(zip(feet, feet[1:]), 1) if (before != now).any()]
    assert changes == list(range(1, MIN_FRAMES + 1))            # after the last frame it counts, then reads the same in every one
    assert (feet[0] == feet[-1]).all()


def test_a_text_of_33_characters_is_not_clipped():
    sheet = reading._with_text(Image.new("RGB", (1040, 580)), Reading("m" * 33, None, 0.9, np.ones(33, np.float32), 99, 1.0))
    assert not (np.asarray(sheet.convert("L"))[-reading.FOOT:, -reading.MARGIN:] < 200).any()


def test_a_notebook_shows_each_picture_once():
    cells = ["from aslutils import plots\nimport pandas as pd\ntimes = pd.DataFrame({'frames': [3, 4], 'milliseconds': [1, 2]})",
             "plots.latency(times)", "plots.latency(times);", "if True:\n    plots.latency(times)\n    plots.latency(times)",
             "from IPython.display import display\ndisplay(plots.latency(times))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert shown == [0, 1, 1, 2, 1]


def test_importing_the_pictures_needs_neither_torch_nor_tensorflow():
    code = "import sys; from aslutils import plots; sys.exit(any(name in sys.modules for name in ('torch', 'tensorflow')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_real_recordings_can_be_drawn(shared):
    from aslutils.preprocess import as_frames

    path = next((shared / "realdata" / "competition" / "train_landmarks").glob("*.parquet"))
    table = pd.read_parquet(path, columns=COLUMNS)
    for _, rows in list(table.groupby(level=0))[:2]:
        frames = as_frames(rows.to_numpy(np.float32))
        assert len(plots.strip(frames, "hello").png()) < 60_000 and len(plots.skeleton(frames).data) < 400_000


def test_characters_that_matplotlib_takes_for_formulas_are_drawn_as_they_are(network, store, predictions):
    table = predictions.assign(phrase="a$b_c^d$", prediction="$a\\b{$$")
    for figure in (plots.predictions(table, store), plots.worst(table, store), plots.confusions(table), plots.scores_by(table),
                   plots.strip(store.raw(0), "$x_$")):
        assert figure.png()
    figure = plots.attention(network, store, 0)
    figure.suptitle("signed “$a”, read “$$_”")
    assert figure.png()


@style.styled
def _crowded() -> style.Picture:
    """Thin lines of the house's colours over a thousand other ones."""
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
