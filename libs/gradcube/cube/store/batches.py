"""Decoded rows in, the tables of one write out: by day, with derived times, and summed up for each rollup. Pure."""

import datetime
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from gradcube.cube.model import DERIVED_UNITS, ROWS_COUNT, CubeModel
from gradcube.cube.store.relations import ARRIVAL, Layout, Relation

DAY_MILLIS = 86_400_000
_UNIT_MILLIS = {"minute": 60_000, "hour": 3_600_000, "day": DAY_MILLIS}
ARROW = {
    "VARCHAR": pa.string(), "INTEGER": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(),
    "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("ms"), "BOOLEAN": pa.bool_(),
}  # fmt: skip
_FUNCTIONS = {"SUM": "sum", "MIN": "min", "MAX": "max"}


def millis(rows: pa.Table, time: str) -> np.ndarray:
    """The event times, (rows,) int64, milliseconds since the epoch, UTC."""
    return rows[time].cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def day_name(day: int) -> str:
    """2026-11-24 for the number of days since the epoch."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


def by_day(rows: pa.Table, time: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each day, in the order in which they came."""
    days = millis(rows, time) // DAY_MILLIS
    found = np.unique(days)
    for day in found.tolist():
        yield day_name(day), rows if len(found) == 1 else rows.filter(pa.array(days == day))


def stored(rows: pa.Table, model: CubeModel, layout: Layout) -> pa.Table:
    """All columns of the cube in the order of `select *`; the derived ones follow from the time."""
    moments = millis(rows, model.time)
    columns = {}
    for name, kind in layout.raw.columns:
        if name in DERIVED_UNITS:
            columns[name] = _floor(moments, _UNIT_MILLIS[DERIVED_UNITS[name]], kind)
        else:
            columns[name] = rows[name]
    if layout.latest:
        columns[ARRIVAL] = rows[ARRIVAL]
    return pa.table(columns)


def with_arrival(rows: pa.Table, first: int) -> pa.Table:
    """Numbered in the order in which they came: of two rows of a key with equal times the later one counts."""
    return rows.append_column(ARRIVAL, pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64)))


def summed(rows: pa.Table, model: CubeModel, relation: Relation) -> pa.Table:
    """One row for each group of stored `rows`: its number, and of each measure sum, least and most without nulls.

    20 000 rows take about 6 ms of one core. A BIGINT sum wraps beyond 2**63, as Kylin's does.
    """
    measures = [column.name for column in model.of_kind("measure")]
    asked: list[tuple[object, str]] = [([], "count_all")]
    asked += [(name, function) for name in measures for function in _FUNCTIONS.values()]
    groups = rows.group_by(list(relation.groups), use_threads=False).aggregate(asked)
    columns = {name: groups[name] for name in relation.groups}
    columns[ROWS_COUNT] = groups["count_all"]
    for name in measures:
        columns |= {f"{name}__{what}": groups[f"{name}_{function}"] for what, function in _FUNCTIONS.items()}
    return pa.table(
        [columns[name].cast(ARROW[kind]) for name, kind in relation.columns], [n for n, _ in relation.columns]
    )


def _floor(moments: np.ndarray, unit_millis: int, kind: str) -> pa.Array:
    if kind == "DATE":
        return pa.array((moments // DAY_MILLIS).astype(np.int32)).cast(pa.date32())
    return pa.array(moments // unit_millis * unit_millis).cast(pa.timestamp("ms"))
