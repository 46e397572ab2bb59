"""Single predictions: what was signed, what was read, and the hand beside it."""

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from rapidfuzz.distance import Levenshtein

from aslutils.plots.hands import draw_cells, finger_legend, strip_cells
from aslutils.plots.style import FAINT, INK, VERMILLION, WIDTH, bare, readable, say_empty, sheet, styled
from aslutils.task.metric import sequence_scores

CHARACTERS_SHOWN = 40             # of a text; longer ones are cut
ROW, HEAD = 0.74, 0.36            # inches: height of a sequence and of the title
PITCH, CHARACTER, NAMES = 0.70, 0.104, 6.5   # inches: width of a picture, of a character; characters: width of the line's name


@styled
def predictions(table: pd.DataFrame, store, count: int = 8, seed: int = 1):
    """Predictions beside the truth, `count` of them drawn at random: the hand, the phrase, what was read, the confidence.

    table: row (of the store), phrase, prediction and, optionally, confidence, as from `evaluate.predict`; store: the sequences.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(table))[:count])
    return _sheet(table.iloc[rows], store, "Predictions beside the truth, coloured where they differ")


@styled
def worst(table: pd.DataFrame, store, count: int = 10):
    """The `count` predictions with the lowest scores, ties by highest confidence; arguments as for `predictions`."""
    scores = sequence_scores(table["phrase"], table["prediction"])
    sure = table["confidence"].to_numpy(float) if "confidence" in table else np.zeros(len(table))
    order = np.lexsort((-sure, scores))[:count]
    return _sheet(table.iloc[order], store, "The worst predictions, coloured where they differ from the truth")


def _sheet(table, store, title):
    """One row per sequence; the shorter the texts, the more pictures beside them."""
    height = HEAD + ROW * max(1, len(table)) + 0.05
    figure = sheet(height)
    figure.suptitle(title, x=0.01, y=1 - 0.09 / height, ha="left", va="top")
    if not len(table):
        say_empty(figure.add_axes((0.01, 0.02, 0.98, 0.5)), "no predictions")
        return figure
    finger_legend(figure, "upper right")
    texts = [aligned(*pair) for pair in zip(table["phrase"], table["prediction"])]
    shown = min(max(24, *(len(signed) for signed, _ in texts)), CHARACTERS_SHOWN)
    pictures = int((WIDTH - 0.2 - (NAMES + shown) * CHARACTER) / PITCH)
    scores = sequence_scores(table["phrase"], table["prediction"])
    for index, (record, pair, score) in enumerate(zip(table.to_dict("records"), texts, scores)):
        bottom, tall = 1 - (HEAD + ROW * (index + 1)) / height, 0.92 * ROW / height
        hands, _ = strip_cells(store.landmarks(int(record["row"])), pictures)
        axes = bare(figure.add_axes((0.07 / WIDTH, bottom, pictures * PITCH / WIDTH, tall)))
        draw_cells(axes, hands, columns=pictures, width=1.2)
        if not len(hands):
            axes.text(-0.4, 0, "no hand is seen", color=FAINT, va="center")
        axes = figure.add_axes((0.14 / WIDTH + pictures * PITCH / WIDTH, bottom, (NAMES + shown) * CHARACTER / WIDTH, tall))
        _texts(axes, pair, shown, _facts(record, score))
    return figure


def _facts(record: dict, score: float) -> str:
    confidence = record.get("confidence", np.nan)                # NaN where no network has that head
    sure = "" if np.isnan(confidence) else f", confidence {confidence:.2f}"
    length = f", {record['length']} frames" if "length" in record else ""
    return f"score {score:.2f}{sure}{length}"


def _texts(axes, pair, shown: int, facts: str):
    """Truth above prediction, character under character; differences have a coloured background and visible spaces."""
    axes.set(xlim=(-NAMES, shown), ylim=(3.0, 0))
    axes.set_axis_off()
    for y, name, text, other in ((0.75, "signed", *pair), (1.6, "read", *pair[::-1])):
        axes.text(-NAMES, y, name, fontsize=8, color=FAINT, va="center")
        for x, (character, beside) in enumerate(zip(text[:shown], other)):
            wrong = character != beside
            if wrong:
                axes.add_patch(Rectangle((x, y - 0.38), 1, 0.78, facecolor=VERMILLION, alpha=0.22, linewidth=0))
            shape = readable(character or "") if wrong else character
            axes.text(x + 0.5, y, shape, family="DejaVu Sans Mono", fontsize=9.5, ha="center", va="center", color=INK,
                      fontweight="bold" if wrong else "normal")
        if len(text) > shown:
            axes.text(shown, y, "…", fontsize=9, va="center", ha="left")
    axes.text(-NAMES, 2.45, facts, fontsize=8, color=FAINT, va="center")


def aligned(truth: str, read: str) -> tuple[list, list]:
    """Both texts as lists of equal length, by a shortest alignment; None where the other has an extra character."""
    above, below = [], []
    for _, start, end, read_start, read_end in Levenshtein.opcodes(truth, read):
        longest = max(end - start, read_end - read_start)
        above += [*truth[start:end], *[None] * (longest - (end - start))]
        below += [*read[read_start:read_end], *[None] * (longest - (read_end - read_start))]
    return above, below
