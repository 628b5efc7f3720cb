"""Cells: the (attempt, step, rank) that a trace speaks of, each one row of StepRows; and values put into them.

Tidy columns come in; (cells,) arrays go out, by attempt, step and rank.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import TraceError
from gradcube.traces.loading import ABSENT, TidyColumns
from gradcube.windows.columns import BoolArray, FloatArray, IntArray

MAX_CELLS = 200_000_000


@dataclass(frozen=True, eq=False)
class Cells:
    """`moment` is the position of a cell's (attempt, step) in `attempts` and `steps`, (moments,) each.

    `cell` and `row_moment` are those of each tidy row, (rows,); `cell` is ABSENT for a value of the whole job.
    """

    attempts: IntArray
    steps: IntArray
    moment: IntArray
    rank: IntArray
    cell: IntArray
    row_moment: IntArray

    def __len__(self) -> int:
        return len(self.rank)


def find_cells(tidy: TidyColumns) -> Cells:
    """Who reported when. Without any rank it is rank 0.

    A step of which only the whole job is known is one of the ranks that were heard of last: it holds for each.
    """
    attempts, attempt = distinct(tidy.attempt)
    steps, step = distinct(tidy.step)
    pairs, row_moment = distinct(attempt * len(steps) + step)
    ranked = tidy.rank != ABSENT
    if not ranked.any():
        ranked, rank = np.ones(len(ranked), bool), np.zeros(len(ranked), np.int64)
    else:
        rank = tidy.rank
    ranks, column = distinct(np.append(rank[ranked], 0))
    place = row_moment[ranked] * len(ranks) + column[:-1]
    more = _whole_job_places(place, len(pairs), ranks)
    places, found = distinct(np.append(place, more))
    cell = np.full(len(ranked), ABSENT, np.int64)
    cell[ranked] = found[: len(place)]
    moment, at = np.divmod(places, len(ranks))
    return Cells(attempts[pairs // len(steps)], steps[pairs % len(steps)], moment, ranks[at], cell, row_moment)


def distinct(values: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct values, ascending, and the position of each value among them. Linear where they lie close."""
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * len(values):
        found, at = np.unique(values, return_inverse=True)
        return found, at
    present = np.zeros(high - low + 1, bool)
    present[values - low] = True
    found = np.flatnonzero(present) + low
    return found, (np.cumsum(present) - 1)[values - low]


def fill(column: FloatArray, at: IntArray, value: FloatArray, row: IntArray, name: str) -> None:
    """Puts `value` at `at`. Raises TraceError when a place is given two values; the same value twice is one."""
    column[at] = value
    different = column[at] != value
    if different.any():
        first = int(np.argmax(different))
        second = int(np.flatnonzero((at == at[first]) & (value == column[at[first]]))[-1])
        raise TraceError(
            f"rows {row[first] + 1} and {row[second] + 1}: {name} of the same step and rank is "
            f"{value[first]:g} and {value[second]:g}; if the run was started again, give each start its own attempt"
        )


def first_given(cells: int, at: IntArray, value: NDArray[Any], given: BoolArray, absent: Any) -> NDArray[Any]:
    """(cells,) the first value that is given of each cell."""
    found = np.full(cells, absent, value.dtype)
    found[at[given][::-1]] = value[given][::-1]  # of several, numpy keeps the last one written
    return found


def filled_forward(values: FloatArray, start: float) -> FloatArray:
    """NaN becomes the value before it, `start` where there is none."""
    known = np.isfinite(values)
    before = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(before < 0, start, values[before])


def _whole_job_places(place: IntArray, moments: int, ranks: IntArray) -> IntArray:
    """Places of the moments without any rank: the ranks of the moment before, rank 0 at the start."""
    has = np.zeros(moments, bool)
    has[place // len(ranks)] = True
    lacking = np.flatnonzero(~has)
    if not len(lacking):
        return lacking
    known = np.unique(place)
    starts = np.searchsorted(known // len(ranks), np.arange(moments + 1))
    before = np.maximum.accumulate(np.where(has, np.arange(moments), -1))[lacking]
    lengths = np.where(before < 0, 1, starts[before + 1] - starts[before])
    if len(known) + int(lengths.sum()) > MAX_CELLS:
        raise TraceError("too many steps of which only the whole job is known, for so many ranks; leave the ranks out")
    parts = [
        moment * len(ranks) + (known[starts[last] : starts[last + 1]] % len(ranks) if last >= 0 else np.zeros(1, int))
        for moment, last in zip(lacking, before, strict=True)
    ]
    return np.concatenate(parts)
