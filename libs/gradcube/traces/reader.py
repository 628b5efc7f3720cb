"""From a tidy table (step, rank, [stage, replica, node], metric, value, [time]) to StepRows, whole columns at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from numpy.typing import NDArray
from pyarrow import csv, parquet

from gradcube.errors import TraceError
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.traces.fields import FIELD_OF_METRIC
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import StepRows

REQUIRED = ("step", "metric", "value")
DEFAULT_STEP_SECONDS = 1.0
WHOLE_JOB = -1


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded run: `rows` by step, then rank; `unused` are the metrics that no detector knows.

    What is said of the whole job (rank null) holds for every rank of the step; without ranks it is that of rank 0.
    """

    rows: StepRows
    unused: tuple[str, ...]

    def by_step(self) -> Iterator[StepRows]:
        """The rows of each step, in the order of steps."""
        starts = np.flatnonzero(np.diff(self.rows.step, prepend=self.rows.step[:1] - 1))
        for start, end in zip(starts, [*starts[1:], len(self.rows)], strict=True):
            yield self.rows.take(np.arange(start, end))


def read_trace(path: Path, job: str | None = None) -> Trace:
    """Reads Parquet, or CSV by its suffix; `job` is the file's name unless given. Raises TraceError, which says why."""
    return _assemble(_load(path), job or path.stem)


def _load(path: Path) -> arrow.Table:
    try:
        table = csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise TraceError(f"{path} is not a trace: {error}") from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise TraceError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    if not len(table):
        raise TraceError(f"{path} is empty")
    return table


def _assemble(table: arrow.Table, job: str) -> Trace:
    metric = table["metric"].combine_chunks().dictionary_encode()
    names, code = metric.dictionary.to_pylist(), metric.indices.to_numpy(zero_copy_only=False)
    step, rank = _numbers(table, "step", np.int64, 0), _numbers(table, "rank", np.int64, WHOLE_JOB)
    value = table["value"].cast(arrow.float64()).fill_null(float("nan")).to_numpy()
    ranked = bool((rank != WHOLE_JOB).any())
    keep = rank != WHOLE_JOB if ranked else np.ones(len(rank), bool)
    rank = np.where(rank == WHOLE_JOB, 0, rank) if not ranked else rank
    key = np.stack([step[keep], rank[keep]])
    cells, first, cell = np.unique(key, axis=1, return_index=True, return_inverse=True)
    values = {name: np.full(cells.shape[1], np.nan) for name in set(FIELD_OF_METRIC.values())}
    for at, name in enumerate(names):
        column = values.get(FIELD_OF_METRIC.get(name, ""))
        if column is not None:
            own = code[keep] == at
            column[cell.ravel()[own]] = value[keep][own]
            if ranked:
                _spread(column, cells[0], step[~keep][code[~keep] == at], value[~keep][code[~keep] == at])
    labels = {name: _numbers(table, name, np.int32, 0)[keep][first] for name in ("stage", "replica")}
    node = _texts(table, "node")[keep][first]
    ended = _times(table, keep, first, cells[0], values["step_seconds"])
    rows = _rows(job, cells[0], cells[1], labels, node, ended, values)
    return Trace(rows, tuple(sorted(name for name in names if name not in FIELD_OF_METRIC)))


def _spread(column: FloatArray, cell_step: IntArray, step: IntArray, value: FloatArray) -> None:
    """Gives every rank of a step what was said of the whole job, where the rank has no number of its own."""
    if len(step):
        order = np.argsort(step, kind="stable")
        at = np.clip(np.searchsorted(step[order], cell_step), 0, len(step) - 1)
        found = (step[order][at] == cell_step) & np.isnan(column)
        column[found] = value[order][at][found]


def _numbers(table: arrow.Table, name: str, dtype: Any, null: int) -> NDArray[Any]:
    if name not in table.column_names:
        return np.full(len(table), null, dtype)
    return table[name].cast(arrow.int64()).fill_null(null).to_numpy().astype(dtype)


def _texts(table: arrow.Table, name: str) -> NDArray[np.object_]:
    if name not in table.column_names:
        return np.full(len(table), "", object)
    return np.array(table[name].cast(arrow.string()).fill_null("").to_pylist(), object)


def _times(
    table: arrow.Table, keep: NDArray[np.bool_], first: IntArray, step: IntArray, step_seconds: FloatArray
) -> IntArray:
    """Micros of each row: the trace's own seconds, else the sum of the steps' times so far."""
    if "time" in table.column_names:
        seconds = table["time"].cast(arrow.float64()).to_numpy()[keep][first]
        return np.rint(seconds * 1e6).astype(np.int64)
    steps, at = np.unique(step, return_inverse=True)
    longest = np.full(len(steps), np.nan)
    np.fmax.at(longest, at, step_seconds)
    usual = np.nanmedian(longest) if np.isfinite(longest).any() else DEFAULT_STEP_SECONDS
    ended = np.cumsum(np.where(np.isfinite(longest), longest, usual))
    micros: IntArray = np.rint(ended * 1e6).astype(np.int64)[at]
    return micros


def _rows(
    job: str,
    step: IntArray,
    rank: IntArray,
    labels: dict[str, NDArray[Any]],
    node: NDArray[np.object_],
    ended_at_micros: IntArray,
    values: dict[str, FloatArray],
) -> StepRows:
    counts = np.stack([values[name] for name in COUNT_FIELDS], axis=1)
    counts[:, 0] = np.nan_to_num(counts[:, 0])
    whole: IntArray = np.where(np.isnan(counts), MISSING, counts).astype(np.int64)
    zeros = np.zeros(len(step), np.int64)
    return StepRows(
        job=job, attempt=zeros.astype(np.int32), rank=rank.astype(np.int32), stage=labels["stage"],
        replica=labels["replica"], node=node, step=step, seq=step - step.min(), dropped=zeros,
        ended_at_micros=ended_at_micros, appended_at_micros=ended_at_micros, offset=np.arange(len(step)),
        counts=whole, floats=np.stack([values[name] for name in FLOAT_FIELDS], axis=1).astype(np.float32),
        bucket_absmax=values["bucket_absmax"].astype(np.float32),
    )  # fmt: skip
