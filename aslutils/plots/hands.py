"""Drawing hands: which hand signs, where it is in each frame, and small close-ups of it side by side."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from aslutils.demo.hand import FINGERS
from aslutils.plots.style import FAINT, GRID, PAPER
from aslutils.task.colours import BONE_COLOURS, FINGER_COLOURS
from aslutils.task.landmarks import HAND_BONES, LEFT_HAND, RIGHT_HAND

ASPECT = 2 / 3                    # width / height of a portrait phone video; sequences do not store theirs


def in_picture(frames: np.ndarray) -> np.ndarray:
    """x and y of landmarks in units of the picture's height, y down: (..., 3) -> (..., 2)."""
    return frames[..., :2] * (ASPECT, 1)


def signing_hand(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hand seen in more of the frames (T, 130, 3): its landmark indices; in which frames it is seen, bool (T,)."""
    seen = {side: ~np.isnan(frames[:, hand, 0]).any(1) for side, hand in (("left", LEFT_HAND), ("right", RIGHT_HAND))}
    side = max(seen, key=lambda side: seen[side].sum())
    return {"left": LEFT_HAND, "right": RIGHT_HAND}[side], seen[side]


def spread_indices(seen: np.ndarray, count: int) -> np.ndarray:
    """Up to `count` of the frames where `seen` (bool (T,)) holds, spread evenly among them."""
    found = np.flatnonzero(seen)
    return found[np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))] if len(found) else found


def close_ups(hands: np.ndarray) -> np.ndarray:
    """Hands (N, 21, 2), each moved to the middle of a cell from -0.5 to 0.5; all are scaled alike, so that the largest fits.

    A hand over 1.5 times the median size is taken to be a tracking error and may extend beyond its cell.
    """
    if not len(hands):
        return hands
    low, high = hands.min(1), hands.max(1)
    sizes = (high - low).max(1)
    return (hands - (low + high)[:, None] / 2) / max(min(sizes.max(), 1.5 * np.median(sizes)), 1e-6) * 0.9


def draw_hand(axes, hand: np.ndarray, at=(0.0, 0.0), scale: float = 1.0, width: float = 1.6, alpha: float = 1.0, clip=None):
    """One hand (21, 2) in cell units at a position of the axes, with a colour per finger. clip: a patch that bounds it."""
    points = hand * scale + at
    bones = LineCollection(points[np.array(HAND_BONES)], colors=BONE_COLOURS, linewidths=width, alpha=alpha, capstyle="round")
    axes.add_collection(bones, autolim=False)
    if clip is not None:
        bones.set_clip_path(clip)


def draw_cells(axes, hands: np.ndarray, labels=(), columns: int | None = None, width: float = 1.6):
    """Close-ups (N, 21, 2) as a film strip, `columns` per row, each with its label above it."""
    columns = columns or max(1, len(hands))
    rows = max(1, -(-len(hands) // columns))
    pitch = 1.24 if labels else 1.06
    for index, hand in enumerate(hands):
        x, y = index % columns * 1.06, index // columns * pitch
        cell = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=PAPER, edgecolor=GRID, linewidth=0.8)
        axes.add_patch(cell)
        draw_hand(axes, hand, (x, y), width=width, clip=cell)
        if index < len(labels):
            axes.text(x, y - 0.53, labels[index], ha="center", va="bottom", fontsize=8, color=FAINT)
    axes.set(xlim=(-0.52, (columns - 1) * 1.06 + 0.52), ylim=((rows - 1) * pitch + 0.52, -0.76 if labels else -0.52))


def strip_cells(frames: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` close-ups of a sequence (T, 130, 3): hands (N, 21, 2) in cell units and their frames, fewer if fewer are seen."""
    hand, seen = signing_hand(frames)
    chosen = spread_indices(seen, count)
    return close_ups(in_picture(frames[np.ix_(chosen, hand)])), chosen


def finger_legend(figure, loc: str = "outside lower left"):
    """A one-line legend of the finger colours, at the bottom of the figure or at `loc`."""
    handles = [LineCollection([], colors=[colour], linewidths=2.5) for colour in FINGER_COLOURS]
    figure.legend(handles, FINGERS, loc=loc, ncols=5, handlelength=1.2, columnspacing=1.2)
