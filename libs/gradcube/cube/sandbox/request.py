"""What goes into the query pool and what comes out: views, requests, results, progress and the ways to fail."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gradcube.cube.guard import SCHEMA
from gradcube.errors import QueryError


class Busy(QueryError):
    """As many statements as may wait are waiting already; ask again later."""


class Cancelled(QueryError):
    """Somebody who may asked for this query to end, or the pool was closed."""


class TimedOut(QueryError):
    """The query took longer than its request allows."""


class EngineMissing(QueryError):
    """No child process can be started; the log says why."""


class EngineLost(QueryError):
    """The child process ended before it had answered; the next query gets a new one."""


@dataclass(frozen=True)
class View:
    """A table as the statement sees it. `sql` is our own text: a SELECT over files of the store, never a user's."""

    name: str
    sql: str


@dataclass(frozen=True)
class Request:
    """One SELECT in DuckDB's words over nothing but `views`. More rows than `max_rows` are cut, more bytes refused."""

    sql: str
    views: tuple[View, ...] = ()
    max_rows: int = 50_000
    max_bytes: int = 64 * 2**20
    timeout_seconds: float = 30.0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Result:
    """The answer. `types` are DuckDB's names of the columns' types; `partial`: there were more rows than max_rows."""

    schema: pa.Schema
    types: tuple[str, ...]
    batches: tuple[pa.RecordBatch, ...]
    partial: bool
    seconds: float

    @property
    def rows(self) -> int:
        """Rows of all batches."""
        return sum(batch.num_rows for batch in self.batches)


@dataclass(frozen=True)
class Progress:
    """`state` is waiting or running; `percent` is DuckDB's estimate, None until it has one; `rows` are read so far."""

    state: str
    percent: float | None = None
    rows: int = 0


@dataclass(frozen=True)
class PoolSettings:
    """`workers` children of `memory_bytes` each; at most `waiting` statements wait beside those that run."""

    workers: int = 2
    waiting: int = 128
    memory_bytes: int = 2**30
    threads: int = 2

    def to_child(self, directory: str) -> Mapping[str, Any]:
        """The first frame a child reads."""
        return {"directory": directory, "schema": SCHEMA, "memory_bytes": self.memory_bytes, "threads": self.threads}
