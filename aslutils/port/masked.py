"""Batch normalisation at inference: a scale and a shift, folded into the weights before it."""

import numpy as np

from aslutils.port.layers import array


def folded(norm) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift (C,), float64, that `MaskedBatchNorm` applies in evaluation."""
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    return scale, array(norm.bias) - array(norm.running_mean) * scale
