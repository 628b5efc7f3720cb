"""A mergeable histogram over logarithmic bins: percentiles with a stated relative error, and no samples kept.

Values of any number come in, by batches; quantiles go out. Two sketches of the same kind add up.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import FloatArray, IntArray

RELATIVE_ERROR = 0.01
"""A quantile lies within this share of a true sample of that rank (Masson et al., DDSketch, VLDB 2019)."""
LEAST = 1e-6
"""Values from 0 up to this one count as 0: a microsecond is below what a clock of a step can tell."""
GREATEST = 1e6
_LOG_GAMMA = float(np.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)))
NUM_BINS = int(np.ceil(np.log(GREATEST / LEAST) / _LOG_GAMMA)) + 2


def bins_of(values: NDArray[Any]) -> IntArray:
    """The bin of each finite value >= 0, in the shape of `values`; what is greater than GREATEST goes to the last."""
    logs = np.log(np.maximum(values, LEAST, dtype=np.float64) / LEAST) / _LOG_GAMMA
    bins: IntArray = np.minimum(np.ceil(logs), NUM_BINS - 1).astype(np.int64)
    return bins


def value_of(bins: NDArray[Any]) -> FloatArray:
    """The value that stands for each bin, equally far, relatively, from both its ends; 0 for the first."""
    middle = LEAST * np.exp(_LOG_GAMMA * np.asarray(bins, np.float64)) * 2 / (1 + np.exp(_LOG_GAMMA))
    return np.where(np.asarray(bins) == 0, 0.0, middle)


class LogSketch:
    """One sketch, or many of them side by side: `LogSketch(rows=9)` has a histogram for each of 9 metrics.

    >>> sketch = LogSketch()
    >>> sketch.add(np.array([0.1, 0.2, 0.4]))
    >>> round(float(sketch.quantile(0.5)[0]), 2)
    0.2
    """

    def __init__(self, rows: int = 1) -> None:
        self.counts = np.zeros((rows, NUM_BINS), np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Adds (n, rows) values, or (n,) to a single row. NaN, infinite and negative ones are left out."""
        table = np.asarray(values).reshape(-1, len(self.counts))
        with np.errstate(invalid="ignore"):
            valid = np.isfinite(table) & (table >= 0)
        row = np.broadcast_to(np.arange(table.shape[1]), table.shape)[valid]
        flat = np.bincount(row * NUM_BINS + bins_of(table[valid]), minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)

    def merge(self, other: "LogSketch") -> None:
        """Adds what the other one holds; the order of merges does not matter."""
        self.counts += other.counts

    def quantile(self, share: float) -> FloatArray:
        """The value below which `share` of the samples lie, (rows,); NaN for a row without samples.

        The sample meant is that of rank floor(share * (n - 1)), as numpy's method "lower".
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a quantile's share lies in 0 to 1, got {share}")
        cumulative = np.cumsum(self.counts, axis=1)
        total = cumulative[:, -1]
        rank = np.floor(share * np.maximum(total - 1, 0)).astype(np.int64)
        found = value_of(np.argmax(cumulative > rank[:, None], axis=1))
        return np.where(total > 0, found, np.nan)
