"""Stores of the shipped facts with two rollups, and what is in them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from tests.unit.cube.facts import fact

from gradcube.cube.columns import decode_facts
from gradcube.cube.model import CubeModel, Retention, Rollup, load_cube
from gradcube.cube.store import Store, StoreSettings
from gradcube.events.facts import encode_fact

TOPIC = "gradcube.facts"
ROLLUPS = (
    Rollup("BY_MINUTE", ("METRIC", "SUBJECT_KIND", "MINUTE_START", "JOB")),
    Rollup("BY_JOB", ("JOB", "METRIC")),
)
FACTS = replace(load_cube(), rollups=ROLLUPS)
LATEST = replace(load_cube(), rollups=(), retention=Retention(latest=True))


def rows_of(numbers: Iterable[int], model: CubeModel = FACTS, **changes: Any) -> pa.Table:
    rows, bad = decode_facts([encode_fact(fact(number, **changes)) for number in numbers], model)
    assert not bad
    return rows


def open_store(directory: Path, model: CubeModel = FACTS, **settings: Any) -> Store:
    return Store(directory, [model], StoreSettings(**settings))


def ask(store: Store, sql: str, relation: str = "FACTS") -> list[tuple[Any, ...]]:
    """Rows of a statement over a view `t` of the relation."""
    with store.snapshot() as snapshot, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TEMP VIEW t AS {snapshot.select(relation)}")
        return list(connection.execute(sql).fetchall())


def values(store: Store) -> list[float]:
    return [value for (value,) in ask(store, "SELECT METRIC_VALUE FROM t ORDER BY TS, METRIC_VALUE")]


def files_of(directory: Path) -> Sequence[Path]:
    return sorted(path for path in (directory / "segments").rglob("*") if path.is_file())
