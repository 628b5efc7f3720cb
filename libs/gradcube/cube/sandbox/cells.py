"""Arrow columns in, Kylin's cells out (always text or None): whole columns at a time, the same text as `cell` gives."""

import datetime
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gradcube.cube.kylin_types import cell, java_double

Cells = list[str | None]
_PLAIN_SCALE = 6  # with more digits behind the point Arrow writes small decimals with an exponent


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
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= _PLAIN_SCALE:
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
    size = pc.abs(values)
    plain = pc.or_(pc.equal(size, 0), pc.and_(pc.greater_equal(size, 1e-3), pc.less(size, 1e7)))
    # In this range Arrow writes the digits that Java does, but for the fraction of a whole number.
    texts = values.cast(pa.string())
    whole = pc.invert(pc.match_substring(texts, "."))
    cells: Cells = pc.if_else(whole, pc.binary_join_element_wise(texts, ".0", ""), texts).to_pylist()
    others = pc.indices_nonzero(pc.invert(plain))
    for index, value in zip(others.to_pylist(), values.take(others).to_pylist(), strict=True):
        cells[index] = java_double(value)
    return cells


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
