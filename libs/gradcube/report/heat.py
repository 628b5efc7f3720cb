"""The grid of ratios as few bytes: bins of ranks and steps by their maximum, one byte a cell on a log scale."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.report.grid import Cells, Grid
from gradcube.windows.columns import IntArray

MAX_ROWS = 1024
MAX_COLUMNS = 1000
"""1 MB of cells, 1.4 MB as base64: half of what the page may have."""
MAX_MARKED_COLUMNS = 4000
"""A marked rank's row has a byte for every step up to so many."""
MIN_SPAN, MAX_SPAN = 1.2, 3.0
MIDDLE = 128
"""The level of a ratio of 1; 255 is the span, 1 its inverse, 0 no number."""


@dataclass(frozen=True)
class Bins:
    """How many ranks, and how many steps, share a cell."""

    ranks: int
    steps: int


def bins_of(grid: Grid) -> Bins:
    """The fewest that fit the bounds."""
    ranks, steps = grid.ratio.shape
    return Bins(-(-ranks // MAX_ROWS), -(-steps // MAX_COLUMNS))


def span_of(ratio: Cells, marked: NDArray[np.int64]) -> float:
    """The ratio at the end of the colour scale, between two bounds.

    All but one in 10 000 cells lie within it, and all but one in 100 of each marked rank's: one of thousands of ranks
    is too few to count among all.
    """
    highest = [_quantile(ratio, 0.9999), *(_quantile(ratio[at], 0.99) for at in marked)]
    return float(np.clip(max(highest), MIN_SPAN, MAX_SPAN))


def _quantile(ratio: Cells, share: float) -> float:
    finite = ratio[np.isfinite(ratio)]
    if not len(finite):
        return 0.0
    place = int(share * (len(finite) - 1))
    return float(np.partition(finite, place)[place])


def shrink(ratio: Cells, bins: Bins) -> Cells:
    """The highest ratio of each bin, (rows, columns); NaN where none of its cells has a number."""
    ranks, steps = ratio.shape
    filled = np.where(np.isfinite(ratio), ratio, -np.inf)
    by_rank = np.maximum.reduceat(filled, np.arange(0, ranks, bins.ranks), axis=0)
    by_both = np.maximum.reduceat(by_rank, np.arange(0, steps, bins.steps), axis=1)
    return np.where(np.isfinite(by_both), by_both, np.nan).astype(np.float32)


def quantise(ratio: Cells, span: float) -> NDArray[np.uint8]:
    """One byte a ratio, in equal steps of its logarithm; 0 for NaN. Beyond the span is the span."""
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.rint(np.log(ratio) / np.log(span) * (MIDDLE - 1)) + MIDDLE
    return np.where(np.isfinite(ratio), np.clip(np.nan_to_num(level, neginf=1.0), 1, 255), 0).astype(np.uint8)


def heat_data(grid: Grid, marked: NDArray[np.int64]) -> dict[str, Any]:
    """What the page's script draws. `marked` are places of ranks whose rows also come by themselves, step by step."""
    bins, span = bins_of(grid), span_of(grid.ratio, marked)
    cells = quantise(shrink(grid.ratio, bins), span)
    return {
        "rows": cells.shape[0], "columns": cells.shape[1], "cells": _text(cells), "span": span,
        "own": grid.own, "ranks": _ends(grid.rank, bins.ranks), "steps": _ends(grid.step, bins.steps),
        "attempts": grid.attempt[:: bins.steps].tolist() if len(np.unique(grid.attempt)) > 1 else [],
        "marked": [_marked(grid, int(at), bins, span) for at in marked],
    }  # fmt: skip


def _marked(grid: Grid, at: int, bins: Bins, span: float) -> dict[str, Any]:
    whole = Bins(1, -(-len(grid.step) // MAX_MARKED_COLUMNS))
    cells = quantise(shrink(grid.ratio[at : at + 1], whole), span)
    return {"rank": int(grid.rank[at]), "row": at // bins.ranks, "cells": _text(cells)}


def _ends(numbers: IntArray, size: int) -> list[list[int]]:
    """The first and the last number of each bin."""
    first = np.arange(0, len(numbers), size)
    last = np.minimum(first + size, len(numbers)) - 1
    pairs: list[list[int]] = np.stack([numbers[first], numbers[last]], axis=1).tolist()
    return pairs


def _text(cells: NDArray[np.uint8]) -> str:
    return base64.b64encode(cells.tobytes()).decode()
