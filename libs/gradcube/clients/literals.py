"""Values written into a statement's `?`: Kylin's own binding is JDBC's alone, and refuses a `?` in GROUP BY."""

import datetime
import decimal
import math
import numbers
import uuid
from collections.abc import Sequence
from typing import Any

from gradcube.clients.scanner import pieces
from gradcube.errors import QueryError

MOST_BIGINT = 2**63 - 1


def bind(sql: str, values: Sequence[Any]) -> str:
    """The statement with each `?` outside of quotes and comments replaced by the literal of its value.

    Raises QueryError for another number of values than marks, and for a value that SQL has no literal for.
    """
    found = list(pieces(sql))
    marks = [piece for piece in found if piece.kind == "mark"]
    if len(marks) != len(values):
        raise QueryError(f"The statement has {len(marks)} parameters (?), {len(values)} values were given.")
    # Engines differ on whether comments nest, so on where such a one ends; no value may lie on that border.
    if marks and any(piece.kind == "comment" and "/*" in piece.text[2:] for piece in found):
        raise QueryError("A comment within a comment cannot be in a statement with parameters.")
    for piece, value in reversed(list(zip(marks, values, strict=True))):
        sql = sql[: piece.start] + literal(value) + sql[piece.start + 1 :]
    return sql


def literal(value: Any) -> str:
    """One value as Kylin's SQL writes it. Raises QueryError that names the type or the value."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case str() | uuid.UUID():
            return _text(str(value))
        case datetime.datetime():
            return f"TIMESTAMP '{_moment(value)}'"
        case datetime.date():
            return f"DATE '{value.isoformat()}'"
        case numbers.Integral():
            return _integer(int(value))
        case decimal.Decimal():
            return format(_finite(value), "f")
        case numbers.Real():
            return _double(float(_finite(value)))
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):  # no bool of Python's
        return "TRUE" if value else "FALSE"
    raise QueryError(f"A {type(value).__name__} cannot be a parameter.", hint="Give a text, number, time or None.")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"{text!r:.80} is not text: {error.reason}.") from error
    if "\0" in text:
        raise QueryError(f"{text!r:.80} holds a zero character, which SQL's texts cannot.")
    return "'" + text.replace("'", "''") + "'"


def _moment(value: datetime.datetime) -> str:
    """UTC, as all times in the cube are; one without a zone is taken as UTC. Kylin keeps milliseconds."""
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value.isoformat(" ", "seconds" if value.microsecond == 0 else "milliseconds")


def _integer(value: int) -> str:
    if abs(value) > MOST_BIGINT:
        raise QueryError(f"{value} does not fit into a BIGINT.")
    return str(value)


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise QueryError(f"{value} cannot be a parameter: SQL has no literal for it.")
    return value


def _double(value: float) -> str:
    """With an exponent, which makes it a DOUBLE; 0.1 alone would be a DECIMAL."""
    text = repr(value)
    return text if "e" in text else f"{text}e0"
