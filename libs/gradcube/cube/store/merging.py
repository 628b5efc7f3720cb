"""Which segments to merge, and the statement that merges them. Pure functions."""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from gradcube.cube.model import ROWS_COUNT
from gradcube.cube.store.manifest import Segment
from gradcube.cube.store.relations import ARRIVAL, Layout, Relation
from gradcube.cube.store.snapshot import read, rows

DAY = "DAY_START"
_LEAST, _MOST = -(2**63), 2**63 - 1


def days(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    """By day, in order."""
    ordered = sorted(segments, key=lambda one: (one.day, one.path))
    return {day: list(those) for day, those in groupby(ordered, key=lambda one: one.day)}


def due(segments: Collection[Segment], *, settled: bool, fan_in: int, max_rows: int) -> list[Segment]:
    """Of one relation and day, those to merge now, or none.

    `fan_in` of one level, the lowest first, so that a row is written again log(rows) times at most; all together when
    the day is settled. Segments that are full already are left alone.
    """
    small = [one for one in segments if one.num_rows * 2 <= max_rows]
    if settled and len(small) > 1:
        return _within(small, max_rows)
    for level in sorted({one.level for one in small}):
        same = [one for one in small if one.level == level]
        if len(same) >= fan_in:
            return _within(same, max_rows)
    return []


def months(
    alone: Iterable[Segment], relation: Relation, *, settled: bool, fan_in: int, max_rows: int
) -> list[list[Segment]]:  # fmt: skip
    """Of a rollup's days that are one segment each, those to make one segment a month of: a file costs 0.3 ms to open.

    Raw rows stay by day, and so does a rollup without days, of which the old ones could not be dropped.
    """
    if DAY not in relation.groups:
        return []
    ordered = sorted((one for one in alone if one.num_rows * 2 <= max_rows), key=lambda one: one.day)
    found = [list(those) for _, those in groupby(ordered, key=lambda one: one.day[:7])]
    least = 2 if settled else fan_in
    return [_within(those, max_rows) for those in found if len(those) >= least and len(_within(those, max_rows)) > 1]


def statement(layout: Layout, relation: Relation, paths: Sequence[Path], draft: Path, since_millis: int | None) -> str:
    """COPY of the sorted rows into `draft`; rollups are summed up again, superseded rows of a `latest` cube left out.

    Row groups are DuckDB's unit of pruning and of parallel reading; those of rollups are small, for questions about one
    metric of many.
    """
    order = ", ".join(f'"{name}"' for name in relation.order)
    target = str(draft).replace("'", "''")
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {8192 if relation.groups else 122_880}"
    return f"COPY ({_rows(layout, relation, paths, since_millis)} ORDER BY {order}) TO '{target}' ({options})"


def _rows(layout: Layout, relation: Relation, paths: Sequence[Path], since_millis: int | None) -> str:
    if relation.groups:
        groups = ", ".join(f'"{name}"' for name in relation.groups)
        measures = ", ".join(_merged(name, kind) for name, kind in relation.columns[len(relation.groups) :])
        where = "" if since_millis is None else f' WHERE "{DAY}" >= CAST(epoch_ms({since_millis}) AS DATE)'
        return f"SELECT {groups}, {measures} FROM {read(paths)}{where} GROUP BY {groups}"  # noqa: S608 - the cube's names
    where = "" if since_millis is None else f' WHERE "{layout.time}" >= epoch_ms({since_millis})'
    return rows(layout, relation, paths, where=where, extra=f', "{ARRIVAL}"' if layout.latest else "")


def _merged(name: str, kind: str) -> str:
    function = name.rpartition("__")[2].lower() if name != ROWS_COUNT else "sum"
    value = f'{function}("{name}")'
    if function == "sum" and kind == "BIGINT":
        value = f"CAST(greatest({_LEAST}, least({_MOST}, {value})) AS BIGINT)"
    return f'{value} AS "{name}"'


def _within(segments: Sequence[Segment], max_rows: int) -> list[Segment]:
    taken: list[Segment] = []
    total = 0
    for one in sorted(segments, key=lambda one: (one.num_rows, one.path)):
        if total + one.num_rows <= max_rows:
            taken.append(one)
            total += one.num_rows
    return taken if len(taken) > 1 else []
