"""The embedded engine: one DuckDB file, one writer, any number of readers in this process.

Facts, the offsets of their Kafka records and the counters change in one transaction: after a crash at any point
the file opens at the end of some transaction, and reading resumes exactly there.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gradcube.cube.guard import SCHEMA
from gradcube.cube.model import DERIVED_UNITS, Column, CubeModel
from gradcube.errors import ConfigError

Offsets = Mapping[tuple[str, int], int]
COUNTERS = ("facts", "bad_records", "duplicate_fact_ids", "lost_records", "topic_resets")


@dataclass(frozen=True)
class Written:
    """What one transaction did."""

    rows: int
    duplicates: int


class Engine:
    """Opens (and makes) the database at `path`, or in memory with None. Raises ConfigError when it cannot.

    Nothing outside the file can be reached through it, and its settings are locked. One thread writes;
    `cursor()` may be called from any.
    """

    def __init__(self, model: CubeModel, path: Path | None, *, memory_limit: str = "1GB", threads: int = 2) -> None:
        self._model = model
        self._table = f'"{SCHEMA}"."{model.name}"'
        self._lock = Lock()
        self._root = _open(path, memory_limit, threads)
        self._create()
        self._writer = self._root.cursor()

    def cursor(self) -> Any:
        """A DuckDB connection of its own for one reader, who closes it."""
        with self._lock:
            return self._root.cursor()

    def write(self, facts: pa.Table, offsets: Offsets, counts: Mapping[str, int] | None = None) -> Written:
        """One transaction: the facts whose key the cube does not hold yet, the next offsets, the counters.

        A key that is there already, or twice in `facts`, is not written again: the first row counts, the others
        are counted as `duplicate_fact_ids`. Raises duckdb.Error, and then nothing of it was written.
        """
        self._writer.begin()
        try:
            rows = self._insert(facts) if facts.num_rows else 0
            written = Written(rows, facts.num_rows - rows)
            added = {"facts": rows, "duplicate_fact_ids": written.duplicates, **(counts or {})}
            self._note(offsets, added)
            self._writer.commit()
        except BaseException:
            self._abandon()
            raise
        return written

    def offsets(self) -> dict[tuple[str, int], int]:
        """The next offset to read of every partition seen so far."""
        rows = self._read("SELECT topic, partition_id, next_offset FROM gradcube.offsets")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def counters(self) -> dict[str, int]:
        """`COUNTERS`, counted since the database was made."""
        return dict.fromkeys(COUNTERS, 0) | dict(self._read("SELECT name, total FROM gradcube.counters"))

    def rows(self) -> int:
        """Facts held."""
        return int(self._read(f"SELECT count(*) FROM {self._table}")[0][0])  # noqa: S608 - the cube's own name

    def close(self) -> None:
        """Writes a checkpoint if it can and closes; what was committed stays in any case."""
        self._writer.close()
        self._root.close()

    def _read(self, sql: str) -> list[Any]:
        cursor = self.cursor()
        try:
            return list(cursor.execute(sql).fetchall())
        finally:
            cursor.close()

    def _insert(self, facts: pa.Table) -> int:
        time, key = self._model.time, self._model.key
        first, last = _bounds(facts[time])
        # Equal keys mean equal window starts, so zone maps leave only the rows of this span to look through.
        sql = f"""
            INSERT INTO {self._table} BY NAME SELECT * FROM (
                SELECT *, {", ".join(_derive(column, time) for column in self._model.of_kind("derived"))} FROM batch
            ) b WHERE NOT EXISTS (
                SELECT 1 FROM {self._table} f
                WHERE f.{key} = b.{key} AND f.{time} BETWEEN epoch_ms({first}) AND epoch_ms({last}))
        """  # noqa: S608 - names of the cube and integers
        self._writer.register("batch", _first_of_each(facts, key))
        try:
            return int(self._writer.execute(sql).fetchone()[0])
        finally:
            self._writer.unregister("batch")

    def _note(self, offsets: Offsets, added: Mapping[str, int]) -> None:
        for (topic, partition), offset in offsets.items():
            self._writer.execute("INSERT OR REPLACE INTO gradcube.offsets VALUES (?, ?, ?)", [topic, partition, offset])
        for name, count in added.items():
            if count:
                self._writer.execute("UPDATE gradcube.counters SET total = total + ? WHERE name = ?", [count, name])

    def _abandon(self) -> None:
        with suppress(duckdb.TransactionException):  # a failed commit has already rolled back
            self._writer.rollback()

    def _create(self) -> None:
        columns = ", ".join(f"{column.name} {_sql_type(column)}" for column in self._model.stored)
        for sql in (
            f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"',
            "CREATE SCHEMA IF NOT EXISTS gradcube",
            f"CREATE TABLE IF NOT EXISTS {self._table} ({columns})",
            "CREATE TABLE IF NOT EXISTS gradcube.offsets"
            " (topic VARCHAR, partition_id INTEGER, next_offset BIGINT, PRIMARY KEY (topic, partition_id))",
            "CREATE TABLE IF NOT EXISTS gradcube.counters (name VARCHAR PRIMARY KEY, total BIGINT)",
            *(f"INSERT OR IGNORE INTO gradcube.counters VALUES ('{name}', 0)" for name in COUNTERS),  # noqa: S608
        ):
            self._root.execute(sql)
        held = {row[0] for row in self._root.execute(f"DESCRIBE {self._table}").fetchall()}
        if held != {column.name for column in self._model.columns}:
            self._root.close()
            raise ConfigError(
                f"the database's {self._model.name} has other columns than the cube file: {sorted(held)}; "
                "set GRADCUBE_CUBE_DATABASE to a new file, which is filled from the topic"
            )


def _open(path: Path | None, memory_limit: str, threads: int) -> Any:
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "enable_external_access": "false", "allow_community_extensions": "false",
        "autoload_known_extensions": "false", "autoinstall_known_extensions": "false",
        "memory_limit": memory_limit, "threads": str(threads), "max_temp_directory_size": "0KB",
    }  # fmt: skip
    try:
        root = duckdb.connect(":memory:" if path is None else str(path), config=options)
    except duckdb.Error as error:
        raise ConfigError(f"database {path} cannot be opened: {error}; is another gateway using it?") from error
    for setting in ("TimeZone = 'UTC'", "python_enable_replacements = false", "integer_division = true"):
        root.execute(f"SET GLOBAL {setting}")
    root.execute("SET GLOBAL lock_configuration = true")
    return root


def _bounds(moments: pa.ChunkedArray) -> tuple[int, int]:
    millis = moments.cast(pa.int64()).to_numpy()
    return int(millis.min()), int(millis.max())


def _first_of_each(facts: pa.Table, key: str) -> pa.Table:
    if pc.count_distinct(facts[key]).as_py() == facts.num_rows:
        return facts
    first: dict[str, int] = {}
    for index, value in enumerate(facts[key].to_pylist()):
        first.setdefault(value, index)
    return facts.take(list(first.values()))


def _derive(column: Column, time: str) -> str:
    unit = DERIVED_UNITS[column.name]
    return f"CAST(date_trunc('{unit}', {time}) AS {_sql_type(column)}) AS {column.name}"


def _sql_type(column: Column) -> str:
    return column.type.name  # DuckDB's names are the same; a VARCHAR's length is checked when it is read
