"""A trace as a grid of ranks and steps: the time of each rank's own work, and that against its stage peers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.diagnosis.findings import Subject
from gradcube.diagnosis.slow.signals import OWN_PHASES
from gradcube.events import FLOAT_FIELDS
from gradcube.traces import Trace
from gradcube.windows.columns import BoolArray, FloatArray, IntArray
from gradcube.windows.peers import MIN_PEERS
from gradcube.windows.rows import StepRows

Cells = NDArray[np.float32]
BLOCK_STEPS = 128
"""Steps compared at once: 8 192 ranks of them take 8 MB a copy."""


@dataclass(frozen=True, eq=False)
class Grid:
    """`seconds` and `ratio` are (ranks, steps), NaN where a rank has no number; `rank`, `stage`, `replica`, `node` are
    (ranks,), as last reported; `attempt` and `step` are (steps,), in order. `own` says that ratios are against a rank's
    own median, since no stage has three ranks.
    """

    rank: IntArray
    stage: IntArray
    replica: IntArray
    node: NDArray[np.object_]
    attempt: IntArray
    step: IntArray
    seconds: Cells
    ratio: Cells
    own: bool

    def members(self, subject: Subject) -> BoolArray:
        """Which ranks a finding is about, (ranks,); none for the whole job, a shard or a link."""
        chosen = np.zeros(len(self.rank), bool)
        for name in ("rank", "node", "stage", "replica"):
            wanted = getattr(subject, name)
            if wanted is not None:
                same = np.asarray(getattr(self, name) == wanted)
                chosen = chosen & same if chosen.any() else same
                if name == "rank":  # a node's name beside it only says where the rank is
                    break
        return chosen

    def column(self, attempt: int, step: int) -> int:
        """The place of a step among the columns; that of the next one where the trace has none."""
        before = (self.attempt < attempt) | ((self.attempt == attempt) & (self.step < step))
        return min(int(before.sum()), len(self.step) - 1)


def make_grid(trace: Trace) -> Grid:
    """Places every row of the trace; of two rows in one place the later counts."""
    rows = trace.rows
    changes = np.flatnonzero((np.diff(rows.step) != 0) | (np.diff(rows.attempt) != 0)) + 1
    starts = np.concatenate([[0], changes])
    column = np.repeat(np.arange(len(starts)), np.diff([*starts, len(rows)]))
    rank, last = np.unique(rows.rank[::-1], return_index=True)
    last = len(rows) - 1 - last
    place = np.searchsorted(rank, rows.rank)
    seconds: Cells = np.full((len(rank), len(starts)), np.nan, np.float32)
    seconds[place, column] = own_seconds(rows, starts)
    stage = rows.stage[last].astype(np.int64)
    ratio, own = _ratios(seconds, stage)
    return Grid(
        rank=rank.astype(np.int64), stage=stage, replica=rows.replica[last].astype(np.int64), node=rows.node[last],
        attempt=rows.attempt[starts].astype(np.int64), step=rows.step[starts], seconds=seconds, ratio=ratio, own=own,
    )  # fmt: skip


def own_seconds(rows: StepRows, starts: IntArray) -> Cells:
    """`diagnosis.signals.own_seconds` of every step at once, (rows,); steps begin at the rows `starts`."""
    phases = rows.floats[:, [FLOAT_FIELDS.index(name) for name in OWN_PHASES]]
    measured = np.isfinite(phases[:, 1:]).any(axis=1)
    with_phases = np.repeat(np.logical_or.reduceat(measured, starts), np.diff([*starts, len(rows)]))
    work = np.where(measured, np.nansum(phases, axis=1), np.nan)
    chosen = np.where(with_phases, work, rows.floats[:, FLOAT_FIELDS.index("step_seconds")])
    return np.where(np.isfinite(chosen) & (chosen > 0), chosen, np.nan).astype(np.float32)


def _ratios(seconds: Cells, stage: IntArray) -> tuple[Cells, bool]:
    ratio = np.full_like(seconds, np.nan)
    stages, counts = np.unique(stage, return_counts=True)
    if counts.max(initial=0) <= MIN_PEERS:
        return _against_itself(seconds), True
    for one in stages[counts > MIN_PEERS]:
        at = np.flatnonzero(stage == one)
        for first in range(0, seconds.shape[1], BLOCK_STEPS):
            block = seconds[at, first : first + BLOCK_STEPS]
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio[at, first : first + BLOCK_STEPS] = block / others_median(block)
    return np.where(np.isfinite(ratio), ratio, np.nan).astype(np.float32), False


def _against_itself(seconds: Cells) -> Cells:
    usual = np.array([np.median(own[np.isfinite(own)]) if np.isfinite(own).any() else np.nan for own in seconds])
    ratio: Cells = (seconds / usual[:, None]).astype(np.float32)
    return ratio


def others_median(block: NDArray[Any]) -> FloatArray:
    """`windows.peers.peer_median` of many steps at once: (ranks, steps) of one stage in, the same shape out.

    NaN sorts last, so each step's finite values are the first of its column.
    """
    order = np.argsort(block, axis=0, kind="stable")
    ordered = np.take_along_axis(block, order, axis=0).astype(np.float64)
    count = np.isfinite(block).sum(axis=0)
    place = np.arange(len(block))[:, None]
    low, high = np.maximum((count - 2) // 2, 0), np.maximum((count - 1) // 2, 0)
    lower = np.take_along_axis(ordered, np.minimum(low + (low >= place), len(block) - 1), axis=0)
    upper = np.take_along_axis(ordered, np.minimum(high + (high >= place), len(block) - 1), axis=0)
    median = np.where((place < count) & (count > MIN_PEERS), (lower + upper) / 2, np.nan)
    result = np.empty_like(median)
    np.put_along_axis(result, order, median, axis=0)
    return result
