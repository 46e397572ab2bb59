"""Every picture that a notebook shows: `from aslutils import plots`, then `plots.NAME(...)` as a cell's last line.

Each function returns a figure (the moving skeleton: HTML) that Jupyter shows by itself. The colours are those of Okabe and Ito,
the ground is light in any theme. matplotlib is imported here and in no other room.
"""

from aslutils.plots.augmented import augmentations
from aslutils.plots.decoding import attention
from aslutils.plots.errors import confidence, confusions, scores_by
from aslutils.plots.examples import predictions, worst
from aslutils.plots.exported import latency, layers, variants
from aslutils.plots.handsheet import handshapes
from aslutils.plots.motion import skeleton
from aslutils.plots.recordings import corpus, strip
from aslutils.plots.training import learning_curves, score_distribution

__all__ = ["attention", "augmentations", "confidence", "confusions", "corpus", "handshapes", "latency", "layers",
           "learning_curves", "predictions", "score_distribution", "scores_by", "skeleton", "strip", "variants", "worst"]
