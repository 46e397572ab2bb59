"""Pictures of what a network gets right and wrong: scores by group, confusions, confidence, single predictions."""

from collections import Counter

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

from aslutils.plots.style import BLUE, FAINT, INK, PURPLE, VERMILLION, mark, panels, picture, readable, say_empty, styled
from aslutils.task.metric import score, score_interval, sequence_scores
from aslutils.task.rejection import PUBLISHED
from aslutils.task.text import phrase_kind


@styled
def scores_by(table: pd.DataFrame):
    """Score by participant, kind of phrase, length of phrase and share of frames with a hand, each with its 95 % interval.

    table: participant_id, phrase, prediction, length, hand_frames. The intervals are bootstrapped over sequences.
    """
    figure, axes = panels(4, 4, 2.7, "Scores by group (1: no errors), with 95 % bootstrap intervals")
    if not len(table):
        for panel in axes:
            say_empty(panel, "no predictions")
        return figure
    length = table["phrase"].str.len()
    seen = 100 * table["hand_frames"] / table["length"].clip(lower=1)
    by_person = sorted(_scored_groups(table, table["participant_id"]), key=lambda group: group[1])
    _groups(axes[0], by_person, "Participant", "hardest to easiest", labels=len(by_person) <= 6)
    _groups(axes[1], _scored_groups(table, table["phrase"].map(phrase_kind)), "Kind of phrase", "")
    _groups(axes[2], _scored_groups(table, _quarters(length)), "Length of phrase", "characters")
    _groups(axes[3], _scored_groups(table, _quarters(seen)), "Hand seen", "% of frames")
    whole = score(table["phrase"].tolist(), table["prediction"].tolist())
    lowest = min(0, *(panel.dataLim.ymin for panel in axes))   # below 0: errors > characters
    for panel in axes:
        mark(panel, whole, f"all: {whole:.3f}", FAINT, vertical=False)
        panel.set_ylim(lowest, 1.02)
    axes[0].set_ylabel("score, 1 - errors / characters")
    axes[0].legend(loc="best")
    return figure


def _quarters(values: pd.Series) -> pd.Series:
    """Each value's quarter of the distribution, as a label such as 3-7; for up to four distinct values, the value itself."""
    values = values.round()
    if values.nunique() <= 4:
        return values.astype(int)
    edges = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).round())
    lows = [edges[0], *(edges[1:-1] + 1)]
    labels = [f"{low:.0f}-{high:.0f}" if low < high else f"{high:.0f}" for low, high in zip(lows, edges[1:])]
    return pd.cut(values, edges, include_lowest=True, labels=labels)


def _scored_groups(table, keys) -> list[tuple]:
    """(name, score, low, high, sequences) of each group."""
    found = []
    for name, rows in table.groupby(keys, observed=True, sort=True):
        texts = rows["phrase"].tolist(), rows["prediction"].tolist()
        found.append((str(name), score(*texts), *score_interval(*texts, draws=400), len(rows)))
    return found


def _groups(axes, groups, title, label, labels=True):
    scores = np.array([group[1] for group in groups])
    spans = np.array([[middle - low, high - middle] for _, middle, low, high, _ in groups]).T.clip(0)
    axes.errorbar(range(len(groups)), scores, spans, fmt="o", color=BLUE, ecolor=BLUE, elinewidth=1.4, capsize=2, markersize=4)
    axes.set(title=title, xlabel=label)
    axes.set_xticks(range(len(groups)) if labels else [], [group[0] for group in groups] if labels else [])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.grid(axis="x", visible=False)


@styled
def confusions(table: pd.DataFrame, count: int = 14):
    """The most frequent character errors: substitutions, insertions and deletions.

    table: phrase and prediction; the errors are those of a shortest alignment of the two.
    """
    substitutions, insertions, deletions = _errors(table)
    occurrences = Counter("".join(table["phrase"]))
    figure, axes = panels(3, 3, 3.4, "Character errors, the most frequent")
    for panel, title, counted, colour in ((axes[0], "Read as another", substitutions, VERMILLION),
                                          (axes[1], "Left out", deletions, BLUE),
                                          (axes[2], "Read where there is none", insertions, PURPLE)):
        most = counted.most_common(count)
        panel.set(title=f"{title}: {counted.total():,}", xlabel="times")
        if not most:
            say_empty(panel, "none")
            continue
        bars = panel.barh(range(len(most)), [times for _, times in most], color=colour)
        if counted is not insertions:
            shares = [f"{100 * times / occurrences[error[0]]:.0f} % of {readable(error[0])}" for error, times in most]
            panel.bar_label(bars, shares, padding=2, fontsize=7.5, color=FAINT)
        panel.set_yticks(range(len(most)), [" → ".join(map(readable, error)) for error, _ in most])
        panel.set_ylim(max(len(most), 6) - 0.4, -0.6)
        panel.margins(x=0.24)
        panel.grid(axis="y", visible=False)
    return figure


def _errors(table):
    """Counts: substitutions by the true and the read character, insertions and deletions by the one character."""
    found = {"replace": Counter(), "insert": Counter(), "delete": Counter()}
    for phrase, prediction in zip(table["phrase"], table["prediction"]):
        for edit in Levenshtein.editops(phrase, prediction):
            true, read = phrase[edit.src_pos:edit.src_pos + 1], prediction[edit.dest_pos:edit.dest_pos + 1]
            found[edit.tag][{"replace": true + read, "insert": read, "delete": true}[edit.tag]] += 1
    return found["replace"], found["insert"], found["delete"]


@styled
def confidence(table: pd.DataFrame, threshold: float = PUBLISHED.confidence):
    """Confidence against the score of each prediction, and what the threshold rejects.

    table: confidence, phrase, prediction (before rejection).
    """
    figure = picture(3.2, "How sure the model is (confidence) against how well it reads (score)")
    axes = figure.subplots()
    axes.set(xlabel="confidence", ylabel="score of the sequence", xlim=(0, 1), ylim=(-0.04, 1.04))
    if not len(table):
        say_empty(axes, "no predictions")
        return figure
    scores, sure = sequence_scores(table["phrase"], table["prediction"]), table["confidence"].to_numpy(float)
    jitter = np.random.default_rng(0).uniform(-0.012, 0.012, len(scores))
    alpha = max(0.08, min(0.6, 300 / len(scores)))
    axes.scatter(sure, scores + jitter, s=9, color=BLUE, alpha=alpha, linewidths=0, label="a sequence")
    edges = np.linspace(0, 1, 11)
    bins = np.clip(np.digitize(sure, edges) - 1, 0, 9)
    filled = [b for b in range(10) if (bins == b).sum() >= 3]
    means = np.array([(sure[bins == b].mean(), scores[bins == b].mean()) for b in filled]).reshape(-1, 2)
    axes.plot(*means.T, color=INK, marker="o", markersize=4, label="mean score at this confidence")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=":", label="perfectly calibrated")
    share = 100 * (sure < threshold).mean()
    axes.axvspan(0, threshold, color=VERMILLION, alpha=0.10, linewidth=0)
    mark(axes, threshold, f"under {threshold:g} is rejected: {share:.1f} %", VERMILLION)
    figure.legend(loc="outside right upper")
    return figure
