"""A record of a cube's topic as its rows, as the declaration says. Pure; for cubes whose source is not flat facts."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from gradcube.cube.model import RECORD_TIME, CubeModel, Source

Row = dict[str, Any]


def rows_of(model: CubeModel, record: Mapping[str, Any], timestamp_millis: int) -> list[Row]:
    """The rows of one decoded record: none that the filter leaves out, one, or one a measurement.

    A row has every column of `model.wire`, with times in milliseconds. Raises KeyError for a field that is not there.
    """
    if any(_reach(record, one.field, timestamp_millis) not in one.values for one in model.filters):
        return []
    unpivot = model.source.unpivot
    if unpivot is None:
        return [_row(model, record, timestamp_millis)]
    found = [(field, record[field]) for field in unpivot.fields if record[field] is not None]
    return [
        _row(model, {**record, unpivot.name: field, unpivot.value: value}, timestamp_millis) for field, value in found
    ]


def _row(model: CubeModel, record: Mapping[str, Any], timestamp_millis: int) -> Row:
    paths, when, words = _maps(model.source)
    row: Row = {}
    for column in model.wire:
        name = column.name
        path = paths.get(name, name)
        value = _reach(record, path, timestamp_millis)
        if any(str(_reach(record, field, timestamp_millis)) != wanted for field, wanted in when.get(name, ())):
            value = None
        if column.type.name == "TIMESTAMP" and path != RECORD_TIME and model.source.format == "avro":
            value = None if value is None else value // 1000  # Avro's times are microseconds
        row[name] = words.get((name, value), value) if isinstance(value, str) else value
    return row


def _reach(record: Mapping[str, Any], path: str, timestamp_millis: int) -> Any:
    if path == RECORD_TIME:
        return timestamp_millis
    if "/" in path:
        return "/".join(str(_reach(record, part, timestamp_millis)) for part in path.split("/"))
    value: Any = record
    for part in path.split("."):
        value = value[part]
    return value


@cache
def _maps(
    source: Source,
) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]], dict[tuple[str, str], str]]:
    when: dict[str, list[tuple[str, str]]] = {}
    for column, field, value in source.when:
        when.setdefault(column, []).append((field, value))
    return dict(source.fields), when, {(column, old): new for column, old, new in source.words}
