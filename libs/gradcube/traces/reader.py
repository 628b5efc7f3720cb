"""From the tidy rows of a recorded run (see docs/traces.md) to the StepRows that a live run would have given."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import TraceError
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.traces.cells import Cells, fill, filled_forward, find_cells, first_given
from gradcube.traces.fields import BUCKET_ABSMAX, FIELD_OF_METRIC, WHOLE_FIELDS
from gradcube.traces.loading import ABSENT, TidyColumns, load
from gradcube.traces.numbers import MAX_SECONDS
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import StepRows

DEFAULT_STEP_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded run: `rows` by attempt, step and rank; `unused` are the metrics that no detector knows.

    What is said of the whole job (rank null) holds for every rank of the step; without ranks it is that of rank 0.
    """

    rows: StepRows
    unused: tuple[str, ...]
    recorded_until_micros: int | None = None
    """Until when the recorder listened; None: nothing came after the last row, for as long as one cares."""

    def by_step(self) -> Iterator[StepRows]:
        """The rows of each step of each attempt, in that order, as views."""
        rows = self.rows
        changes = (np.diff(rows.step) != 0) | (np.diff(rows.attempt) != 0)
        bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows)]
        columns = [(name, getattr(rows, name)) for name in StepRows.DTYPES]
        for start, end in pairwise(bounds):
            yield StepRows(job=rows.job, **{name: column[start:end] for name, column in columns})


def read_trace(path: Path, job: str | None = None) -> Trace:
    """Reads Parquet, or CSV by its suffix; `job` is that of the recording, else the file's name, unless given.

    Raises TraceError, which says what is wrong, and in which row.
    """
    tidy = load(path)
    try:
        return _assembled(tidy, job or tidy.job or path.stem)
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error


def _assembled(tidy: TidyColumns, job: str) -> Trace:
    cells = find_cells(tidy)
    columns = _Columns(tidy, cells)
    floats = np.full((len(cells), len(FLOAT_FIELDS)), np.nan, np.float32)
    counts = np.full((len(cells), len(COUNT_FIELDS)), MISSING, np.int64)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, as when a record is encoded
        for at, name in enumerate(FLOAT_FIELDS):
            columns.put(name, floats[:, at])
        absmax = columns.put(BUCKET_ABSMAX, np.full(len(cells), np.nan, np.float32))
    for at, name in enumerate(COUNT_FIELDS):
        columns.put(name, counts[:, at])
    counts[:, 0] = np.maximum(counts[:, 0], 0)
    ended = _ended_at_micros(tidy, cells, floats[:, 0])
    labels = {
        name: first_given(len(cells), cells.cell[own], getattr(tidy, name)[own], getattr(tidy, name)[own] >= 0, 0)
        for own in [cells.cell != ABSENT]
        for name in ("stage", "replica")
    }
    rows = StepRows(
        job=job, attempt=cells.attempts[cells.moment].astype(np.int32), rank=cells.rank.astype(np.int32),
        stage=labels["stage"].astype(np.int32), replica=labels["replica"].astype(np.int32), node=_nodes(tidy, cells),
        step=cells.steps[cells.moment], seq=columns.put("seq", _running_number(cells)),
        dropped=columns.put("dropped", np.zeros(len(cells), np.int64)), ended_at_micros=ended,
        appended_at_micros=ended, offset=np.arange(len(cells)), counts=counts, floats=floats, bucket_absmax=absmax,
    )  # fmt: skip
    return Trace(rows, tuple(sorted(name for name in tidy.metrics if name not in FIELD_OF_METRIC)), tidy.until_micros)


class _Columns:
    """Puts the values of one field after the other into (cells,) columns."""

    def __init__(self, tidy: TidyColumns, cells: Cells) -> None:
        self._tidy = tidy
        self._cells = cells
        self._metric_of = {FIELD_OF_METRIC.get(name, name): at for at, name in enumerate(tidy.metrics)}
        # One sort for all metrics; a mask for each would read all rows again and again.
        self._order = np.argsort(tidy.metric, kind="stable")
        self._starts = np.searchsorted(tidy.metric[self._order], np.arange(len(tidy.metrics) + 1))

    def put(self, name: str, column: NDArray[Any]) -> NDArray[Any]:
        """Fills the column with what the trace says of this field; what it does not say stays as it is."""
        at = self._metric_of.get(name)
        if at is None:
            return column
        row = self._order[self._starts[at] : self._starts[at + 1]]
        row = row[~np.isnan(self._tidy.value[row])]
        value, cell = self._tidy.value[row], self._cells.cell[row]
        self._check(name, value, row)
        found = np.full(len(self._cells), np.nan)
        own = cell != ABSENT
        fill(found, cell[own], value[own], row[own], self._tidy.metrics[at])
        if not own.all():
            whole = np.full(len(self._cells.steps), np.nan)
            fill(whole, self._cells.row_moment[row[~own]], value[~own], row[~own], self._tidy.metrics[at])
            found = np.where(np.isnan(found), whole[self._cells.moment], found)
        given = ~np.isnan(found)
        column[given] = found[given]
        return column

    def _check(self, name: str, value: FloatArray, row: IntArray) -> None:
        if name in WHOLE_FIELDS:
            bad = ~((value >= 0) & (value < 2.0**63) & (np.floor(value) == value))
            words = "it counts, so it is whole and not negative"
        elif name.endswith("_seconds"):
            bad = ~((value >= 0) & np.isfinite(value))
            words = "a duration is finite and not negative"
        else:
            return
        if bad.any():
            at = int(np.argmax(bad))
            raise TraceError(f"row {row[at] + 1}: {name} is {value[at]:g}; {words}")


def _running_number(cells: Cells) -> IntArray:
    """(cells,) each record's number among those of its rank and attempt: a trace without `seq` claims no loss."""
    order = np.lexsort((cells.moment, cells.rank, cells.attempts[cells.moment]))
    rank, attempt = cells.rank[order], cells.attempts[cells.moment][order]
    new = np.append(True, (np.diff(rank) != 0) | (np.diff(attempt) != 0))
    start = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order)) - start
    return number


def _nodes(tidy: TidyColumns, cells: Cells) -> NDArray[np.object_]:
    own = cells.cell != ABSENT
    named = tidy.node[own] != tidy.nodes.index("") if "" in tidy.nodes else np.ones(int(own.sum()), bool)
    code = first_given(len(cells), cells.cell[own], tidy.node[own], named, len(tidy.nodes))
    names = np.array([*tidy.nodes, ""], object)
    nodes: NDArray[np.object_] = names[code]
    return nodes


def _ended_at_micros(tidy: TidyColumns, cells: Cells, step_seconds: NDArray[np.float32]) -> IntArray:
    """(cells,) the trace's own times: of the rank, else of the step, else the time before.

    Without any the sum of the steps' times so far, of each the longest; a step of unknown length is as long as the
    one before.
    """
    if tidy.time_seconds is None or np.isnan(tidy.time_seconds).all():
        return _summed_micros(cells, step_seconds)
    own, given = cells.cell != ABSENT, ~np.isnan(tidy.time_seconds)
    found = first_given(len(cells), cells.cell[own], tidy.time_seconds[own], given[own], np.nan)
    of_step = first_given(len(cells.steps), cells.row_moment, tidy.time_seconds, given, np.nan)
    found = np.where(np.isnan(found), of_step[cells.moment], found)
    return np.rint(filled_forward(found, 0.0) * 1e6).astype(np.int64)


def _summed_micros(cells: Cells, step_seconds: NDArray[np.float32]) -> IntArray:
    longest = np.full(len(cells.steps), np.nan)
    np.fmax.at(longest, cells.moment, step_seconds.astype(np.float64))
    ended = np.cumsum(filled_forward(longest, DEFAULT_STEP_SECONDS))
    if ended[-1] > MAX_SECONDS:
        raise TraceError(f"step_seconds add up to {ended[-1] / 31_557_600:.3g} years; are they in seconds?")
    micros: IntArray = np.rint(ended * 1e6).astype(np.int64)[cells.moment]
    return micros
