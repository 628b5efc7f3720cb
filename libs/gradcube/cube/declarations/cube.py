"""One cube file: YAML in, a checked `CubeModel` out. docs/cubes.md shows every key."""

from pathlib import Path

from gradcube.cube.declarations.block import Block, read_block
from gradcube.cube.declarations.columns import check_name, read_columns
from gradcube.cube.declarations.groups import read_groups
from gradcube.cube.declarations.rules import read_rules
from gradcube.cube.declarations.sources import read_filters, read_retention, read_source
from gradcube.cube.model import Column, CubeModel, Retention

_KEYS = ("name", "doc", "source", "time", "key", "partition", "columns", "groups", "filter", "retention", "rules")


def read_cube(path: Path) -> CubeModel:
    """Raises ConfigError naming file and line."""
    block = read_block(path, "cube").only(*_KEYS)
    name = check_name(block, "name", block.text("name"))
    source = block.block("source", "source").only("topic", "format", "schema", "unpivot")
    listed = block.block("columns", "columns")
    columns, taken = read_columns(listed)
    time, key = block.text("time"), block.text("key")
    _check_time(block, time, columns)
    _check_key(block, key, columns)
    model = CubeModel(
        name=name, topic=source.text("topic"), time=time, key=key, columns=columns, doc=block.text("doc", ""),
        rollups=read_groups(block.block("groups", "groups"), columns, key) if "groups" in block else (),
        retention=_retention(block, columns),
        source=read_source(source, taken, listed),
        rules=read_rules(block.blocks("rules", "rule"), columns, time, key),
        filters=read_filters(block.block("filter", "filter")) if "filter" in block else (),
        partition=block.text("partition") if "partition" in block else None,
    )  # fmt: skip
    _check_latest(block, model)
    _check_partition(block, model)
    _check_unpivot(source, model)
    return model


def _retention(block: Block, columns: tuple[Column, ...]) -> Retention:
    if "retention" not in block:
        return Retention()
    return read_retention(block.block("retention", "retention"), columns)


def _check_latest(block: Block, model: CubeModel) -> None:
    if model.retention.latest and model.rollups:
        raise block.refuse(
            "groups", "a group sums up rows that latest: true takes back later; leave out one of the two"
        )


def _check_time(block: Block, time: str, columns: tuple[Column, ...]) -> None:
    times = [column.name for column in columns if column.kind == "time"]
    if times != [time]:
        raise block.refuse("time", f"{time} must be the one column of kind time; the file has {times or 'none'}")


def _check_key(block: Block, key: str, columns: tuple[Column, ...]) -> None:
    fits = [column.name for column in columns if column.kind == "dimension" and column.type.name == "VARCHAR"]
    if key not in fits:
        raise block.refuse("key", f"key is {key}; it must be a varchar dimension: {', '.join(fits) or 'there is none'}")


def _check_partition(block: Block, model: CubeModel) -> None:
    derived = [column.name for column in model.of_kind("derived")]
    if model.partition is not None and model.partition not in derived:
        raise block.refuse(
            "partition", f"partition is {model.partition}; it must be a derived time: {', '.join(derived) or 'none'}"
        )


def _check_unpivot(source: Block, model: CubeModel) -> None:
    if (unpivot := model.source.unpivot) is None:
        return
    name, value = model.column(unpivot.name), model.column(unpivot.value)
    if name is None or name.kind != "dimension" or value is None or value.kind != "measure":
        raise source.refuse("unpivot", "name must be a dimension and value a measure of the cube")
