"""All pictures in the notebooks: `from aslutils import plots`, then `plots.NAME(...)` as a cell's last line.

Each function returns a figure (the moving skeleton: HTML) that Jupyter displays. The colours are those of Okabe and Ito,
the background is light in any theme. Only this folder imports matplotlib.
"""

from aslutils.plots.augmented import augmentations
from aslutils.plots.decoding import attention
from aslutils.plots.errors import confidence, confusions, scores_by
from aslutils.plots.examples import predictions, worst
from aslutils.plots.exported import latency, layers, variants
from aslutils.plots.handsheet import handshapes
from aslutils.plots.motion import skeleton
from aslutils.plots.sequences import clear_sequence, corpus, strip
from aslutils.plots.training import learning_curves, score_distribution

__all__ = ["attention", "augmentations", "clear_sequence", "confidence", "confusions", "corpus", "handshapes", "latency",
           "layers", "learning_curves", "predictions", "score_distribution", "scores_by", "skeleton", "strip", "variants",
           "worst"]
