"""Statements in, answers out through the query pool: as Kylin's cells or as Arrow. The gateway's one way to the pool."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, Protocol

from gradcube.cube.answers import Answer, Limits, OutputColumn
from gradcube.cube.kylin_types import from_duckdb
from gradcube.cube.sandbox.cells import rows
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import Busy, Request, Result, View

Parameters = Sequence[Mapping[str, Any]]


class Prepared(Protocol):
    """A translated statement: DuckDB's text, the cube's column behind each plain output, the relations it reads."""

    @property
    def sql(self) -> str:
        """DuckDB's text."""
        ...

    @property
    def sources(self) -> Mapping[str, tuple[str, str]]:
        """Output name to cube and column."""
        ...

    @property
    def relations(self) -> Collection[str]:
        """Names of the views it needs."""
        ...


class Translate(Protocol):
    """Guards and translates; raises QueryError."""

    def __call__(self, sql: str, *, limit: int, offset: int, parameters: Parameters) -> Prepared:
        """`limit` rows, unless the statement has a limit of its own."""
        ...


Views = Callable[[Collection[str]], AbstractContextManager[Sequence[View]]]
"""The views of these relations, held for as long as the context is open: a snapshot of the store with the row rules."""


class PoolAnswerer:
    """Like Answerer, over a pool of confined processes. `limits.workers` is the pool's own; close the pool after it."""

    def __init__(self, pool: QueryPool, translate: Translate, views: Views, limits: Limits) -> None:
        self._pool, self._translate, self._views, self._limits = pool, translate, views, limits
        # A thread per statement that may wait: they sleep on the pool's line, which is first in first out.
        self._threads = ThreadPoolExecutor(limits.waiting, thread_name_prefix="answer")
        self._places = BoundedSemaphore(limits.waiting)

    def submit(
        self, sql: str, *, limit: int, offset: int = 0, parameters: Parameters = (), query_id: str | None = None
    ) -> "Future[Answer]":
        """Kylin's answer to come. Raises Busy at once when the line is full; the future raises QueryError."""
        return self._start(lambda: self._cells(sql, limit, offset, parameters, query_id))

    def arrow(
        self, sql: str, *, limit: int, offset: int = 0, parameters: Parameters = (), query_id: str | None = None
    ) -> "Future[Result]":
        """The same as record batches, as the engine made them."""
        return self._start(lambda: self._run(sql, limit, offset, parameters, query_id)[0])

    def close(self) -> None:
        """Answers what was submitted, then ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _start(self, work: Callable[[], Any]) -> "Future[Any]":
        if not self._places.acquire(blocking=False):
            raise Busy("Too many queries are waiting.", hint="Ask again in a moment.")
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def _cells(self, sql: str, limit: int, offset: int, parameters: Parameters, query_id: str | None) -> Answer:
        started = monotonic()
        result, sources = self._run(sql, limit, offset, parameters, query_id)
        columns = tuple(
            OutputColumn(name, from_duckdb(kind), sources.get(name, ("", None))[1])
            for name, kind in zip(result.schema.names, result.types, strict=True)
        )
        partial = result.partial and not 0 < limit < self._limits.rows
        return Answer(columns, rows(result.batches), partial, monotonic() - started)

    def _run(
        self, sql: str, limit: int, offset: int, parameters: Parameters, query_id: str | None
    ) -> tuple[Result, Mapping[str, tuple[str, str]]]:
        most = min(limit, self._limits.rows) if limit > 0 else self._limits.rows
        # One row more than may be given tells whether the limit cut the answer.
        statement = self._translate(sql, limit=most + 1, offset=offset, parameters=parameters)
        named = {} if query_id is None else {"id": query_id}
        with self._views(statement.relations) as views:
            request = Request(
                statement.sql, tuple(views), most, self._limits.result_bytes, self._limits.timeout_seconds, **named
            )
            return self._pool.run(request), statement.sources
