"""Runs guarded statements on the engine: bounded waiting line, deadline, row and byte limits; Kylin's cells out."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import BoundedSemaphore, Timer
from time import monotonic
from typing import Any

import duckdb

from gradcube.cube.engine import Engine
from gradcube.cube.guard import SCHEMA
from gradcube.cube.kylin_types import KylinType, cell, from_duckdb
from gradcube.cube.model import Catalog, CubeModel
from gradcube.cube.translate import Statement, translate
from gradcube.errors import QueryError

_CHUNK_ROWS = 2_000


class Busy(QueryError):
    """As many statements as may wait are waiting already; ask again later."""


@dataclass(frozen=True)
class Limits:
    """What one statement may take; `waiting` is how many may run or wait at once."""

    rows: int = 50_000
    result_bytes: int = 64 * 2**20
    timeout_seconds: float = 30.0
    workers: int = 2
    waiting: int = 32


@dataclass(frozen=True)
class OutputColumn:
    """`source` is the cube's column that it shows unchanged, if it does."""

    name: str
    type: KylinType
    source: str | None


@dataclass(frozen=True)
class Answer:
    """Every cell is text or None. `partial`: the server's row limit cut it."""

    columns: tuple[OutputColumn, ...]
    rows: list[list[str | None]]
    partial: bool
    seconds: float


class Answerer:
    """A small pool of threads that answers statements; `close()` interrupts nothing, it waits."""

    def __init__(self, engine: Engine, model: CubeModel, limits: Limits) -> None:
        self._engine, self._limits = engine, limits
        self._catalog = Catalog({model.name: replace(model, rollups=())})  # this engine keeps raw rows only
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="query")
        self._places = BoundedSemaphore(limits.waiting)

    def submit(
        self, sql: str, *, limit: int, offset: int = 0, parameters: Sequence[Mapping[str, Any]] = ()
    ) -> "Future[Answer]":
        """The answer to come. Raises Busy at once when the line is full; the future raises QueryError."""
        if not self._places.acquire(blocking=False):
            raise Busy("Too many queries are waiting.", hint="Ask again in a moment.")
        future = self._pool.submit(self._answer, sql, limit, offset, parameters)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def close(self) -> None:
        """Answers what was submitted, then ends the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, sql: str, limit: int, offset: int, parameters: Sequence[Mapping[str, Any]]) -> Answer:
        started = monotonic()
        most = min(limit, self._limits.rows) if limit > 0 else self._limits.rows
        # One row more than may be given tells whether the limit cut the answer.
        statement = translate(sql, self._catalog, limit=most + 1, offset=offset, parameters=parameters, schema=SCHEMA)
        cursor = self._engine.cursor()
        watchdog = Timer(self._limits.timeout_seconds, cursor.interrupt)
        watchdog.daemon = True
        watchdog.start()
        try:
            columns, rows = self._run(cursor, statement, most + 1)
        except duckdb.InterruptException as error:
            seconds = self._limits.timeout_seconds
            raise QueryError(
                f"Query timeout after {seconds:g} seconds.", hint="Ask for less, or narrow the time."
            ) from error
        except duckdb.Error as error:
            raise _explain(error) from error
        finally:
            watchdog.cancel()
            cursor.close()
        cut = len(rows) > most
        return Answer(columns, rows[:most], cut and most == self._limits.rows, monotonic() - started)

    def _run(
        self, cursor: Any, statement: Statement, most: int
    ) -> tuple[tuple[OutputColumn, ...], list[list[str | None]]]:
        deadline = monotonic() + self._limits.timeout_seconds
        cursor.execute(statement.sql)
        columns = tuple(
            OutputColumn(one[0], from_duckdb(str(one[1])), statement.sources.get(one[0], ("", None))[1])
            for one in cursor.description
        )
        rows: list[list[str | None]] = []
        size_bytes = 0
        while len(rows) < most and (chunk := cursor.fetchmany(min(_CHUNK_ROWS, most - len(rows)))):
            texts = [[cell(value) for value in row] for row in chunk]
            size_bytes += sum(len(text) for row in texts for text in row if text is not None)
            rows += texts
            if size_bytes > self._limits.result_bytes:
                raise QueryError(f"The result is larger than {self._limits.result_bytes} bytes.", hint="Ask for less.")
            if monotonic() > deadline:
                raise duckdb.InterruptException("the deadline passed while rows were read")
        return columns, rows


def _explain(error: duckdb.Error) -> QueryError:
    """DuckDB's first line in Kylin's words; the rest shows our own translation of the statement."""
    line = re.sub(r"^[\w ]*Error: ", "", str(error).strip().splitlines()[0] if str(error).strip() else "failed")
    if match := re.search(r'[Cc]olumn "(?:[^"]*\.)?([^".]+)" not found', line):
        return QueryError(f"Column '{match[1]}' not found in any table")
    if match := re.match(r'Column "([^"]+)" referenced that exists in the SELECT clause', line):
        return QueryError(f"Column '{match[1]}' not found in any table")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError("The query needs more memory than it may use.", hint="Narrow the time or group by less.")
    return QueryError(f"Error while executing SQL: {line}")
