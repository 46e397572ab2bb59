"""Pictures of an exported model: its latency, its variants, and how close each layer is to PyTorch."""

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from aslutils.plots.style import BLUE, FAINT, INK, ORANGE, SERIES, VERMILLION, mark, picture, say_empty, styled
from aslutils.task.metric import MAX_MEGABYTES, MAX_MILLISECONDS

TOLERANCE = 1e-4                  # of float32 between frameworks


@styled
def latency(per_sequence: pd.DataFrame):
    """Time to read a sequence against its length: a point per sequence, mean and 95 % quantile, and the limit.

    per_sequence: the scorer's table with length and milliseconds.
    """
    figure = picture(3.0, "Latency of the exported model: how long a sequence takes to read")
    axes = figure.subplots()
    axes.set(xlabel="length of the sequence, frames", ylabel="milliseconds a sequence")
    if not len(per_sequence):
        say_empty(axes, "no sequence was timed")
        return figure
    times = per_sequence["milliseconds"].to_numpy(float)
    axes.scatter(per_sequence["length"], times, s=12, color=BLUE, alpha=0.5, linewidths=0, label=f"{len(times):,} sequences")
    mark(axes, times.mean(), f"mean {times.mean():.1f} ms", INK, vertical=False)
    mark(axes, np.quantile(times, 0.95), f"95 % are under {np.quantile(times, 0.95):.1f} ms", INK, vertical=False, linestyle=":")
    mark(axes, MAX_MILLISECONDS, f"limit {MAX_MILLISECONDS:.0f} ms (5 h for 68,000)", VERMILLION, vertical=False, linestyle="-")
    axes.set_yscale("log")                        # shows a small model's milliseconds together with the limit
    _plain_logarithmic(axes.yaxis)
    figure.legend(loc="outside right upper")
    return figure


@styled
def variants(table: pd.DataFrame):
    """Size against latency of the export's variants, numbered, with a table of their agreement and score.

    table: variant, seeds, megabytes, milliseconds, agreement (share of texts equal to PyTorch's) and score.
    """
    figure = picture(3.4, "Variants of the export (agreement: share of texts read as by PyTorch)")
    axes, sheet = figure.subplots(1, 2, width_ratios=[1.15, 1])
    sheet.set_axis_off()
    axes.set(xlabel="size of the file, MB", ylabel="mean latency, ms a sequence")
    if not len(table):
        say_empty(axes, "no variant was measured")
        return figure
    table = table.reset_index(drop=True)
    colours = {seeds: SERIES[index % len(SERIES)] for index, seeds in enumerate(sorted(table["seeds"].unique()))}
    for number, row in table.iterrows():
        place = row["megabytes"], row["milliseconds"]
        axes.scatter(*place, s=170, color=colours[row["seeds"]], zorder=3)
        axes.text(*place, str(number + 1), color="white", fontweight="bold", ha="center", va="center", fontsize=8, zorder=4)
    mark(axes, MAX_MEGABYTES, f"limit {MAX_MEGABYTES} MB", VERMILLION, linestyle="-")
    mark(axes, MAX_MILLISECONDS, f"limit {MAX_MILLISECONDS:.0f} ms", VERMILLION, vertical=False, linestyle="--")
    sizes, times = table["megabytes"], table["milliseconds"]
    axes.set(xscale="log", yscale="log", xlim=(sizes.min() * 0.6, max(MAX_MEGABYTES, sizes.max()) * 1.6),
             ylim=(times.min() * 0.4, max(MAX_MILLISECONDS, times.max()) * 2))
    for axis in (axes.xaxis, axes.yaxis):
        _plain_logarithmic(axis, steps=(1, 2, 5))
    axes.legend(loc="best")
    _legend_table(sheet, table, colours)
    return figure


def _legend_table(sheet, table, colours):
    heads = ("", "variant", "seeds", "MB", "ms", "agreement", "score")
    places = (0.02, 0.08, 0.47, 0.57, 0.66, 0.86, 1.0)
    lines = [(str(number + 1), str(row["variant"]), f"{row['seeds']}", f"{row['megabytes']:.1f}", f"{row['milliseconds']:.3g}",
              _number(row["agreement"]), _number(row["score"])) for number, row in table.iterrows()]
    step = min(0.12, 0.9 / (len(lines) + 1))
    for depth, line in enumerate((heads, *lines)):
        for column, (place, text) in enumerate(zip(places, line)):
            colour = FAINT if depth == 0 else colours[table.loc[depth - 1, "seeds"]] if column == 0 else INK
            sheet.text(place, 0.97 - depth * step, text, transform=sheet.transAxes, ha="left" if column < 2 else "right",
                       va="top", fontsize=8, color=colour, fontweight="bold" if column == 0 else "normal")


def _number(value) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.3f}"


@styled
def layers(table: pd.DataFrame):
    """The largest difference from PyTorch after each layer, TensorFlow and TFLite, on a logarithmic scale.

    table: layer, tensorflow, tflite (absolute differences; NaN where a layer is not visible there), in the network's order.
    """
    figure = picture(max(2.2, 0.21 * len(table) + 1.2), "Differences from PyTorch by layer, in TensorFlow and TFLite")
    axes = figure.subplots()
    axes.set(xlabel="largest absolute difference")
    if not len(table):
        say_empty(axes, "no layer was compared")
        return figure
    places = np.arange(len(table))
    both = table[["tensorflow", "tflite"]].to_numpy(float)
    floor = 10.0 ** (np.floor(np.log10(both[both > 0].min(initial=1e-7))) - 1)        # where a difference of 0 is shown
    for column, colour, shape, shift in (("tensorflow", BLUE, "o", -0.12), ("tflite", ORANGE, "s", 0.12)):
        values = table[column].to_numpy(float)
        name = {"tensorflow": "TensorFlow", "tflite": "TFLite"}[column]
        axes.scatter(np.maximum(values, floor), places + shift, color=colour, marker=shape, s=26, label=name, zorder=3)
    axes.set_xscale("log")
    _plain_logarithmic(axes.xaxis)
    mark(axes, TOLERANCE, f"{TOLERANCE:g}: tolerance of float32")
    axes.set_yticks(places, table["layer"].astype(str))
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(left=floor / 2)
    if (both == 0).any():
        axes.axvline(floor, color=FAINT, linewidth=0.8, linestyle=":", label="no difference at all")
    figure.legend(loc="outside right upper")
    return figure


def _plain_logarithmic(axis, steps=(1,)):
    """Label a logarithmic axis 0.1, 1, 10 instead of with powers of ten, and in between only at `steps`."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
