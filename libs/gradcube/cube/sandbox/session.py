"""DuckDB as a child has it: in memory, settings locked, files only below the store's directory, one query at a time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from gradcube.cube.sandbox.second_reading import check
from gradcube.errors import QueryError

_BATCH_ROWS = 20_000


@dataclass(frozen=True)
class Shape:
    """The columns of an answer."""

    schema: pa.Schema
    types: tuple[str, ...]


class SessionBroken(Exception):
    """What the last query left behind cannot be undone: the process must end, another one takes its place."""


class Session:
    """`interrupt` and `percent` may be called from another thread while one runs."""

    def __init__(self, directory: str, schema: str, memory_bytes: int) -> None:
        """Starts no thread: what the kernel allows this one, it allows all that `lock` starts."""
        self._schema = schema
        self._connection = _open(directory, schema, memory_bytes)

    def lock(self, threads: int) -> None:
        """From here on `threads` threads run a statement and no setting changes."""
        self._connection.execute(f"SET threads = {threads:d}")
        self._connection.execute("SET lock_configuration = true")

    def run(
        self, sql: str, views: list[list[str]], max_rows: int, max_bytes: int
    ) -> Generator[Shape | pa.RecordBatch, None, None]:
        """First the shape, then at most `max_rows` + 1 rows. The views last as long: one transaction, undone."""
        self._connection.execute("BEGIN TRANSACTION")
        try:
            for name, text in views:
                self._connection.execute(f'CREATE VIEW "{self._schema}".{_quoted(name)} AS {text}')
            check(self._connection, sql, self._schema, [name for name, _ in views])
            yield from self._answer(sql, max_rows, max_bytes)
        finally:
            self._undo()

    def interrupt(self) -> None:
        """The running statement raises InterruptException at its next look."""
        self._connection.interrupt()

    def percent(self) -> float | None:
        """DuckDB's estimate of the running statement's progress."""
        percent = float(self._connection.query_progress())
        return percent if percent >= 0 else None

    def _undo(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error as error:
            raise SessionBroken(str(error)) from error

    def _answer(self, sql: str, max_rows: int, max_bytes: int) -> Iterator[Shape | pa.RecordBatch]:
        relation = self._connection.sql(sql)
        with relation.to_arrow_reader(_BATCH_ROWS) as reader:
            yield Shape(reader.schema, tuple(str(kind) for kind in relation.types))
            yield from _limited(reader, max_rows, max_bytes)


def _limited(reader: pa.RecordBatchReader, max_rows: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    rows = size_bytes = 0
    for batch in reader:
        part = batch.slice(0, max_rows + 1 - rows)
        rows, size_bytes = rows + part.num_rows, size_bytes + part.nbytes
        if size_bytes > max_bytes:
            raise QueryError(f"The result is larger than {max_bytes} bytes.", hint="Ask for less.")
        yield part
        if rows > max_rows:
            return


def _open(directory: str, schema: str, memory_bytes: int) -> Any:
    connection = duckdb.connect(":memory:", config={
        "threads": "1", "async_threads": "0", "memory_limit": f"{memory_bytes // 2**20}MiB",
        "max_temp_directory_size": "0KB", "temp_directory": "", "allow_community_extensions": "false",
        "autoload_known_extensions": "false", "autoinstall_known_extensions": "false",
        "allow_persistent_secrets": "false",
    })  # fmt: skip
    connection.execute(f'CREATE SCHEMA "{schema}"')
    for setting in (
        "TimeZone = 'UTC'", "integer_division = true", "python_enable_replacements = false",
        "parquet_metadata_cache = true", "enable_progress_bar = true", "enable_progress_bar_print = false",
        f"search_path = '{schema}'", f"allowed_directories = [{_literal(directory)}]",
        "enable_external_access = false",
    ):  # fmt: skip
        connection.execute(f"SET {setting}")
    return connection


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
