"""Each rank against the others of its pipeline stage: the one comparison that all-reduce leaves meaningful."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import FloatArray

MIN_PEERS = 2


def peer_median(values: NDArray[Any], stage: NDArray[Any]) -> FloatArray:
    """The median, for each rank, of the *other* ranks of its stage.

    `values` is (ranks,), NaN where a rank has none; `stage` is (ranks,). Returns (ranks,), NaN for a rank with
    fewer than two peers. The rank itself is left out of its own reference, so one slow rank of three does
    not hide in the median (Lin et al., OSDI 2025, section 4).
    """
    result = np.full(len(values), np.nan)
    for own in np.unique(stage):
        at = np.flatnonzero((stage == own) & np.isfinite(values))
        if len(at) > MIN_PEERS:
            result[at] = _median_without_self(np.asarray(values, np.float64)[at])
    return result


def peer_ratio(values: NDArray[Any], stage: NDArray[Any]) -> FloatArray:
    """Each rank's value over `peer_median`, (ranks,); NaN where there is none or it is 0."""
    reference = peer_median(values, stage)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, np.asarray(values, np.float64) / reference, np.nan)


def _median_without_self(values: FloatArray) -> FloatArray:
    """(n,) medians of n - 1 values each, in n log n: only three values can be or make up such a median."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    place = np.arange(len(values))
    low, high = (len(values) - 2) // 2, (len(values) - 1) // 2
    median = (ordered[low + (low >= place)] + ordered[high + (high >= place)]) / 2
    result = np.empty(len(values))
    result[order] = median
    return result
