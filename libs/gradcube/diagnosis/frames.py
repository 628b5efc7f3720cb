"""Frames: all ranks' records of one step, side by side.

Rows in any order come in, frames in the order of steps go out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import StepRows

FRAME_COLUMNS = ("stage", "replica", "node", "floats", "counts", "seq", "dropped", "bucket_absmax")
MAX_PENDING_ROWS = 1 << 18
"""About 60 MB; 32 steps of 8 192 ranks."""
FORGET_AFTER_FRAMES = 3
"""A rank that was missing from so many frames in a row is no longer waited for: lost, or at another step."""


@dataclass(frozen=True, eq=False)
class StepFrame:
    """One step of one attempt: r ranks, ascending. `floats` is (r, 13), `counts` (r, 8), the other arrays (r,).

    `floats` and `counts` are as in StepRows; so are `seq`, `dropped` and `bucket_absmax`, for what they tell about the
    monitor and the gradients.
    """

    job: str
    attempt: int
    step: int
    at_micros: int
    """Median over the ranks, so that one wrong clock does not move it."""
    rank: NDArray[np.int32]
    stage: NDArray[np.int32]
    replica: NDArray[np.int32]
    node: NDArray[np.object_]
    floats: NDArray[np.float32]
    counts: IntArray
    seq: IntArray
    dropped: IntArray
    bucket_absmax: NDArray[np.float32]
    _columns: dict[str, FloatArray] = field(default_factory=dict, init=False, repr=False)

    def column(self, name: str) -> FloatArray:
        """A float or a count of all ranks by its name in the schema, (r,); NaN where it was not measured.

        Made once for all detectors, and read-only therefore.
        """
        if name not in self._columns:
            self._columns[name] = self._made(name)
            self._columns[name].setflags(write=False)
        return self._columns[name]

    def _made(self, name: str) -> FloatArray:
        if name in FLOAT_FIELDS:
            return self.floats[:, FLOAT_FIELDS.index(name)].astype(np.float64)
        count = self.counts[:, COUNT_FIELDS.index(name)]
        return np.where(count == MISSING, np.nan, count)


@dataclass(frozen=True)
class Waiting:
    """What the next step to come out is waiting for. `step` is None when no record of a further step has come."""

    step: int | None
    present: frozenset[int]
    """Ranks whose record of the step is there."""
    missing: frozenset[int]
    """Known ranks whose record of it is not."""
    last_step: int
    """The last step that came out, -1 before the first."""
    last_micros: int
    """Its time."""


@dataclass
class _Pending:
    """The rows of one step so far: slices of the batches that they came in."""

    parts: list[tuple[StepRows, IntArray]] = field(default_factory=list)
    ranks: set[int] = field(default_factory=set)
    latest_micros: int = 0


class StepAssembler:
    """Puts the steps of one attempt together.

    A step is complete when every rank that is known has reported it and all earlier steps are out; it is overdue when
    the watermark has passed it. Who the ranks are shows only with time: until the watermark has passed the first
    step, nothing goes out. A row for a step that is out is dropped and counted in `missed`. At most
    `max_pending_rows` are held: beyond that the oldest goes out as it is. A backlog comes partition by partition, so
    thousands of steps of one rank may be here before the first of another.
    """

    def __init__(self, job: str, attempt: int, *, max_pending_rows: int = MAX_PENDING_ROWS) -> None:
        self._job = job
        self._attempt = attempt
        self._max_pending_rows = max_pending_rows
        self._pending_rows = 0
        self._pending: dict[int, _Pending] = {}
        self._absent: dict[int, int] = {}
        """Of each known rank, how many frames in a row it has been missing from."""
        self._settled = False
        self._emitted = -1
        self._emitted_micros = 0
        self._watermark = 0
        self.missed = 0

    def add(self, rows: StepRows) -> list[StepFrame]:
        """Takes rows of the attempt, and gives the frames that they complete."""
        own = rows.attempt == self._attempt
        rows = rows if own.all() else rows.take(own)
        late = rows.step <= self._emitted
        if late.any():
            self.missed += int(late.sum())
            self._welcome(rows.rank[late].tolist())
            rows = rows.take(~late)
        self._pending_rows += len(rows)
        for step, at in _places_by_step(rows.step):
            entry = self._pending.setdefault(step, _Pending())
            entry.parts.append((rows, at))
            entry.ranks.update(rows.rank[at].tolist())
            entry.latest_micros = max(entry.latest_micros, _middle(rows.ended_at_micros[at]))
        return self._take()

    def advance(self, watermark_micros: int) -> list[StepFrame]:
        """Takes note of how far event time has come, and gives the frames that are overdue or complete."""
        self._watermark = max(self._watermark, watermark_micros)
        if not self._settled and self._pending:
            first = self._pending[min(self._pending)]
            self._settled = first.latest_micros <= self._watermark
        return self._take()

    def waiting(self) -> Waiting:
        """What is missing of the oldest step that is not out."""
        step = min(self._pending, default=None)
        present = frozenset() if step is None else frozenset(self._pending[step].ranks)
        return Waiting(step, present, frozenset(self._absent) - present, self._emitted, self._emitted_micros)

    def _take(self) -> list[StepFrame]:
        frames = []
        for step in sorted(self._pending):
            if not self._ready(self._pending[step]):
                break
            frames.append(self._frame(step))
        return frames

    def _ready(self, entry: _Pending) -> bool:
        if self._pending_rows > self._max_pending_rows:
            return True
        complete = self._settled and self._absent and entry.ranks >= self._absent.keys()
        return bool(complete) or entry.latest_micros <= self._watermark

    def _frame(self, step: int) -> StepFrame:
        entry = self._pending.pop(step)
        self._pending_rows -= sum(len(at) for _, at in entry.parts)
        self._emitted = step
        self._settled = True
        self._count_absent(entry.ranks)

        def gather(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(rows, name)[at] for rows, at in entry.parts])

        rank, at = np.unique(gather("rank"), return_index=True)
        columns = {name: gather(name)[at] for name in FRAME_COLUMNS}
        self._emitted_micros = _middle(gather("ended_at_micros")[at])
        return StepFrame(self._job, self._attempt, step, self._emitted_micros, rank, **columns)

    def _count_absent(self, present: set[int]) -> None:
        self._welcome(present)
        for rank in self._absent.keys() - present:
            self._absent[rank] += 1
            if self._absent[rank] >= FORGET_AFTER_FRAMES:
                del self._absent[rank]

    def _welcome(self, ranks: Iterable[int]) -> None:
        self._absent |= dict.fromkeys(ranks, 0)


def _places_by_step(step: IntArray) -> list[tuple[int, IntArray]]:
    """Each step of a batch, ascending, and the places of its rows in their order."""
    if not len(step):
        return []
    if (step == step[0]).all():  # as a trace gives them, one by one
        return [(int(step[0]), np.arange(len(step)))]
    order = np.argsort(step, kind="stable")
    steps, starts = np.unique(step[order], return_index=True)
    return list(zip(steps.tolist(), np.split(order, starts[1:]), strict=True))


def _middle(micros: IntArray) -> int:
    """The median; numpy's own takes ten times as long where values are few."""
    ordered = np.sort(micros)
    return int((float(ordered[(len(ordered) - 1) // 2]) + float(ordered[len(ordered) // 2])) / 2)
