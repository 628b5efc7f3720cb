"""Kylin's JSON answers: texts and their column types in, Python's values out; errors as QueryError."""

import datetime
import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradcube.errors import QueryError

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "LONG", "INT4", "LONG8")


@dataclass(frozen=True)
class Column:
    """A column of an answer; `type` as Kylin names it, such as BIGINT."""

    name: str
    type: str
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True)
class Typed:
    """`rows` hold int, float, Decimal, bool, date, datetime, str or None, as the columns' types say."""

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    partial: bool


def read_answer(answer: Any) -> Typed:
    """The body of a `/query` of status 200. Raises QueryError, also for a body that is none."""
    if isinstance(answer, dict) and (answer.get("isException") or answer.get("exceptionMessage")):
        raise QueryError(str(answer.get("exceptionMessage") or "The query failed; the server does not say why."))
    try:
        columns = tuple(_column(meta) for meta in answer["columnMetas"])
        readers = [_READERS.get(column.type, _text) for column in columns]
        rows = [_row(readers, row) for row in answer["results"]]
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise QueryError(f"The answer is not Kylin's: {type(error).__name__} {error}.") from error
    return Typed(columns, rows, bool(answer.get("partial")))


def read_error(status: int, body: Any) -> QueryError:
    """What the server says in a body of Kylin's form, with position and hint where it is our gateway."""
    if not isinstance(body, dict):
        return QueryError("Wrong user name or password." if status == 401 else f"The server answered with {status}.")
    text = body.get("exception") or body.get("msg") or f"The server answered with {status} and does not say why."
    error = QueryError(str(text))
    position, hint = body.get("position"), body.get("hint")
    error.position = position if isinstance(position, int) else None
    error.hint = hint if isinstance(hint, str) else None
    return error


def _column(meta: Any) -> Column:
    return Column(str(meta["label"]), str(meta["columnTypeName"]).upper(), meta.get("precision"), meta.get("scale"))


def _row(readers: list[Callable[[Any], Any]], row: Any) -> tuple[Any, ...]:
    return tuple(None if cell is None else read(cell) for read, cell in zip(readers, row, strict=True))


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else str(cell)


def _boolean(cell: Any) -> bool:
    return cell if isinstance(cell, bool) else _text(cell).lower() == "true"


def _timestamp(cell: Any) -> datetime.datetime:
    return datetime.datetime.fromisoformat(_text(cell))


def _date(cell: Any) -> datetime.date:
    return datetime.date.fromisoformat(_text(cell)[:10])


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_INTEGERS, int),
    "DOUBLE": float,
    "FLOAT": float,
    "REAL": float,
    "DECIMAL": lambda cell: decimal.Decimal(_text(cell)),
    "NUMERIC": lambda cell: decimal.Decimal(_text(cell)),
    "BOOLEAN": _boolean,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "DATETIME": _timestamp,
}
