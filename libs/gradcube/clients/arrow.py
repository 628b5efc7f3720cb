"""Arrow in and out of answers. pyarrow is loaded here alone, when it is needed; the bare SDK is without it."""

import decimal
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gradcube.clients.kylin_json import Column
from gradcube.errors import ConfigError, QueryError

if TYPE_CHECKING:
    import pyarrow as pa

STREAM = "application/vnd.apache.arrow.stream"
# The format's end-of-stream mark (Arrow columnar format, "IPC Streaming Format"): without it, the stream broke off.
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def available() -> bool:
    """Whether answers can be asked for in Arrow."""
    return find_spec("pyarrow") is not None


def read_stream(body: bytes) -> "pa.Table":
    """The table of a whole Arrow IPC stream. Raises QueryError when it is none or broke off."""
    import pyarrow as pa

    if not body.endswith(END_OF_STREAM):
        raise QueryError(f"The answer broke off after {len(body)} bytes.", hint="Ask again.")
    try:
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            return _narrowed(reader.read_all())
    except pa.ArrowException as error:
        raise QueryError(f"The answer is not an Arrow stream: {error}.") from error


def columns(schema: "pa.Schema") -> tuple[Column, ...]:
    """Kylin's names for the columns' types."""
    return tuple(Column(field.name, _kylin_name(field.type)) for field in schema)


def rows(table: "pa.Table") -> list[tuple[Any, ...]]:
    """One tuple of Python's values per row."""
    if table.num_columns == 0:
        return []
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def table(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> "pa.Table":
    """Typed rows as Arrow. Raises ConfigError without pyarrow."""
    if not available():
        raise ConfigError("No module named 'pyarrow'; install gradcube[sql] for Arrow and data frames")
    import pyarrow as pa

    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [pa.array(values, _arrow_type(column, values)) for column, values in zip(columns, cells, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def _narrowed(table: "pa.Table") -> "pa.Table":
    """Sums of integers come as DECIMAL(38,0); they are BIGINT, as in Kylin, where they fit."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                whole = table.column(place).cast(pa.int64())
            except pa.ArrowInvalid:
                continue
            table = table.set_column(place, field.with_type(pa.int64()), whole)
    return table


def _kylin_name(kind: "pa.DataType") -> str:
    import pyarrow as pa

    names = {pa.int8(): "INTEGER", pa.int16(): "INTEGER", pa.int32(): "INTEGER", pa.bool_(): "BOOLEAN"}
    tests = (
        (pa.types.is_integer, "BIGINT"), (pa.types.is_floating, "DOUBLE"), (pa.types.is_date, "DATE"),
        (pa.types.is_timestamp, "TIMESTAMP"), (pa.types.is_decimal, "DECIMAL"),
    )  # fmt: skip
    return names.get(kind) or next((name for test, name in tests if test(kind)), "VARCHAR")


def _arrow_type(column: Column, values: Sequence[Any]) -> "pa.DataType":
    import pyarrow as pa

    if column.type in ("DECIMAL", "NUMERIC"):
        return _decimal_type([value for value in values if value is not None])
    names = {
        "INTEGER": pa.int32(), "INT": pa.int32(), "INT4": pa.int32(), "SMALLINT": pa.int32(), "TINYINT": pa.int32(),
        "BIGINT": pa.int64(), "LONG": pa.int64(), "LONG8": pa.int64(), "DOUBLE": pa.float64(), "FLOAT": pa.float64(),
        "REAL": pa.float64(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("ms"),
        "DATETIME": pa.timestamp("ms"),
    }  # fmt: skip
    return names.get(column.type, pa.string())


def _decimal_type(values: Sequence[decimal.Decimal]) -> "pa.DataType":
    """Wide enough for every value; the precision that Kylin's JSON states is that of the declaration."""
    import pyarrow as pa

    scale = max((-int(value.as_tuple().exponent) for value in values), default=0)
    digits = max((value.adjusted() + 1 for value in values if value), default=1)
    return pa.decimal128(min(38, max(1, digits, scale, digits + scale)), max(0, scale))
