"""A sheet of all handshapes and movements of the demo, and a word spelled with them."""

import numpy as np

from aslutils.demo.handshapes import posed, signs
from aslutils.demo.signer import Participant, Recording, record
from aslutils.plots.hands import draw_cells, draw_hand, finger_legend, strip_cells
from aslutils.plots.style import INK, WIDTH, bare, readable, sheet, styled
from aslutils.task.landmarks import HOLISTIC, LANDMARKS

COLUMNS = 8
CELL = np.array([2.05, 1.13])      # size of a sign: label, hand from the front, hand from the side
LARGEST = 2.15                     # palms that fit into a unit of the sheet
_ARROW = {"arrowstyle": "-|>,head_length=0.35,head_width=0.16", "color": INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}


@styled
def handshapes(word: str = "asl 2026", seed: int = 1):
    """The demo's signs: each character from the front and the side (or its movement), and `word` spelled."""
    groups = [[character for character in sorted(signs()) if kind(character)] for kind in (
        str.isalpha, str.isdigit, lambda character: not character.isalnum())]
    rows = sum(-(-len(group) // COLUMNS) for group in groups)
    tall = rows * CELL[1] * WIDTH / (COLUMNS * CELL[0])
    height = 0.35 + tall + 0.45 + 1.0 + 0.3
    figure = sheet(height)
    title = "The demo's signs, from the front and the side; movements go from pale to full colour"
    figure.suptitle(title, x=0.012, y=1 - 0.1 / height, ha="left", va="top")
    axes = bare(figure.add_axes((0, 1 - (0.35 + tall) / height, 1, tall / height)))
    axes.set(xlim=(-0.15, COLUMNS * CELL[0] - 0.15), ylim=(rows * CELL[1], 0))
    top = 0
    for group in groups:
        for index, character in enumerate(group):
            _sign(axes, character, CELL * (index % COLUMNS, top + index // COLUMNS))
        top += -(-len(group) // COLUMNS)
    _spelled(figure, word, height, seed)
    return figure


def _sign(axes, character: str, corner):
    """One character in its cell."""
    axes.text(*(corner + (0.12, 0.3)), readable(character), fontsize=12, fontweight="bold", ha="center", va="center")
    hands = posed(character)
    if len(hands) == 1:
        draw_hand(axes, _centred(hands[0][:, :2]), corner + (0.72, 0.55), width=1.5)
        draw_hand(axes, _centred(hands[0][:, [2, 1]]), corner + (1.5, 0.55), width=1.5)
        return
    points = hands[..., :2]
    low, high = points.min((0, 1)), points.max((0, 1))
    size = max(*((high - low) / (1.5, 1)), LARGEST)
    points = (points - (low + high) / 2) / size + corner + (1.12, 0.55)
    for order, view in enumerate(points):
        draw_hand(axes, view, width=1.4, alpha=0.3 + 0.7 * order / (len(points) - 1))
    centres = points[:, [0, 5, 17]].mean(1)
    for start, end in zip(centres, centres[1:]):
        axes.annotate("", end, start, arrowprops=_ARROW)


def _centred(view):
    return (view - (view.min(0) + view.max(0)) / 2) / LARGEST


def _spelled(figure, word, height, seed):
    """The film strip of a made-up participant who spells `word`."""
    hands, chosen = strip_cells(recorded(word, seed), 12)
    axes = bare(figure.add_axes((0.01, 0.28 / height, 0.98, 1.0 / height)))
    draw_cells(axes, hands, [f"frame {frame}" for frame in chosen])
    figure.text(0.012, 1.5 / height, f"“{word}”, spelled by a made-up participant", va="center", fontsize=9.5, fontweight="bold")
    finger_legend(figure)


def recorded(phrase: str, seed: int = 1) -> np.ndarray:
    """A made-up participant's sequence of `phrase` at the corpus's pace, the hand always seen: (T, 130, 3)."""
    rng = np.random.default_rng(seed)
    starts = dict(zip(HOLISTIC, np.cumsum([0, *HOLISTIC.values()])))
    kept = [int(starts[part]) + index for part, index in LANDMARKS]               # of Holistic's 543
    return record(Participant.random(rng, varied=False), phrase, Recording(frames_per_character=9, missing=0.0), rng)[:, kept]
