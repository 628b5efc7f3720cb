"""Kylin's column types: declared text in, JDBC codes and the cells of an answer out (always text or None)."""

import datetime
import decimal
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CODES = {
    "VARCHAR": 12, "INTEGER": 4, "BIGINT": -5, "DOUBLE": 8, "DATE": 91, "TIMESTAMP": 93, "BOOLEAN": 16, "DECIMAL": 3,
}  # fmt: skip
_PRECISION = {"VARCHAR": 256, "INTEGER": 10, "BIGINT": 19, "DOUBLE": 15, "DATE": 10, "TIMESTAMP": 0, "BOOLEAN": 1}
_DUCKDB = {
    "TINYINT": "INTEGER", "SMALLINT": "INTEGER", "UTINYINT": "INTEGER", "USMALLINT": "INTEGER", "UINTEGER": "BIGINT",
    "HUGEINT": "BIGINT", "UBIGINT": "BIGINT", "UHUGEINT": "BIGINT", "FLOAT": "DOUBLE", "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP", "TIMESTAMP_NS": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}  # fmt: skip


@dataclass(frozen=True)
class KylinType:
    """`name` as in columnTypeName, `precision` in characters or digits."""

    name: str
    precision: int
    scale: int = 0

    @property
    def jdbc_code(self) -> int:
        """java.sql.Types."""
        return _CODES[self.name]

    @property
    def type_name(self) -> str:
        """As `/tables_and_columns` spells it."""
        if self.name == "VARCHAR":
            return f'VARCHAR({self.precision}) CHARACTER SET "UTF-16LE" COLLATE "UTF-16LE$en_US$primary"'
        return "TIMESTAMP(0)" if self.name == "TIMESTAMP" else self.name

    @property
    def display_size(self) -> int:
        """Characters that a value needs at most."""
        return {"INTEGER": 11, "BIGINT": 20, "DOUBLE": 24, "TIMESTAMP": 19, "BOOLEAN": 5}.get(self.name, self.precision)


def parse_type(text: str) -> KylinType:
    """A declared type such as `varchar(256)` or `bigint`. Raises ValueError."""
    match = re.fullmatch(r"([a-z]+)(?:\((\d{1,5})\))?", text)
    name = match[1].upper() if match else ""
    if not match or name not in _PRECISION or (match[2] is not None) != (name == "VARCHAR"):
        raise ValueError(f"type is {text!r}; use varchar(n), integer, bigint, double, date, timestamp or boolean")
    precision = int(match[2]) if match[2] else _PRECISION[name]
    if precision == 0 and name == "VARCHAR":
        raise ValueError(f"type is {text!r}; a varchar holds at least one character")
    return KylinType(name, precision)


def from_duckdb(text: str) -> KylinType:
    """The type of an answer's column. Whatever Kylin has no name for is a VARCHAR."""
    if match := re.fullmatch(r"DECIMAL\((\d+), ?(\d+)\)", text):
        return KylinType("DECIMAL", int(match[1]), int(match[2]))
    name = _DUCKDB.get(text, text)
    if name not in _PRECISION:
        name = "VARCHAR"
    return KylinType(name, _PRECISION[name])


def java_double(value: float) -> str:
    """As `Double.toString` prints it: `0.0`, `9.99E7`, `1.0E-4`, `NaN`, `Infinity`."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = repr(value)
        return plain if "e" not in plain else format(decimal.Decimal(plain), "f")
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # nan and infinities went before
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{exponent + len(digits) - 1}"


def cell(value: Any) -> str | None:
    """One value as Kylin's JSON carries it."""
    if value is None:
        return None
    return _FORMATS.get(type(value), str)(value)


def _timestamp(value: datetime.datetime) -> str:
    text = value.strftime("%Y-%m-%d %H:%M:%S")
    return text if value.microsecond == 0 else f"{text}.{value.microsecond // 1000:03d}"


_FORMATS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: java_double,
    datetime.datetime: _timestamp,
    datetime.date: lambda value: value.isoformat(),
    decimal.Decimal: lambda value: format(value, "f"),
}
