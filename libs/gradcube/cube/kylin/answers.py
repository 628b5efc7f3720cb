"""Kylin's JSON in, Arrow columns out: the types of its own `columnMetas`, whose cells are all text."""

import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from gradcube.cube.sandbox.request import Result
from gradcube.errors import QueryError

Cells = Sequence[str | None]
_DECIMAL_DIGITS = 38
_WHOLE = {"TINYINT": pa.int32(), "SMALLINT": pa.int32(), "INTEGER": pa.int32(), "BIGINT": pa.int64()}


def result_of(answer: Mapping[str, Any], max_rows: int, seconds: float) -> Result:
    """At most `max_rows` of the answer; more make it partial. Raises QueryError for what Kylin never sends."""
    try:
        if answer.get("isException"):
            raise QueryError(f"Kylin: {str(answer.get('exceptionMessage'))[:300]}")
        metas, rows = answer["columnMetas"], answer["results"][:max_rows]
        columns = [_column(str(meta["columnTypeName"]), [row[at] for row in rows]) for at, meta in enumerate(metas)]
        names = [str(meta["label"]) for meta in metas]
        partial = len(answer["results"]) > max_rows
    except (KeyError, TypeError, IndexError, ValueError, ArithmeticError) as error:
        raise QueryError(f"Kylin's answer cannot be read: {error!r:.200}") from error
    arrays = [array for array, _ in columns]
    schema = pa.schema([pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)])
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return Result(schema, tuple(kind for _, kind in columns), (batch,), partial, seconds)


def _column(kind: str, cells: Cells) -> tuple[pa.Array, str]:
    """The values, and the type in DuckDB's words."""
    return _READERS.get(kind, _text)(kind, cells)


def _text(_: str, cells: Cells) -> tuple[pa.Array, str]:
    return pa.array(cells, pa.string()), "VARCHAR"


def _padded(_: str, cells: Cells) -> tuple[pa.Array, str]:
    """A CASE of literals: Kylin fills each up to the longest."""
    return pa.array([None if cell is None else cell.rstrip(" ") for cell in cells], pa.string()), "VARCHAR"


def _whole(kind: str, cells: Cells) -> tuple[pa.Array, str]:
    return pa.array([None if cell is None else int(cell) for cell in cells], _WHOLE[kind]), kind


def _double(_: str, cells: Cells) -> tuple[pa.Array, str]:
    return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64()), "DOUBLE"


def _decimal(_: str, cells: Cells) -> tuple[pa.Array, str]:
    """Of the scale that its values have: the one in the answer's description is another."""
    values = [None if cell is None else decimal.Decimal(cell) for cell in cells]
    scale = max((-int(value.as_tuple().exponent) for value in values if value is not None), default=0)
    kind = pa.decimal128(_DECIMAL_DIGITS, max(0, scale))
    return pa.array(values, kind), f"DECIMAL({kind.precision},{kind.scale})"


def _moment(kind: str, cells: Cells) -> tuple[pa.Array, str]:
    return pa.array(cells, pa.string()).cast(pa.date32() if kind == "DATE" else pa.timestamp("us")), kind


def _truth(kind: str, cells: Cells) -> tuple[pa.Array, str]:
    return pa.array([None if cell is None else cell == "true" for cell in cells], pa.bool_()), kind


_READERS: Mapping[str, Callable[[str, Cells], tuple[pa.Array, str]]] = {
    "CHAR": _padded, "DOUBLE": _double, "FLOAT": _double, "REAL": _double, "DECIMAL": _decimal, "BOOLEAN": _truth,
    "DATE": _moment, "TIMESTAMP": _moment, **dict.fromkeys(_WHOLE, _whole),
}  # fmt: skip
