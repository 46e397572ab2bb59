"""The style of the kit's pictures: colours safe for colour-blind readers, a light background in any theme, one font size."""

import functools
import io
import math

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from aslutils.task.colours import BLACK, BLUE, GREEN, ORANGE, PALM_COLOUR, PURPLE, SKY, VERMILLION, YELLOW

SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#5B5B5B")   # for lines and bars, in this order
GROUND, PAPER, INK, FAINT, GRID = "#FAFAF8", "#FFFFFF", "#222222", "#6B6B6B", "#DDDDDA"   # for everything but the data
PART_COLOURS = {"left_hand": BLUE, "right_hand": VERMILLION, "face": FAINT, "pose": GREEN}
OWN = (*SERIES, BLACK, YELLOW, GROUND, PAPER, INK, FAINT, GRID, PALM_COLOUR)   # kept exactly in a reduced PNG, for thin lines
WIDTH = 9.0                                                          # inches, of a full-width picture; 100 dpi

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9.5, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8, "legend.frameon": False,
    "figure.titlesize": 11, "figure.titleweight": "bold", "figure.facecolor": GROUND, "figure.dpi": 100,
    "axes.facecolor": PAPER, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": FAINT,
    "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.6,
    "axes.formatter.useoffset": False, "savefig.facecolor": "auto", "text.parse_math": False,   # "$" is one of the characters
}


class Picture(Figure):
    """A figure that a notebook shows once, as a small PNG, whether or not it is the last value of its cell."""

    def _ipython_display_(self):
        from IPython.display import display

        pyplot.close(self)                        # shown here, so not again at the end of the cell
        display({"image/png": self.png(), "text/plain": self.name()}, raw=True)

    def name(self) -> str:
        """A title for the picture."""
        return self.get_suptitle() or next((axes.get_title(loc="left") for axes in self.axes), "") or "picture"

    def png(self) -> bytes:
        """The figure as PNG with at most 160 colours, including our own: a third of the size, and it looks the same."""
        drawn, reduced, palette = io.BytesIO(), io.BytesIO(), Image.new("P", (1, 1))
        self.savefig(drawn, format="png")
        image = Image.open(drawn).convert("RGB")
        own = [part for colour in OWN for part in ImageColor.getrgb(colour)]
        palette.putpalette(own + image.quantize(160 - len(OWN)).getpalette()[:3 * (160 - len(OWN))])
        image.quantize(palette=palette, dither=Image.Dither.NONE).save(reduced, "PNG", optimize=True)
        return reduced.getvalue()


def styled(draw):
    """Make a function draw in our style, and restore matplotlib's settings afterwards."""
    @functools.wraps(draw)
    def drawn(*arguments, **options):
        # Not matplotlib.rc_context: it would also undo the settings of a notebook's backend, which the first figure loads.
        before = {name: matplotlib.rcParams[name] for name in STYLE}
        matplotlib.rcParams.update(STYLE)
        try:
            return draw(*arguments, **options)
        finally:
            matplotlib.rcParams.update(before)
    return drawn


def sheet(height: float, **options) -> Picture:
    """An empty picture, `height` in inches. In a notebook pyplot manages it and shows it at the end of the cell."""
    if "inline" in matplotlib.get_backend():
        return pyplot.figure(figsize=(WIDTH, height), FigureClass=Picture, **options)
    return Picture(figsize=(WIDTH, height), **options)


def picture(height: float, title: str = "") -> Picture:
    """An empty picture, `height` in inches, with constrained layout."""
    figure = sheet(height, layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def panels(count: int, columns: int, height: float, title: str = "") -> tuple[Picture, list]:
    """A picture with `count` axes, `columns` per row, rows of `height` inches."""
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    figure = picture(rows * height + (0.35 if title else 0), title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def bare(axes):
    """Axes without frame, ticks and grid, with equal aspect, to draw on."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    return axes


def say_empty(axes, why: str):
    """Write in the axes why there is nothing to show."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=FAINT)


def mark(axes, value: float, label: str, colour: str = INK, vertical: bool = True, linestyle: str = "--"):
    """A line across the axes at a limit or a mean, named in the legend."""
    draw = axes.axvline if vertical else axes.axhline
    draw(value, color=colour, linestyle=linestyle, linewidth=1.3, label=label)


def readable(character: str) -> str:
    """A character as a label, with a visible space."""
    return character.replace(" ", "␣")
