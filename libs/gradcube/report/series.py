"""The lines of the page: a culprit, its peers, the loss, the gradient norm; each (steps,), NaN where there is none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcube.events import FLOAT_FIELDS
from gradcube.report.grid import Cells, Grid
from gradcube.traces import Trace
from gradcube.windows.columns import BoolArray, FloatArray

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class AgainstPeers:
    """Seconds of own work: the culprit's (the median of its ranks), and the peers' p10, median and p90."""

    own: FloatArray
    low: FloatArray
    middle: FloatArray
    high: FloatArray


def against_peers(grid: Grid, members: BoolArray) -> AgainstPeers:
    """Peers are the other ranks of the members' stages; all other ranks for a whole stage."""
    peers = np.isin(grid.stage, grid.stage[members]) & ~members
    if not peers.any():
        peers = ~members
    own = quantiles(grid.seconds[members], (0.5,))[0]
    return AgainstPeers(own, *quantiles(grid.seconds[peers], QUANTILES))


def quantiles(cells: Cells, wanted: tuple[float, ...]) -> list[FloatArray]:
    """Quantiles over the ranks of each step, (steps,) each, between the nearest two; NaN for a step without numbers."""
    if not len(cells):
        return [np.full(cells.shape[1], np.nan) for _ in wanted]
    ordered = np.sort(cells, axis=0)  # NaN last
    count = np.isfinite(cells).sum(axis=0)
    found = []
    for share in wanted:
        place = share * np.maximum(count - 1, 0)
        low = np.floor(place).astype(np.int64)
        steps = np.arange(cells.shape[1])
        below, above = ordered[low, steps], ordered[np.minimum(low + 1, np.maximum(count - 1, 0)), steps]
        found.append(np.where(count > 0, below + (above - below) * (place - low), np.nan).astype(np.float64))
    return found


def of_job(trace: Trace, grid: Grid, *names: str) -> FloatArray:
    """The mean over the ranks of the first of these fields that was measured at all, (steps,)."""
    rows = trace.rows
    changes = (np.diff(rows.step, prepend=rows.step[:1]) != 0) | (np.diff(rows.attempt, prepend=rows.attempt[:1]) != 0)
    column: NDArray[np.int64] = np.cumsum(changes)
    for name in names:
        values = rows.floats[:, FLOAT_FIELDS.index(name)].astype(np.float64)
        finite = np.isfinite(values)
        if finite.any():
            total = np.bincount(column[finite], values[finite], len(grid.step))
            count = np.bincount(column[finite], minlength=len(grid.step))
            return np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.full(len(grid.step), np.nan)
