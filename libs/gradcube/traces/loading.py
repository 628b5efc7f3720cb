"""From a file to the checked columns of its tidy rows; whatever is wrong with it becomes a TraceError.

Rows are counted from 1; the header of a CSV file is none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from numpy.typing import NDArray
from pyarrow import csv, parquet

from gradcube.errors import TraceError
from gradcube.traces.fields import check_names
from gradcube.traces.numbers import integers, is_text, reals, seconds, texts
from gradcube.windows.columns import FloatArray, IntArray

REQUIRED = ("step", "metric", "value")
INTEGERS = ("step", "rank", "attempt", "stage", "replica")
OPTIONAL = ("rank", "attempt", "stage", "replica", "node", "time")
ABSENT = -1
"""A null rank (the whole job), stage or replica."""
MAX_STEP, MAX_INT = 2**63 - 1, 2**31 - 1
JOB_KEY, UNTIL_KEY = b"gradcube.job", b"gradcube.recorded_until_micros"
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, eq=False)
class TidyColumns:
    """The rows of a file, (rows,) each; `metric` and `node` are positions in the lists of their names.

    `rank`, `stage` and `replica` are ABSENT where null, `value` and `time_seconds` NaN.
    """

    job: str | None
    until_micros: int | None
    step: IntArray
    rank: IntArray
    attempt: IntArray
    stage: IntArray
    replica: IntArray
    node: NDArray[np.int32]
    nodes: list[str]
    metric: NDArray[np.int32]
    metrics: list[str]
    value: FloatArray
    time_seconds: FloatArray | None


def load(path: Path) -> TidyColumns:
    """Reads Parquet or CSV. Raises TraceError, which names the file, and the row where one is to blame."""
    try:
        return _checked(_table(path))
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error


def _table(path: Path) -> arrow.Table:
    try:
        with path.open("rb") as file:
            magic = file.read(len(PARQUET_MAGIC))
        if not magic:
            raise TraceError("the file is empty")
        table = _read_parquet(path) if magic == PARQUET_MAGIC else _read_csv(path)
        names = table.column_names
    except (OSError, arrow.ArrowException, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise TraceError(f"not a trace: {reason}") from error
    twice = sorted({name for name in names if names.count(name) > 1} & {*REQUIRED, *OPTIONAL})
    if twice:
        raise TraceError(f"has more than one column {twice[0]}")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise TraceError(f"not a trace: no column {', '.join(missing)}; it has {', '.join(map(repr, names))[:200]}")
    if not len(table):
        raise TraceError("has no rows")
    return table


def _read_parquet(path: Path) -> arrow.Table:
    schema = parquet.read_schema(path)
    if any(name not in schema.names for name in REQUIRED):
        return schema.empty_table()
    wanted = [name for name in (*REQUIRED, *OPTIONAL) if name in schema.names]
    words = [name for name in ("metric", "node") if name in wanted and is_text(schema.field(name).type)]
    with parquet.ParquetFile(path, read_dictionary=words) as file:
        return file.read(columns=wanted)


def _read_csv(path: Path) -> arrow.Table:
    if ".csv" not in [suffix.lower() for suffix in path.suffixes]:
        raise TraceError("not a trace: it is no Parquet file, and CSV is read from a file named .csv")
    numbers = dict.fromkeys(INTEGERS, arrow.int64()) | {"value": arrow.float64()}
    words = dict.fromkeys(("metric", "node"), arrow.dictionary(arrow.int32(), arrow.string()))
    try:
        return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=numbers | words))
    except arrow.ArrowInvalid:
        # Floats where integers belong (pandas writes a rank beside a null so), or an error: then as text, slowly,
        # so that the row can be named.
        as_text = dict.fromkeys((*REQUIRED, *OPTIONAL), arrow.string())
        return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=as_text))


def _checked(table: arrow.Table) -> TidyColumns:
    metric, metrics = texts(table["metric"], "metric")
    node, nodes = _optional(table, "node", lambda column: texts(column, "node")) or (_zeros(table, np.int32), [""])
    if "" in metrics:
        raise TraceError(f"row {int(np.argmax(metric == metrics.index(''))) + 1} has no metric")
    check_names(metrics)
    step = integers(table["step"], "step", null=None, most=MAX_STEP)
    rank, stage, replica = (_label(table, name, ABSENT) for name in ("rank", "stage", "replica"))
    told = table.schema.metadata or {}
    until = told.get(UNTIL_KEY, b"")
    return TidyColumns(
        job=told.get(JOB_KEY, b"").decode(errors="replace") or None,
        until_micros=int(until) if until.isdigit() else None,
        step=step, rank=rank, attempt=_label(table, "attempt", 0), stage=stage, replica=replica,
        node=node, nodes=nodes, metric=metric, metrics=metrics, value=reals(table["value"], "value"),
        time_seconds=_optional(table, "time", seconds),
    )  # fmt: skip


def _label(table: arrow.Table, name: str, null: int) -> IntArray:
    found: IntArray | None = _optional(table, name, lambda column: integers(column, name, null=null, most=MAX_INT))
    return np.full(len(table), null, np.int64) if found is None else found


def _optional(table: arrow.Table, name: str, read: Any) -> Any:
    return read(table[name]) if name in table.column_names else None


def _zeros(table: arrow.Table, dtype: Any) -> NDArray[Any]:
    return np.zeros(len(table), dtype)
