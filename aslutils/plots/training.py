"""Pictures of training: learning curves, and the out-of-fold scores, which are targets of round 2."""

from itertools import cycle

import numpy as np
import pandas as pd

from aslutils.plots.style import BLUE, ORANGE, SERIES, mark, panels, picture, say_empty, styled

_PANELS = {                       # column of a history -> title, label
    "loss": ("Loss", "weighted sum"), "forward": ("Forward decoder", "cross-entropy"),
    "backward": ("Backward decoder", "cross-entropy"), "ctc": ("CTC", "CTC loss per character"),
    "shown": ("What each frame shows", "cross-entropy"),
    "confidence": ("Confidence", "binary cross-entropy"), "learning_rate": ("Learning rate", "at the end of the epoch"),
    "score": ("Score on validation", "1 - errors / characters"),
}


@styled
def learning_curves(histories: dict[str, pd.DataFrame]):
    """Loss and its parts, learning rate and validation score over the epochs, one line per training.

    histories: name -> history table with epoch, learning_rate, loss and, where the network has them, forward, backward,
    ctc, shown, confidence, score; a column without values gets no panel.
    """
    names = [name for name in _PANELS if any(name in table and table[name].notna().any() for table in histories.values())]
    if not names:
        figure = picture(2.2, "Learning curves")
        say_empty(figure.subplots(), "no epoch has finished yet")
        return figure
    title = "Learning curves: the losses fall as a network learns"
    figure, axes = panels(len(names), 3 if len(names) in (3, 5, 6) else 4, 2.2, title)
    for panel, name in zip(axes, names):
        title, label = _PANELS[name]
        for (training, table), colour in zip(histories.items(), cycle(SERIES)):
            if name in table:
                known = table[table[name].notna()]
                panel.plot(known["epoch"], known[name], color=colour, label=training,
                           marker="o" if len(known) < 12 else "", markersize=3.5)
        panel.set(title=title, ylabel=label, xlabel="epoch")
        panel.margins(x=0.02)
        lowest, highest = panel.dataLim.intervaly
        panel.set_ylim(min(0, lowest), 1 if name == "score" else max(1.06 * highest, 1e-9))   # early scores may be below 0
        panel.xaxis.get_major_locator().set_params(integer=True)
    axes[names.index("score") if "score" in names else 0].legend()
    return figure


@styled
def score_distribution(table: pd.DataFrame):
    """The distribution of the out-of-fold scores with their mean, supplemental rows separately.

    table: `score` (0..1; NaN for held-out rows, which are left out) and, if it has supplemental rows, `is_sup`.
    """
    supplemental = table["is_sup"].astype(bool) if "is_sup" in table else pd.Series(False, index=table.index)
    scored = table[~supplemental & table["score"].notna()]["score"].to_numpy(float)
    extra = table[supplemental]["score"].to_numpy(float)
    figure = picture(2.9, "Round 1's scores on participants it has not seen: the targets of the confidence head")
    left, right = figure.subplots(1, 2, width_ratios=[3, 1]) if len(extra) else (figure.subplots(), None)
    bins = np.linspace(0, 1, 21)
    left.set(title=f"{len(scored):,} training sequences", xlabel="score of the sequence, 1 - errors / characters, at least 0",
             ylabel="sequences")
    if len(scored):
        left.hist(scored, bins, color=BLUE, edgecolor="white", linewidth=0.5)
        mark(left, scored.mean(), f"mean {scored.mean():.3f}")
        left.legend(loc="best")
    else:
        say_empty(left, "no training sequence has a score")
    if right is not None:
        right.hist(extra, bins, color=ORANGE, edgecolor="white", linewidth=0.5)
        right.set(title=f"{len(extra):,} supplemental", xlabel="score (set, not measured)", ylabel="sequences", xlim=(0, 1))
    return figure
