"""Steps put together: rows in any order come in, frames in the order of steps go out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.diagnosis.frames import StepFrame, Waiting
from gradcube.diagnosis.medians import median_micros
from gradcube.windows.rows import StepRows

FRAME_COLUMNS = ("stage", "replica", "node", "floats", "counts", "seq", "dropped", "bucket_absmax")
MAX_PENDING_ROWS = 1 << 18
"""About 60 MB; 32 steps of 8 192 ranks."""
FORGET_AFTER_FRAMES = 3
"""A rank that was missing from so many frames in a row is no longer waited for: lost, or at another step."""


@dataclass
class _Pending:
    """The rows of one step so far: slices of the batches that they came in."""

    parts: list[tuple[StepRows, slice]] = field(default_factory=list)
    num_rows: int = 0
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
        self._known: set[int] = set()
        self._absent: dict[int, int] = {}
        """Of each known rank that the last frame was without, how many in a row were."""
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
        if len(rows):
            self._keep(rows)
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
        present: set[int] = set() if step is None else self._pending[step].ranks
        return Waiting(step, present, self._known, self._emitted, self._emitted_micros)

    def _keep(self, rows: StepRows) -> None:
        if (rows.step[1:] < rows.step[:-1]).any():
            rows = rows.take(np.argsort(rows.step, kind="stable"))
        changes = np.flatnonzero(rows.step[1:] != rows.step[:-1]) + 1
        for start, end in pairwise([0, *changes.tolist(), len(rows)]):
            entry = self._pending.setdefault(int(rows.step[start]), _Pending())
            entry.parts.append((rows, slice(start, end)))
            entry.num_rows += end - start
            entry.ranks.update(rows.rank[start:end].tolist())
            entry.latest_micros = max(entry.latest_micros, median_micros(rows.ended_at_micros[start:end]))

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
        is_complete = self._settled and bool(self._known) and entry.ranks >= self._known
        return is_complete or entry.latest_micros <= self._watermark

    def _frame(self, step: int) -> StepFrame:
        entry = self._pending.pop(step)
        self._pending_rows -= entry.num_rows
        self._emitted = step
        self._settled = True
        self._count_absent(entry.ranks)
        columns = {name: _joined(entry, name) for name in ("rank", "ended_at_micros", *FRAME_COLUMNS)}
        rank = columns["rank"]
        if not (rank[1:] > rank[:-1]).all():
            _, at = np.unique(rank, return_index=True)
            columns = {name: values[at] for name, values in columns.items()}
        self._emitted_micros = median_micros(columns.pop("ended_at_micros"))
        return StepFrame(self._job, self._attempt, step, self._emitted_micros, **columns)

    def _count_absent(self, present: set[int]) -> None:
        self._known |= present
        if not self._absent and len(present) == len(self._known):
            return
        self._absent = {rank: self._absent.get(rank, 0) + 1 for rank in self._known - present}
        for rank in [rank for rank, frames in self._absent.items() if frames >= FORGET_AFTER_FRAMES]:
            del self._absent[rank]
            self._known.remove(rank)

    def _welcome(self, ranks: Iterable[int]) -> None:
        for rank in ranks:
            self._known.add(rank)
            self._absent.pop(rank, None)


def _joined(entry: _Pending, name: str) -> NDArray[Any]:
    """A column of a step's rows; a view where they came in one batch."""
    parts = [getattr(rows, name)[at] for rows, at in entry.parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
