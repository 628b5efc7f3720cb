"""Arrow columns in, Kylin's cells out (always text or None): whole columns at a time, the same text as `cell` gives."""

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradcube.cube.kylin_types import cell, java_double

Cells = list[str | None]


def rows(batches: Iterable[pa.RecordBatch]) -> list[Cells]:
    """Row by row, every cell as Kylin's JSON carries it."""
    texts: list[Cells] = []
    for batch in batches:
        texts += map(list, zip(*(column_texts(column) for column in batch.columns), strict=True))
    return texts


def column_texts(column: pa.Array) -> Cells:
    """One column of any type, in the order of its rows."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_floating(kind):
        return _doubles(column)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if kind == pa.month_day_nano_interval():
        return [_interval(value) for value in column.to_pylist()]
    return [cell(value) for value in column.to_pylist()]


def _doubles(column: pa.Array) -> Cells:
    values = column.cast(pa.float64())
    size = np.abs(values.to_numpy(zero_copy_only=False))  # nulls are NaN here
    plain = (size == 0) | ((size >= 1e-3) & (size < 1e7))
    texts: Cells = list(map(repr, values.to_pylist()))  # in this range Java and Python write the same
    for index in np.flatnonzero(~plain):
        value = values[index].as_py()
        texts[index] = None if value is None else java_double(value)
    return texts


def _timestamps(column: pa.Array) -> Cells:
    moments = column.cast(pa.timestamp(column.type.unit))  # the zone, always UTC here, is not shown
    whole = pc.floor_temporal(moments, unit="second").cast(pa.timestamp("s")).cast(pa.string())
    if column.type.unit == "s":
        return whole.to_pylist()  # type: ignore[no-any-return]
    micros = pc.floor_temporal(moments, unit="microsecond") if column.type.unit == "ns" else moments
    exact = pc.equal(pc.floor_temporal(moments, unit="second"), micros)
    millis = pc.floor_temporal(moments, unit="millisecond").cast(pa.timestamp("ms")).cast(pa.string())
    return pc.if_else(exact, whole, millis).to_pylist()  # type: ignore[no-any-return]


def _interval(value: Any) -> str | None:
    if value is None:
        return None
    # As DuckDB's own Python values count: a month is 30 days.
    return str(datetime.timedelta(days=30 * value.months + value.days, microseconds=value.nanoseconds // 1000))
