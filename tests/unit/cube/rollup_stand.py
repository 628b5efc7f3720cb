"""A small cube in DuckDB: raw rows, and its rollups as they arrive, batch by batch."""

from dataclasses import replace
from typing import Any

import duckdb

from gradcube.cube.kylin_types import parse_type
from gradcube.cube.model import Catalog, Column, CubeModel, Rollup
from gradcube.cube.translate import Statement, translate

_COLUMNS = {
    "TS": ("time", "timestamp"), "HOUR_START": ("derived", "timestamp"), "DAY_START": ("derived", "date"),
    "JOB": ("dimension", "varchar(8)"), "NODE": ("dimension", "varchar(8)"), "SIZE": ("dimension", "integer"),
    "ID": ("dimension", "varchar(8)"), "X": ("measure", "double"), "N": ("measure", "bigint"),
    "K": ("measure", "integer"),
}  # fmt: skip
MODEL = CubeModel(
    "T", "t", "TS", "ID",
    tuple(Column(name, kind, parse_type(text), "") for name, (kind, text) in _COLUMNS.items()),
    rollups=(
        Rollup("DAY", ("DAY_START", "JOB")),
        Rollup("HOUR", ("HOUR_START", "DAY_START", "JOB", "SIZE")),
        Rollup("CLOCK", ("HOUR_START", "SIZE", "NODE")),
        Rollup("RUN", ("JOB", "NODE", "SIZE", "DAY_START", "HOUR_START")),
    ),
)  # fmt: skip
ROUTED = Catalog({"T": MODEL})
RAW = Catalog({"T": replace(MODEL, rollups=())})
_BATCHES = 3


def fill(connection: Any, seed: int = 1, rows: int = 400) -> None:
    """Rows of two days whose values are drawn: nulls among the dimensions, sums that no double holds exactly."""
    connection.execute(f"SELECT setseed({seed / 100})")
    connection.execute(f"""
        CREATE TABLE drawn AS SELECT
            TIMESTAMP '2026-11-24 00:00:00' + INTERVAL (CAST(random() * 2879 AS INT)) MINUTE AS TS,
            'j' || CAST(random() * 3 AS INT) AS JOB,
            CASE WHEN random() < 0.2 THEN NULL ELSE 'n' || CAST(random() * 4 AS INT) END AS NODE,
            CASE WHEN random() < 0.2 THEN NULL ELSE CAST(random() * 3 AS INT) END AS SIZE,
            CAST(i AS VARCHAR) AS ID, random() * 10 - 5 AS X, CAST(random() * 9 - 4 AS BIGINT) AS N,
            CAST(random() * 9 - 4 AS INT) AS K, i % {_BATCHES} AS BATCH FROM range({rows}) r(i)""")
    connection.execute("""
        CREATE TABLE T AS SELECT X, N, K, TS, JOB, NODE, SIZE, ID, date_trunc('hour', TS)::TIMESTAMP AS HOUR_START,
            date_trunc('day', TS)::DATE AS DAY_START, BATCH FROM drawn""")
    for rollup in MODEL.rollups:
        dimensions = ", ".join(rollup.dimensions)
        connection.execute(f"""
            CREATE TABLE {MODEL.relation(rollup)} AS SELECT {dimensions}, count(*) AS ROWS_COUNT,
                sum(X) AS X__SUM, min(X) AS X__MIN, max(X) AS X__MAX, sum(N)::BIGINT AS N__SUM, min(N) AS N__MIN,
                max(N) AS N__MAX, sum(K)::BIGINT AS K__SUM, min(K) AS K__MIN, max(K) AS K__MAX
            FROM T GROUP BY {dimensions}, BATCH""")


def both(connection: Any, sql: str) -> tuple[Statement, Any, Any]:
    """The routed statement, its answer, and that of raw rows: (names, types, rows sorted)."""
    routed, raw = (translate(sql, catalog, limit=100_000) for catalog in (ROUTED, RAW))
    assert raw.relations in ((), ("T",))
    return routed, _answer(connection, routed), _answer(connection, raw)


def _answer(connection: Any, statement: Statement) -> Any:
    cursor = connection.execute(statement.sql)
    names = [(one[0], str(one[1])) for one in cursor.description]
    return names, sorted(cursor.fetchall(), key=lambda row: [(value is None, str(_rounded(value))) for value in row])


def _rounded(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value


def connect() -> Any:
    """A database with nothing in it."""
    return duckdb.connect(config={"threads": "1"})
