"""The three that are asked: gradcube's store and query pool, a plain DuckDB table, an indexed SQLite table.

Each takes the same Arrow tables in, and gives the rows of an answer as tuples out. The two tables have no FACT_ID, for
which no question asks and which is half of their size.
"""

import datetime
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gradcube.cube import questions
from gradcube.cube.asking import Asking
from gradcube.cube.guard import parse
from gradcube.cube.model import Catalog
from gradcube.cube.naming import name_as_kylin
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store.batches import stored
from gradcube.cube.store.relations import layout_of
from gradcube.cube.translate import translate
from gradcube.cube.views import expand_views
from tests.integration.questions.page import Question

THREADS = 2
BATCH_TABLES = 3
"""Of 15 000 rows each: about what ingest writes at once."""
Rows = list[tuple[Any, ...]]


class Engine(Protocol):
    """Filled once, then asked."""

    def fill(self, tables: Iterable[pa.Table]) -> None:
        """All facts."""

    def ask(self, question: Question) -> Rows:
        """The answer, times as text."""


class Gradcube:
    """Over the store in `directory`; asked through translation and query pool, as the gateway does."""

    def __init__(self, directory: Path, catalog: Catalog) -> None:
        self._catalog = catalog
        self.store = Store(directory, catalog.cubes.values())
        self._pool: QueryPool | None = None

    def fill(self, tables: Iterable[pa.Table]) -> None:
        """Through `Store.write`, as ingest does, and merged as if the days were long past."""
        batch: list[pa.Table] = []
        for table in tables:
            batch.append(table)
            if len(batch) == BATCH_TABLES:
                self.store.write("FACTS", pa.concat_tables(batch).combine_chunks(), {})
                batch = []
        if batch:
            self.store.write("FACTS", pa.concat_tables(batch).combine_chunks(), {})

    def merge(self) -> None:
        """All that the compactor would do by and by."""
        compactor = Compactor(self.store)
        while compactor.run_once(settled=True):
            pass
        compactor.stop()

    def ask(self, question: Question) -> Rows:
        """As the gateway: the answer is in this process, as Arrow."""
        if self._pool is None:
            settings = PoolSettings(workers=1, memory_bytes=10**9, threads=THREADS)
            self._pool = QueryPool(self.store.directory, settings)
        asker = Asking(self._catalog, self.store, self._pool)
        limits = questions.Limits(timeout_seconds=120)
        answer = asker.submit(questions.Question(question.sql, limits=limits), questions.SeesAll(), "bench").result()
        return [tuple(map(_plain, row.values())) for batch in answer.result.batches for row in batch.to_pylist()]

    def close(self) -> None:
        """The store may be opened by others then."""
        if self._pool is not None:
            self._pool.close()
        self.store.close()


class PlainDuckDB:
    """One table of one file, in the order in which the facts came; the same SQL, translated without rollups."""

    def __init__(self, file: Path, catalog: Catalog) -> None:
        model = catalog.cubes["FACTS"]
        cubes = {**catalog.cubes, "FACTS": replace(model, rollups=())}
        self._model, self._catalog = model, replace(catalog, cubes=cubes)
        self._db = duckdb.connect(str(file), config={"threads": THREADS, "memory_limit": "6GB"})
        self._db.execute("SET integer_division = true")

    def fill(self, tables: Iterable[pa.Table]) -> None:
        """Appended table by table."""
        for table in tables:
            facts = with_derived(table, self._catalog)
            self._db.register("facts_now", facts)
            made = self._db.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
            self._db.execute(f"{'CREATE TABLE FACTS AS' if made else 'INSERT INTO FACTS'} SELECT * FROM facts_now")
        self._db.execute("CHECKPOINT")

    def ask(self, question: Question) -> Rows:
        """In this process."""
        sql = translate(question.sql, self._catalog, limit=50_000).sql
        return [tuple(map(_plain, row)) for row in self._db.execute(sql).fetchall()]

    def close(self) -> None:
        """The file may go."""
        self._db.close()


class IndexedSQLite:
    """One table with an index over what every question filters by, then by job; times are text."""

    def __init__(self, file: Path, catalog: Catalog) -> None:
        self._catalog = catalog
        self._db = sqlite3.connect(file, isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "mmap_size = 8000000000"):
            self._db.execute(f"PRAGMA {setting}")

    def fill(self, tables: Iterable[pa.Table]) -> None:
        """Inserted table by table, indexed and analysed at the end."""
        self._db.execute("BEGIN")
        for number, table in enumerate(tables):
            facts = with_derived(table, self._catalog)
            if number == 0:
                self._db.execute(f"CREATE TABLE FACTS ({', '.join(facts.column_names)})")
            rows = zip(*(_listed(column) for column in facts.columns), strict=True)
            self._db.executemany(f"INSERT INTO FACTS VALUES ({', '.join('?' * facts.num_columns)})", rows)
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX ASKED ON FACTS (METRIC, SUBJECT_KIND, JOB)")
        self._db.execute("ANALYZE")

    def ask(self, question: Question) -> Rows:
        """The same SQL in SQLite's dialect."""
        tree = parse(question.sql, self._catalog.names)
        name_as_kylin(tree)
        expand_views(tree, self._catalog)
        with closing(self._db.execute(tree.sql(dialect="sqlite"))) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        """The file may go."""
        self._db.close()


def with_derived(table: pa.Table, catalog: Catalog) -> pa.Table:
    """The columns of `select *` but the id."""
    model = catalog.cubes["FACTS"]
    return stored(table, model, layout_of(model)).drop_columns([model.key])


def _listed(column: pa.ChunkedArray) -> Sequence[Any]:
    if pa.types.is_temporal(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        pattern = "%Y-%m-%d" if pa.types.is_date(column.type) else "%Y-%m-%d %H:%M:%S"
        texts = pc.strftime(encoded.dictionary.cast(pa.timestamp("s")), pattern)
        return list(texts.take(encoded.indices).to_pylist())
    return list(column.to_pylist())


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, datetime.date) else value
