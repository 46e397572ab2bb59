"""Single predictions: what was signed, what was read, and the hand beside it."""

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from rapidfuzz.distance import Levenshtein

from aslutils.metric import sequence_scores
from aslutils.plots.hands import draw_cells, strip_cells
from aslutils.plots.style import FAINT, INK, VERMILLION, bare, say_empty, sheet, styled

CHARACTERS_SHOWN = 40             # of a text; what is longer is cut
ROW, HEAD = 0.74, 0.36            # inches: height of a recording, of the title


@styled
def predictions(table: pd.DataFrame, store, count: int = 8, seed: int = 1):
    """Predictions beside the truth, `count` of them drawn at random: the hand, the phrase, what was read, the confidence.

    table: row (of the store), phrase, prediction and, if there, confidence, as `evaluate.predict` gives; store: the recordings.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(table))[:count])
    return _sheet(table.iloc[rows], store, "Predictions beside the truth")


@styled
def worst(table: pd.DataFrame, store, count: int = 10):
    """The `count` worst predictions by their own score, of equally bad ones the surest first; arguments as for `predictions`."""
    scores = sequence_scores(table["phrase"], table["prediction"])
    sure = table["confidence"].to_numpy(float) if "confidence" in table else np.zeros(len(table))
    order = np.lexsort((-sure, scores))[:count]
    return _sheet(table.iloc[order], store, "The worst predictions")


def _sheet(table, store, title):
    height = HEAD + ROW * max(1, len(table)) + 0.05
    figure = sheet(height)
    figure.suptitle(title, x=0.01, y=1 - 0.09 / height, ha="left", va="top")
    if not len(table):
        say_empty(figure.add_axes((0.01, 0.02, 0.98, 0.5)), "no predictions")
        return figure
    scores = sequence_scores(table["phrase"], table["prediction"])
    for index, (record, score) in enumerate(zip(table.to_dict("records"), scores)):
        bottom = 1 - (HEAD + ROW * (index + 1)) / height
        hands, _ = strip_cells(store.raw(int(record["row"])), 6)
        axes = bare(figure.add_axes((0.008, bottom, 0.43, ROW * 0.92 / height)))
        draw_cells(axes, hands, columns=6, width=1.2)
        axes.set_anchor("W")
        if not len(hands):
            axes.text(0, 0, "no hand is seen", color=FAINT, va="center")
        _texts(figure.add_axes((0.45, bottom, 0.545, ROW * 0.92 / height)), record, score)
    return figure


def _texts(axes, record, score):
    """Truth above prediction, character under character; what differs stands on a coloured ground."""
    axes.set(xlim=(-6.5, CHARACTERS_SHOWN), ylim=(3.0, 0))
    axes.set_axis_off()
    truth, read = aligned(record["phrase"], record["prediction"])
    for y, name, text, other in ((0.75, "signed", truth, read), (1.6, "read", read, truth)):
        axes.text(-6.4, y, name, fontsize=8, color=FAINT, va="center")
        for x, (character, beside) in enumerate(zip(text[:CHARACTERS_SHOWN], other)):
            wrong = character != beside
            if wrong:
                axes.add_patch(Rectangle((x, y - 0.38), 1, 0.78, facecolor=VERMILLION, alpha=0.22, linewidth=0))
            axes.text(x + 0.5, y, character or "", family="DejaVu Sans Mono", fontsize=9.5, ha="center", va="center", color=INK,
                      fontweight="bold" if wrong else "normal")
        if len(text) > CHARACTERS_SHOWN:
            axes.text(CHARACTERS_SHOWN - 0.2, y, "…", fontsize=9, va="center", ha="right")
    confidence = f", confidence {record['confidence']:.2f}" if "confidence" in record else ""
    frames = f", {record['frames']} frames" if "frames" in record else ""
    facts = f"score {score:.2f}{confidence}{frames}"
    axes.text(-6.4, 2.45, facts, fontsize=8, color=FAINT, va="center")


def aligned(truth: str, read: str) -> tuple[list, list]:
    """Both texts as lists of equal length, by a shortest alignment; None where the other has a character more."""
    above, below = [], []
    for _, start, end, read_start, read_end in Levenshtein.opcodes(truth, read):
        longest = max(end - start, read_end - read_start)
        above += [*truth[start:end], *[None] * (longest - (end - start))]
        below += [*read[read_start:read_end], *[None] * (longest - (read_end - read_start))]
    return above, below
