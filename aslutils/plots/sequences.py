"""Pictures of sequences: film strips, an overview of a corpus."""

import numpy as np
import pandas as pd

from aslutils.data.store import Store
from aslutils.plots.hands import draw_cells, finger_legend, strip_cells
from aslutils.plots.style import BLUE, ORANGE, bare, mark, panels, picture, say_empty, styled
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.text import phrase_kind


@styled
def strip(frames: np.ndarray, phrase: str = "", pictures: int = 8):
    """A sequence as a film strip: close-ups of the signing hand in up to `pictures` frames in which it is seen.

    frames: (T, 130, 3) as recorded, NaN where not seen.
    """
    hands, chosen = strip_cells(frames, pictures)
    figure = picture(1.95, f"“{phrase}”, {len(frames):,} frames" if phrase else f"{len(frames):,} frames")
    axes = bare(figure.subplots())
    if len(hands):
        draw_cells(axes, hands, [f"frame {frame}" for frame in chosen], columns=pictures)
        finger_legend(figure)
    else:
        say_empty(axes, "no hand is seen in any frame")
    return figure


@styled
def corpus(table: pd.DataFrame):
    """An overview of a corpus: lengths, frames per character, how often a hand is seen, kinds of phrases.

    table: a store's table with length, phrase, hand_frames, is_sup; training and supplemental rows are shown separately.
    """
    extra = table["is_sup"].astype(bool)
    groups = [("training", table[~extra], BLUE), ("supplemental", table[extra], ORANGE)]
    groups = [group for group in groups if len(group[1])]
    sizes = ", ".join(f"{len(rows):,} {name}" for name, rows, _ in groups) or "no"
    figure, axes = panels(4, 4, 2.65, f"{sizes} sequences")
    if not groups:
        for panel in axes:
            say_empty(panel, "no sequences")
        return figure
    _histograms(axes[0], "Length", "frames", groups, lambda rows: rows["length"])
    _histograms(axes[1], "Pace", "frames per character", groups, lambda rows: rows["length"] / rows["phrase"].str.len())
    _histograms(axes[2], "Hand seen", "% of frames", groups, lambda rows: 100 * rows["hand_frames"] / rows["length"])
    if table["length"].max() > MAX_FRAMES:
        mark(axes[0], MAX_FRAMES, f"{MAX_FRAMES}: resampled above")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    axes[0].set_ylabel("% of sequences")
    _kinds(axes[3], groups)
    return figure


def _histograms(axes, title, label, groups, measure):
    """The distribution of a measure in each group; bin widths are whole numbers; the last bin includes all larger values."""
    values = [measure(rows).replace([np.inf, -np.inf], np.nan).dropna().to_numpy(float) for _, rows, _ in groups]
    together = np.concatenate(values)
    top = max(np.quantile(together, 0.995), 1)
    step = np.ceil(top / 30)
    bins = np.arange(0, top + step, step)
    for (name, _, colour), shown in zip(groups, values):
        axes.hist(np.clip(shown, 0, bins[-1]), bins, weights=np.full(len(shown), 100 / len(shown)), histtype="stepfilled",
                  facecolor=(colour, 0.35), edgecolor=colour, linewidth=1.4, label=name)
    more = f"\n(last bar: {bins[-2]:.0f} and more)" if together.max() > bins[-1] else ""
    axes.set(title=title, xlabel=label + more)


def _kinds(axes, groups):
    axes.set(title="Kinds of phrases", xlabel="% of sequences")
    kinds = ("address", "url", "phone")
    for offset, (_, rows, colour) in enumerate(groups):
        counts = rows["phrase"].map(phrase_kind).value_counts()
        shares = [100 * counts.get(kind, 0) / len(rows) for kind in kinds]
        places = np.arange(3) + (offset - (len(groups) - 1) / 2) * 0.4
        bars = axes.barh(places, shares, height=0.36, color=colour)
        axes.bar_label(bars, [f"{share:.0f}" for share in shares], padding=2, fontsize=8)
    axes.set_yticks(range(3), kinds)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.15)


def clear_sequence(store: Store, skip: int = 0) -> int:
    """The store row of a clear example: long enough, a hand in most frames, not too short a phrase."""
    table = store.table
    good = np.minimum(table["phrase"].str.len() / 6, 1) + np.minimum(table["length"] / 40, 1)
    good += table["hand_frames"] / table["length"]
    return int(good.sort_values(ascending=False, kind="stable").index[min(skip, len(table) - 1)])
