"""From step records to the tidy rows of a trace file, a bounded number at a time; docs/traces.md says what they are.

`read_trace` gives the same StepRows back, but for offset and append time, which are the topic's own.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as arrow
from pyarrow import parquet

from gradcube.errors import ConfigError
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.traces.fields import BOOKKEEPING, BUCKET_ABSMAX
from gradcube.traces.loading import JOB_KEY, UNTIL_KEY
from gradcube.windows.columns import FloatArray
from gradcube.windows.rows import StepRows

ROWS_HELD = 20_000
"""Records that wait for their row group: half a million tidy rows, some tens of megabytes."""
METRICS = (*FLOAT_FIELDS, *COUNT_FIELDS, BUCKET_ABSMAX, *BOOKKEEPING)
SCHEMA = arrow.schema(
    {
        "step": arrow.int64(),
        "rank": arrow.int32(),
        "attempt": arrow.int32(),
        "stage": arrow.int32(),
        "replica": arrow.int32(),
        "node": arrow.string(),
        "time": arrow.float64(),
        "metric": arrow.dictionary(arrow.int32(), arrow.string()),
        "value": arrow.float64(),
    }
)


class TraceWriter:
    """`with TraceWriter(Path("run.parquet"), "bert") as writer: writer.add(rows)`.

    The file appears, whole, when the writer is closed; after an error in the block there is none. A record that its
    rank has already sent is left out, as a live run leaves it out, and counted in `repeated`. Raises ConfigError for a
    file that exists or cannot be made.
    """

    def __init__(self, path: Path, job: str) -> None:
        if path.exists():
            raise ConfigError(f"{path} exists; give another name, or remove it")
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._file = parquet.ParquetWriter(self._draft, SCHEMA.with_metadata({JOB_KEY: job.encode()}))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
        self._held: list[StepRows] = []
        self._last_step: dict[tuple[int, int], int] = {}
        self.records = 0
        self.repeated = 0
        self.until_micros: int | None = None
        """Until when was listened, if that is to be told: what comes after the last record is silence until then."""

    def add(self, rows: StepRows) -> None:
        """Takes records, in the order of their offsets."""
        fresh = rows.take(np.array([self._is_new(*row) for row in _identity(rows)], bool))
        self.repeated += len(rows) - len(fresh)
        self.records += len(fresh)
        if len(fresh):
            self._held.append(fresh)
        if sum(map(len, self._held)) >= ROWS_HELD:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        if self.until_micros is not None:
            self._file.add_key_value_metadata({UNTIL_KEY: str(self.until_micros)})
        self._file.close()
        if error is None and self.records:
            os.replace(self._draft, self._path)
        else:
            self._draft.unlink()

    def _is_new(self, attempt: int, rank: int, step: int) -> bool:
        if step <= self._last_step.get((attempt, rank), -1):
            return False
        self._last_step[attempt, rank] = step
        return True

    def _flush(self) -> None:
        if self._held:
            self._file.write_table(tidy_table(StepRows.concat(self._held)))
            self._held.clear()


def tidy_table(rows: StepRows) -> arrow.Table:
    """One row for each value that there is; every record has `nonfinite`, `seq` and `dropped`."""
    columns = [_values(rows, name) for name in METRICS]
    found = [np.flatnonzero(~np.isnan(values)) for values in columns]
    at = np.concatenate(found)
    code = np.repeat(np.arange(len(METRICS), dtype=np.int32), [len(each) for each in found])
    data: dict[str, Any] = {name: getattr(rows, name)[at] for name in ("step", "rank", "attempt", "stage", "replica")}
    data |= {
        "node": arrow.array(rows.node[at], arrow.string()),
        "time": rows.ended_at_micros[at] / 1e6,
        "metric": arrow.DictionaryArray.from_arrays(code, list(METRICS)),
        "value": np.concatenate([values[each] for values, each in zip(columns, found, strict=True)]),
    }
    return arrow.table(data, SCHEMA)


def _values(rows: StepRows, name: str) -> FloatArray:
    """(rows,) a field by its name; NaN where there is no value."""
    if name in FLOAT_FIELDS:
        return rows.floats[:, FLOAT_FIELDS.index(name)].astype(np.float64)
    if name in COUNT_FIELDS:
        count = rows.counts[:, COUNT_FIELDS.index(name)]
        return np.where(count == MISSING, np.nan, count)
    return np.asarray(getattr(rows, name), np.float64)


def _identity(rows: StepRows) -> Any:
    return zip(rows.attempt.tolist(), rows.rank.tolist(), rows.step.tolist(), strict=True)
