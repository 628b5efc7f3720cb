"""Means over the steps before, for the rules of loss."""

import numpy as np

from gradcube.windows.columns import FloatArray


def before(values: FloatArray, window: int, needed: int) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of up to `window` steps before each, (steps,); NaN where fewer than `needed` are."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    at = np.arange(len(values))
    start = np.maximum(0, at - window)
    count = np.maximum(at - start, 1)
    mean = (total[at] - total[start]) / count
    variance = (squares[at] - squares[start]) / count - mean**2
    known = at - start >= needed
    return np.where(known, mean, np.nan), np.where(known, np.sqrt(np.maximum(variance, 0.0)), np.nan)
