"""A recording: the rows of a run as one complete grid of steps x ranks; numbers by name come in and go out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.traces import read_trace
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import StepRows

OWN_PHASES = ("data_seconds", "forward_seconds", "backward_seconds")


@dataclass(frozen=True, eq=False)
class Recording:
    """s steps of r ranks; `rows` are sorted by step, then rank, and none is missing."""

    name: str
    rows: StepRows

    @property
    def num_ranks(self) -> int:
        """r."""
        return int((self.rows.step == self.rows.step[0]).sum())

    @property
    def num_steps(self) -> int:
        """s."""
        return len(self.rows) // self.num_ranks

    @property
    def steps(self) -> IntArray:
        """The number of each step, (s,): traces are sampled, so there are gaps."""
        return self.rows.step[:: self.num_ranks]

    @property
    def stage(self) -> IntArray:
        """The pipeline stage of each rank, (r,)."""
        return self.rows.stage[: self.num_ranks].astype(np.int64)

    @property
    def replica(self) -> IntArray:
        """The data-parallel replica of each rank, (r,)."""
        return self.rows.replica[: self.num_ranks].astype(np.int64)

    def grid(self, name: str) -> FloatArray:
        """One number by its name in the schema, (s, r); NaN where it was not measured."""
        values = self.rows.floats[:, FLOAT_FIELDS.index(name)].astype(np.float64)
        return values.reshape(-1, self.num_ranks)

    def measured(self, name: str) -> bool:
        """Whether any rank has that number."""
        return bool(np.isfinite(self.grid(name)).any())

    def own_phases(self) -> tuple[str, ...]:
        """What a rank does by itself: the phases that were measured, else the whole step."""
        return tuple(name for name in OWN_PHASES if self.measured(name)) or ("step_seconds",)

    def own_seconds(self) -> FloatArray:
        """Seconds that each rank spent on its own part of the step, (s, r)."""
        seconds: FloatArray = np.sum([self.grid(name) for name in self.own_phases()], axis=0)
        return seconds

    def changed(self, values: Mapping[str, FloatArray]) -> "Recording":
        """The same run with other numbers, each (s, r); the clock follows the steps' time."""
        floats = self.rows.floats.copy()
        for name, grid in values.items():
            floats[:, FLOAT_FIELDS.index(name)] = grid.reshape(-1)
        rows = replace(self.rows, floats=floats)
        if "step_seconds" in values:
            longer = np.nanmax(values["step_seconds"] - self.grid("step_seconds"), axis=1)
            micros = np.rint(np.cumsum(np.nan_to_num(longer)) * 1e6).astype(np.int64)
            ended = rows.ended_at_micros + np.repeat(micros, self.num_ranks)
            rows = replace(rows, ended_at_micros=ended, appended_at_micros=ended)
        return replace(self, rows=rows)

    def relabelled(self, node: NDArray[np.object_]) -> "Recording":
        """The run with a node's name a row."""
        return replace(self, rows=replace(self.rows, node=node))

    def without_ranks(self, ranks: tuple[int, ...]) -> "Recording":
        """The run as if these ranks had not been there."""
        return replace(self, rows=_numbered(self.rows.take(~np.isin(self.rows.rank, ranks))))

    def between(self, start: int, end: int) -> "Recording":
        """Steps `start` to `end` (exclusive) or the last, counted from 0 whatever their numbers are."""
        return replace(
            self,
            rows=_numbered(
                self.rows.take(np.arange(start * self.num_ranks, min(end * self.num_ranks, len(self.rows))))
            ),
        )


def recorded(path: Path) -> Recording:
    """A trace, through the product's own reader."""
    return Recording(path.stem, read_trace(path).rows)


def made(name: str, values: Mapping[str, FloatArray], stage: IntArray, replica: IntArray, node: list[str]) -> Recording:
    """A recording of simulated numbers, each (s, r); the other arguments are (r,)."""
    steps, ranks = next(iter(values.values())).shape
    floats = np.full((steps * ranks, len(FLOAT_FIELDS)), np.nan, np.float32)
    for field, grid in values.items():
        floats[:, FLOAT_FIELDS.index(field)] = grid.reshape(-1)
    step = np.repeat(np.arange(steps, dtype=np.int64), ranks)
    seconds = values["step_seconds"].max(axis=1) if "step_seconds" in values else np.ones(steps)
    ended = np.repeat(np.rint(np.cumsum(seconds) * 1e6).astype(np.int64), ranks)
    none = np.zeros(len(step), np.int64)
    rows = StepRows(
        job=name, attempt=none.astype(np.int32), rank=np.tile(np.arange(ranks, dtype=np.int32), steps),
        stage=np.tile(stage.astype(np.int32), steps), replica=np.tile(replica.astype(np.int32), steps),
        node=np.tile(np.array(node, object), steps), step=step, seq=step, dropped=none, ended_at_micros=ended,
        appended_at_micros=ended, offset=np.arange(len(step)), floats=floats,
        counts=np.full((len(step), len(COUNT_FIELDS)), MISSING, np.int64),
        bucket_absmax=np.full(len(step), np.nan, np.float32),
    )  # fmt: skip
    return Recording(name, rows)


def _numbered(rows: StepRows) -> StepRows:
    return replace(rows, offset=np.arange(len(rows)), seq=rows.step - rows.step.min())
