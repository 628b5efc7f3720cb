"""What the server says of its tables, in the shapes of SQLAlchemy's inspection."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import types

from gradcube.clients.connection import Table
from gradcube.clients.kylin_json import Column

# SQLAlchemy 1.4 has no DOUBLE; its FLOAT is the same 64 bits to Kylin.
_DOUBLE = getattr(types, "DOUBLE", types.FLOAT)
_TYPES: dict[str, Callable[[], Any]] = {
    "TINYINT": types.SMALLINT, "SMALLINT": types.SMALLINT, "INTEGER": types.INTEGER, "INT": types.INTEGER,
    "INT4": types.INTEGER, "BIGINT": types.BIGINT, "LONG": types.BIGINT, "LONG8": types.BIGINT, "DOUBLE": _DOUBLE,
    "FLOAT": types.FLOAT, "REAL": types.REAL, "BOOLEAN": types.BOOLEAN, "DATE": types.DATE,
    "TIMESTAMP": types.TIMESTAMP, "DATETIME": types.TIMESTAMP,
}  # fmt: skip


def type_of(column: Column) -> Any:
    """SQLAlchemy's type of a column; a name that is not Kylin's gives NullType, as SQLAlchemy asks for."""
    if column.type in ("VARCHAR", "CHAR", "STRING"):
        return types.CHAR(column.precision) if column.type == "CHAR" else types.VARCHAR(column.precision)
    if column.type in ("DECIMAL", "NUMERIC"):
        return types.DECIMAL(column.precision, column.scale)
    return _TYPES.get(column.type, types.NullType)()


def columns_of(table: Table) -> list[dict[str, Any]]:
    """`Inspector.get_columns`' list."""
    return [
        {"name": column.name, "type": type_of(column), "nullable": True, "default": None, "autoincrement": False}
        for column in table.columns
    ]


def matches(name: str, wanted: str) -> bool:
    """Whether `wanted` means the table or schema `name`: an all lower-case name means any case, as in SQL."""
    return name == wanted or (wanted == wanted.lower() and name.lower() == wanted)
