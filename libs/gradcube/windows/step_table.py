"""What the ranks of each step say together: mean and greatest over the ranks, whichever batches brought them.

Step numbers and samples of single records come in; one row a step goes out, ascending.
"""

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.samples import COLUMN

BY_STEP = ("loss", "grad_norm", "step_seconds", "busy_seconds")
_AT = [COLUMN[name] for name in BY_STEP]
MAX_LOOSE = 1 << 14
"""Rows that may wait to be added up: 2 MiB."""


class StepTable:
    """The steps of one attempt that end in one span; 104 bytes a step, however many ranks there are."""

    def __init__(self) -> None:
        empty = np.empty((0, len(BY_STEP)))
        self._parts: list[tuple[IntArray, FloatArray, FloatArray, FloatArray]] = [
            (np.empty(0, np.int64), empty, empty, empty)
        ]

    def add(self, step: IntArray, samples: FloatArray) -> None:
        """Adds records: `step` (rows,), `samples` (rows, STEP_COLUMNS); what is not finite is left out."""
        values = samples[:, _AT]
        valid = np.isfinite(values)
        self._take((step, np.where(valid, values, 0.0), valid.astype(np.float64), np.where(valid, values, -np.inf)))

    def merge(self, other: "StepTable") -> None:
        """Adds all that the other one holds."""
        self._parts.append(other._whole())

    @property
    def steps(self) -> IntArray:
        """The distinct steps, (k,), ascending."""
        return self._whole()[0]

    def mean(self, name: str) -> FloatArray:
        """Mean over the records of each step, (k,); NaN without any."""
        _, sums, counts, _ = self._whole()
        at = BY_STEP.index(name)
        return np.where(counts[:, at] > 0, sums[:, at] / np.maximum(counts[:, at], 1), np.nan)

    def most(self, name: str) -> FloatArray:
        """Greatest over the records of each step, (k,); -inf without any."""
        return self._whole()[3][:, BY_STEP.index(name)]

    def _take(self, part: tuple[IntArray, FloatArray, FloatArray, FloatArray]) -> None:
        self._parts.append(_added_up([part]))
        if sum(len(steps) for steps, *_ in self._parts[1:]) > MAX_LOOSE:
            self._whole()

    def _whole(self) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        if len(self._parts) > 1:
            self._parts = [_added_up(self._parts)]
        return self._parts[0]


def _added_up(
    parts: list[tuple[IntArray, FloatArray, FloatArray, FloatArray]],
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    steps, sums, counts, greatest = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if not len(steps):
        return steps, sums, counts, greatest
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return (
        ordered[starts],
        np.add.reduceat(sums[order], starts),
        np.add.reduceat(counts[order], starts),
        np.maximum.reduceat(greatest[order], starts),
    )
