"""Sum, count, least and greatest of many metrics of many series, in four matrices.

Rows with a series id and a value per metric come in; the matrices are the result.
"""

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray


class Accumulator:
    """Matrices (series, metrics) that grow with the highest series id seen; NaN and infinite values are left out."""

    def __init__(self, num_metrics: int, capacity: int = 8) -> None:
        self.sums = np.zeros((capacity, num_metrics))
        self.counts = np.zeros((capacity, num_metrics), np.int64)
        self.mins = np.full((capacity, num_metrics), np.inf)
        self.maxs = np.full((capacity, num_metrics), -np.inf)

    def add(self, series: IntArray, values: FloatArray) -> None:
        """Adds `values` (rows, metrics) to the series (rows,), one row each; several rows may share a series."""
        if not len(series):
            return
        order = np.argsort(series, kind="stable")
        ordered = series[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        ids, table = ordered[starts], values[order]
        valid = np.isfinite(table)
        self.grow(int(ids[-1]) + 1)
        self.sums[ids] += np.add.reduceat(np.where(valid, table, 0.0), starts)
        self.counts[ids] += np.add.reduceat(valid.astype(np.int64), starts)
        self.mins[ids] = np.minimum(self.mins[ids], np.minimum.reduceat(np.where(valid, table, np.inf), starts))
        self.maxs[ids] = np.maximum(self.maxs[ids], np.maximum.reduceat(np.where(valid, table, -np.inf), starts))

    def merge(self, other: "Accumulator") -> None:
        """Adds all that the other one holds, series by series."""
        n = len(other.sums)
        self.grow(n)
        self.sums[:n] += other.sums
        self.counts[:n] += other.counts
        self.mins[:n] = np.minimum(self.mins[:n], other.mins)
        self.maxs[:n] = np.maximum(self.maxs[:n], other.maxs)

    def grow(self, num_series: int) -> None:
        """Makes room for `num_series` series."""
        missing = max(num_series, 2 * len(self.sums)) - len(self.sums)
        if num_series <= len(self.sums):
            return
        pad = ((0, missing), (0, 0))
        self.sums = np.pad(self.sums, pad)
        self.counts = np.pad(self.counts, pad)
        self.mins = np.pad(self.mins, pad, constant_values=np.inf)
        self.maxs = np.pad(self.maxs, pad, constant_values=-np.inf)
