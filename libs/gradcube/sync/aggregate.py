"""The weighted mean of gradients, and norms that neither overflow nor lose what is small. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
_BLOCK = 65_536


def weighted_mean(gradients: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """sum(w_i g_i) / sum(w_i) over gradients of shape (p,), in the order given; zeros when all weights are 0.

    A gradient of weight 0 takes no part, so a rank without samples may send anything.
    """
    total = sum(weights)
    mean = np.zeros_like(gradients[0])
    if total == 0:
        return mean
    shares = [(g, np.float32(w / total)) for g, w in zip(gradients, weights, strict=True) if w > 0]
    with np.errstate(over="ignore", invalid="ignore"):  # a non-finite mean is the caller's to notice
        for start in range(0, mean.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            for gradient, share in shares:
                mean[block] += gradient[block] * share
    return mean


def square_sum(vector: FloatArray) -> float:
    """The sum of squares, in double precision: not finite exactly when a value is not."""
    total = 0.0
    for start in range(0, vector.size, _BLOCK):
        block = vector[start : start + _BLOCK].astype(np.float64)
        total += float(np.dot(block, block))
    return total
