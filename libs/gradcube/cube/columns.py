"""Kafka values in, one Arrow table of the good facts and the list of the bad ones out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
import pyarrow as pa

from gradcube.cube.fast_json import parse_all
from gradcube.cube.model import Column, CubeModel
from gradcube.cube.store.batches import ARROW
from gradcube.errors import SchemaError

_PART = 10_000
"""Values that one bad one makes slow."""
_WANTED: dict[str, set[type]] = {"VARCHAR": {str}, "DOUBLE": {float, int}, "BOOLEAN": {bool}}
_LAST_MILLIS = 253_402_300_799_999  # the end of the year 9999
_RANGES = {
    "INTEGER": (-(2**31), 2**31 - 1), "BIGINT": (-(2**63), 2**63 - 1),
    "TIMESTAMP": (0, _LAST_MILLIS), "DATE": (0, _LAST_MILLIS // 86_400_000),
}  # fmt: skip
Row = tuple[Any, ...]
"""The values of `model.wire`, in that order."""


@dataclass(frozen=True)
class BadFact:
    """`index` is its place in the input."""

    index: int
    error: SchemaError


def decode_facts(values: Sequence[bytes | None], model: CubeModel) -> tuple[pa.Table, list[BadFact]]:
    """All values of a batch at once; one that is not a fact costs the others nothing.

    Fields that the cube does not have are ignored, as Kylin does. A part of the batch without anything unusual is
    parsed by Arrow; only a part with a null or something bad in it is looked at value by value.
    """
    tables: list[pa.Table] = []
    bad: list[BadFact] = []
    for first in range(0, len(values), _PART):
        part = values[first : first + _PART]
        table = parse_all(part, model)
        if table is None:
            table, worse = _one_by_one(part, model)
            bad += [BadFact(first + one.index, one.error) for one in worse]
        tables.append(table)
    return pa.concat_tables(tables) if tables else _table([], model), bad


def rows_to_table(
    rows: list[Row], places: Sequence[int], model: CubeModel
) -> tuple[pa.Table, list[int], list[BadFact]]:
    """The rows that fit their columns, the place of each in the input, and the places of those that do not fit."""
    good: list[int] = list(places)
    bad: list[BadFact] = []
    if not all(_fits(column, cells, model) for column, cells in zip(model.wire, zip(*rows, strict=True), strict=False)):
        rows, good, bad = _sort_out(rows, places, model)
    return _table(rows, model), good, bad


def _one_by_one(values: Sequence[bytes | None], model: CubeModel) -> tuple[pa.Table, list[BadFact]]:
    take = itemgetter(*(column.name for column in model.wire))
    rows: list[Row] = []
    places: list[int] = []
    bad: list[BadFact] = []
    for index, value in enumerate(values):
        try:
            rows.append(take(orjson.loads(value or b"")))
            places.append(index)
        except (orjson.JSONDecodeError, KeyError, TypeError, IndexError) as error:
            bad.append(BadFact(index, SchemaError(f"not a fact: {type(error).__name__}: {error}")))
    table, _, worse = rows_to_table(rows, places, model)
    return table, sorted(bad + worse, key=lambda one: one.index)


def _sort_out(rows: list[Row], places: Sequence[int], model: CubeModel) -> tuple[list[Row], list[int], list[BadFact]]:
    good: list[Row] = []
    kept: list[int] = []
    bad: list[BadFact] = []
    for row, place in zip(rows, places, strict=True):
        wrong = [column for column, value in zip(model.wire, row, strict=True) if not _fits(column, (value,), model)]
        if wrong:
            value = row[model.wire.index(wrong[0])]
            message = f"{wrong[0].name} is {value!r:.80}; it must be {wrong[0].type.name.lower()}"
            bad.append(BadFact(place, SchemaError(message)))
        else:
            good.append(row)
            kept.append(place)
    return good, kept, bad


def _fits(column: Column, cells: Sequence[Any], model: CubeModel) -> bool:
    kinds = set(map(type, cells))
    if column.kind == "dimension" and column.name != model.key:
        kinds.discard(type(None))
    name = column.type.name
    if not kinds <= _WANTED.get(name, {int}):
        return False
    present = [value for value in cells if value is not None] if type(None) in map(type, cells) else cells
    if not present or name == "BOOLEAN":
        return True
    if name == "VARCHAR":
        return max(map(len, present)) <= column.type.precision
    if name == "DOUBLE":
        return all(map(math.isfinite, present))
    least, most = _RANGES[name]
    return bool(least <= min(present) and max(present) <= most)


def _table(rows: list[Row], model: CubeModel) -> pa.Table:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(model.wire)
    arrays = {}
    for column, cells in zip(model.wire, columns, strict=True):
        doubles = column.type.name == "DOUBLE"
        values = [None if cell is None else float(cell) for cell in cells] if doubles else cells
        arrays[column.name] = pa.array(values, type=ARROW[column.type.name])
    return pa.table(arrays)
