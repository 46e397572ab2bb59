"""What the tests of the pictures share: what is drawn, what is written in a picture."""

import matplotlib
import numpy as np
import pandas as pd

AUGMENTATIONS = [{"name": "Mirror"}, {"name": "CutMix"}, {"name": "Resample", "low": 0.5, "high": 2.0, "p": 0.1},
                 {"name": "PartDrop", "face": 0.3}, {"name": "OneOf", "of": [{"name": "TemporalMask"}]},
                 {"name": "SpatialMask", "p": 0}]


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def words(figure):
    """All words in a figure."""
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


def history(epochs):
    table = pd.DataFrame({"epoch": range(1, epochs + 1), "learning_rate": 1e-3, "samples_per_second": 80.0})
    return table.assign(loss=2 / table["epoch"], forward=1.5 / table["epoch"], ctc=3 / table["epoch"],
                        score=np.where(table["epoch"] % 2, np.nan, 0.5))
