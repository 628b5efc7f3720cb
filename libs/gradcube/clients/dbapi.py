"""PEP 249 over Kylin's REST API: `connect(url)`, cursors, its errors. Statements take `?`, transactions do nothing."""

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Self

from gradcube.clients.address import Address, resolve
from gradcube.clients.connection import ROW_LIMIT
from gradcube.clients.connection import Connection as Asking
from gradcube.clients.http import AccessDenied, ServerUnavailable
from gradcube.errors import ConfigError, QueryError

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"


class Warning(Exception):  # noqa: A001 - PEP 249's name
    """Nothing warns."""


class Error(Exception):
    """Root of what goes wrong here."""


class InterfaceError(Error):
    """The address, or a cursor that is used after its end."""


class DatabaseError(Error):
    """What the server says."""


class DataError(DatabaseError):
    """A value that does not fit."""


class OperationalError(DatabaseError):
    """Nobody answered, or not in time, or access is denied."""


class IntegrityError(DatabaseError):
    """Nothing is written, so nothing raises it."""


class InternalError(DatabaseError):
    """Nothing raises it."""


class ProgrammingError(DatabaseError):
    """The statement is refused, or its parameters do not fit."""


class NotSupportedError(DatabaseError):
    """What a cube cannot do, such as to write."""


class _Kind(frozenset[str]):
    """PEP 249's type object: equals each of the type names that it stands for."""

    def __eq__(self, other: object) -> bool:
        return other in self if isinstance(other, str) else super().__eq__(other)

    __hash__ = frozenset.__hash__


STRING = _Kind({"VARCHAR", "CHAR", "STRING"})
NUMBER = _Kind({"INTEGER", "BIGINT", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT", "REAL", "DECIMAL", "BOOLEAN"})
DATETIME = _Kind({"DATE", "TIMESTAMP", "DATETIME"})
BINARY, ROWID = _Kind(), _Kind()
Date, Timestamp = datetime.date, datetime.datetime
DateFromTicks = datetime.date.fromtimestamp


def TimestampFromTicks(ticks: float) -> datetime.datetime:  # noqa: N802 - PEP 249's name
    """UTC, as all times of the cube are."""
    return datetime.datetime.fromtimestamp(ticks, datetime.UTC).replace(tzinfo=None)


def connect(where: str | Address, **given: Any) -> "Connection":
    """A connection; nothing is sent yet. `given` as in `gradcube.connect`. Raises InterfaceError for a bad address."""
    try:
        return Connection(Asking(resolve(where, **given), arrow_first=False))
    except ConfigError as error:
        raise InterfaceError(str(error)) from error


@contextmanager
def translated() -> Iterator[None]:
    """Our errors as PEP 249's."""
    try:
        yield
    except (ServerUnavailable, AccessDenied) as error:
        raise OperationalError(str(error)) from error
    except QueryError as error:
        raise ProgrammingError(str(error)) from error
    except RuntimeError as error:  # httpx's, of a client that is closed
        raise InterfaceError(str(error)) from error


class Connection:
    """PEP 249's; `commit` and `rollback` do nothing, since nothing is ever written."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking

    def cursor(self) -> "Cursor":
        """A cursor of its own answers."""
        return Cursor(self)

    def commit(self) -> None:
        """Nothing to do."""

    def rollback(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Ends it."""
        self.asking.close()


class Cursor:
    """PEP 249's. The whole answer is read by `execute`."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self._rows: Iterator[tuple[Any, ...]] | None = None

    def execute(self, operation: str, parameters: Sequence[Any] = (), *, limit: int = ROW_LIMIT) -> Self:
        """Asks; at most `limit` rows are given unless the statement has a limit of its own."""
        with translated():
            result = self.connection.asking.query(operation, parameters or (), limit=limit, progress=False)
        columns = zip(result.columns, result.types, strict=True)
        self.description = [(name, kind, None, None, None, None, True) for name, kind in columns]
        self.rowcount, self._rows = len(result), iter(result.rows)
        return self

    def executemany(self, operation: str, seq_of_parameters: Sequence[Sequence[Any]]) -> NoReturn:  # noqa: ARG002
        """PEP 249 means it for writing. Raises NotSupportedError."""
        raise NotSupportedError("A cube is asked, not written to: executemany has no meaning here.")

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None behind the last."""
        return next(self._open(), None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next `size` rows (default: `arraysize`), fewer at the end."""
        rows = self._open()
        return [row for _, row in zip(range(size or self.arraysize), rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left."""
        return list(self._open())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._open()

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Nothing to do: PEP 249 allows it."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Nothing to do: PEP 249 allows it."""

    def close(self) -> None:
        """Forgets the answer."""
        self._rows, self.description = None, None

    def _open(self) -> Iterator[tuple[Any, ...]]:
        if self._rows is None:
            raise InterfaceError("The cursor holds no answer; execute a SELECT first.")
        return self._rows
