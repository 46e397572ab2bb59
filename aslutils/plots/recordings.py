"""Pictures of recordings: film strips, the demo's hand shapes, augmented sequences, a corpus at a glance."""

import numpy as np
import pandas as pd

from aslutils.hand import Hand, pose_hand
from aslutils.handshapes import SHAPES, SIGNS
from aslutils.landmarks import HOLISTIC, LANDMARKS
from aslutils.plots.hands import draw_cells, draw_hand, finger_legend, strip_cells
from aslutils.plots.style import (
    BLUE,
    GRID,
    ORANGE,
    bare,
    mark,
    panels,
    picture,
    readable,
    say_empty,
    styled,
)
from aslutils.preprocess import MAX_FRAMES
from aslutils.text import phrase_kind


@styled
def strip(frames: np.ndarray, phrase: str = "", pictures: int = 8):
    """A recording as a film strip: the signing hand close up, at up to `pictures` frames in which it is seen.

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
    """A corpus at a glance: lengths, frames a character, how often a hand is seen, kinds of phrases.

    table: a store's, with the columns frames, phrase, hand_frames, is_sup; training and supplemental rows are shown apart.
    """
    extra = table["is_sup"].astype(bool)
    groups = [("training", table[~extra], BLUE), ("supplemental", table[extra], ORANGE)]
    groups = [group for group in groups if len(group[1])]
    sizes = ", ".join(f"{len(rows):,} {name}" for name, rows, _ in groups) or "no"
    figure, axes = panels(4, 4, 2.5, f"{sizes} sequences")
    if not groups:
        for panel in axes:
            say_empty(panel, "no sequences")
        return figure
    _histograms(axes[0], "Length", "frames", groups, lambda rows: rows["frames"])
    _histograms(axes[1], "Pace", "frames a character", groups, lambda rows: rows["frames"] / rows["phrase"].str.len())
    _histograms(axes[2], "Hand seen", "% of frames", groups, lambda rows: 100 * rows["hand_frames"] / rows["frames"])
    if table["frames"].max() > MAX_FRAMES:
        mark(axes[0], MAX_FRAMES, f"{MAX_FRAMES}: resampled above")
    axes[0].legend(loc="upper right")
    axes[0].set_ylabel("% of sequences")
    _kinds(axes[3], groups)
    return figure


def _histograms(axes, title, label, groups, measure):
    """How a measure is distributed in each group; the last bin holds the largest half per cent."""
    values = [measure(rows).replace([np.inf, -np.inf], np.nan).dropna().to_numpy(float) for _, rows, _ in groups]
    bins = np.linspace(0, max(np.quantile(np.concatenate(values), 0.995), 1), 31)
    for (name, _, colour), shown in zip(groups, values):
        axes.hist(np.clip(shown, 0, bins[-1]), bins, weights=np.full(len(shown), 100 / len(shown)), histtype="stepfilled",
                  facecolor=(colour, 0.35), edgecolor=colour, linewidth=1.4, label=name)
    axes.set(title=title, xlabel=label)


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


@styled
def handshapes(word: str = "asl 2026", seed: int = 1):
    """The demo's signs: each character from the front and from the side (where it moves: the hand's way), and `word` spelled."""
    from aslutils.signer import Participant, Recording, record

    columns, still = 8, [character for character in SIGNS if len(SIGNS[character]) == 1 and character != " "]
    moving = [character for character in SIGNS if character not in still]
    rows = -(-len(still) // columns) + -(-len(moving) // columns)
    figure = picture(0.72 * rows + 2.0, "How the demo signs each character")
    upper, lower = figure.subplots(2, 1, height_ratios=[0.72 * rows, 1.3])
    _sheet(bare(upper), still, moving, columns)
    rng = np.random.default_rng(seed)
    recording = record(Participant.random(rng), word, Recording(frames_per_character=9, missing=0.0), rng)
    frames = recording[:, _kept()]
    hands, chosen = strip_cells(frames, 12)
    draw_cells(bare(lower), hands, [f"frame {frame}" for frame in chosen])
    lower.set_title(f"“{word}”, spelled by a made-up participant")
    finger_legend(figure)
    return figure


def _kept() -> list[int]:
    """Where the 130 landmarks stand among Holistic's 543."""
    starts = dict(zip(HOLISTIC, np.cumsum([0, *HOLISTIC.values()])))
    return [int(starts[part]) + index for part, index in LANDMARKS]


def _sheet(axes, still, moving, columns):
    """Front and side of each still sign, then the key frames of each moving one, from pale to full."""
    hand, pitch = Hand.average(), 2.35
    for index, character in enumerate(still):
        shape = SHAPES[SIGNS[character][0].shape][0]
        posed = pose_hand(shape.angles, shape.orientation, hand)
        x, y = index % columns * pitch, index // columns * 1.12
        for place, view in ((x, posed[:, :2]), (x + 0.95, posed[:, [2, 1]] * (1, 1))):
            draw_hand(axes, _centred(view, 2.3), (place, y), width=1.5)
        axes.text(x - 0.62, y - 0.3, character, fontsize=12, fontweight="bold", ha="center", va="center")
    top = -(-len(still) // columns) * 1.12
    for index, character in enumerate(moving):
        x, y = index % columns * pitch + 0.45, top + index // columns * 1.12
        signs = SIGNS[character]
        way = [frame.travel[:2] for frame in signs]
        posed = [pose_hand(SHAPES[frame.shape][0].angles, SHAPES[frame.shape][0].orientation + frame.turn, hand)[:, :2] + place
                 for frame, place in zip(signs, way)]
        middle, size = _middle(np.concatenate(posed))
        size = max(size, 2.3)
        for order, view in enumerate(posed):
            draw_hand(axes, (view - middle) / size * 0.98, (x, y), width=1.4, alpha=0.25 + 0.75 * order / max(1, len(posed) - 1))
        axes.text(x - 1.07, y - 0.3, readable(character), fontsize=12, fontweight="bold", ha="center", va="center")
    bottom = top + -(-len(moving) // columns) * 1.12
    axes.axhline(top - 0.57, color=GRID, linewidth=0.8)
    axes.set(xlim=(-0.8, columns * pitch - 0.6), ylim=(bottom - 0.5, -0.6))


def _middle(points):
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, float((high - low).max())


def _centred(view, size):
    return (view - _middle(view)[0]) / size * 0.98
