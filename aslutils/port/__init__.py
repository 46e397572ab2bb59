"""The network in TensorFlow, file by file and layer by layer as in `aslutils.model`, and its export to TFLite.

Only this folder imports TensorFlow. Layers take their weights from the PyTorch layer of the same name, in evaluation
form: one sequence at a time, no padding, no dropout, normalisations folded into the weights next to them.
"""

import os

# Before TensorFlow starts: without oneDNN's kernels it gives the same numbers on every machine; and it logs errors only.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
