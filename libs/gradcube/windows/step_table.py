"""What the ranks of each step say together: mean and greatest over the ranks, whichever batches brought them.

Step numbers and samples of single records come in; one row a step goes out, ascending.
"""

from typing import NamedTuple

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.samples import COLUMN

BY_STEP = ("loss", "grad_norm", "step_seconds", "busy_seconds")
_AT = [COLUMN[name] for name in BY_STEP]
MAX_LOOSE = 1 << 14
"""Records that may wait to be added up: 640 kiB."""


class StepTable:
    """The steps of one attempt that end in one span; 104 bytes a step, however many ranks there are."""

    def __init__(self) -> None:
        empty = np.empty((0, len(BY_STEP)))
        self._whole = _Parts(np.empty(0, np.int64), empty, empty, empty)
        self._loose: list[tuple[IntArray, FloatArray]] = []
        self._num_loose = 0

    def add(self, step: IntArray, samples: FloatArray) -> None:
        """Adds records: `step` (rows,), `samples` (rows, STEP_COLUMNS); what is not finite is left out."""
        self._loose.append((step, samples[:, _AT]))
        self._num_loose += len(step)
        if self._num_loose > MAX_LOOSE:
            self._add_up()

    def merge(self, other: "StepTable") -> None:
        """Adds all that the other one holds."""
        self._whole = _added_up([self._add_up(), other._add_up()])

    @property
    def steps(self) -> IntArray:
        """The distinct steps, (k,), ascending."""
        return self._add_up().steps

    def mean(self, name: str) -> FloatArray:
        """Mean over the records of each step, (k,); NaN without any."""
        whole, at = self._add_up(), BY_STEP.index(name)
        counts = whole.counts[:, at]
        return np.where(counts > 0, whole.sums[:, at] / np.maximum(counts, 1), np.nan)

    def most(self, name: str) -> FloatArray:
        """Greatest over the records of each step, (k,); -inf without any."""
        return self._add_up().greatest[:, BY_STEP.index(name)]

    def _add_up(self) -> "_Parts":
        if self._loose:
            steps, values = (np.concatenate(columns) for columns in zip(*self._loose, strict=True))
            valid = np.isfinite(values)
            sums, greatest = np.where(valid, values, 0.0), np.where(valid, values, -np.inf)
            self._whole = _added_up([self._whole, _Parts(steps, sums, valid.astype(np.float64), greatest)])
            self._loose, self._num_loose = [], 0
        return self._whole


class _Parts(NamedTuple):
    """Steps (k,), and of each of BY_STEP (k, 4) sum, count and greatest."""

    steps: IntArray
    sums: FloatArray
    counts: FloatArray
    greatest: FloatArray


def _added_up(parts: list[_Parts]) -> _Parts:
    steps, sums, counts, greatest = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if not len(steps):
        return parts[0]
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return _Parts(
        ordered[starts],
        np.add.reduceat(sums[order], starts),
        np.add.reduceat(counts[order], starts),
        np.maximum.reduceat(greatest[order], starts),
    )
