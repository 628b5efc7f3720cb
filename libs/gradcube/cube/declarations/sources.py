"""Source, filter and retention of a cube file: blocks in, checked against the event schemas that they name."""

from typing import Any

from gradcube.cube.declarations.block import Block
from gradcube.cube.declarations.columns import Taken
from gradcube.cube.model import RECORD_TIME, Column, Filter, Retention, Source, Unpivot
from gradcube.errors import SchemaError
from gradcube.events.registry import registry


def read_source(block: Block, taken: dict[str, Taken], columns: Block) -> Source:
    """The source block (topic, format, schema, unpivot) together with what the columns say of their fields."""
    form = block.choice("format", ("json", "avro"), "json")
    schema = block.text("schema") if form == "avro" else None
    if form == "json" and "schema" in block:
        raise block.refuse("schema", "JSON has no schema; leave it out, or say format: avro")
    known = _fields_of(block, schema) if schema is not None else None
    unpivot = _unpivot(block.block("unpivot", "unpivot"), known) if "unpivot" in block else None
    for name, one in taken.items():
        _check_paths(columns, name, one, known, unpivot)
    return Source(
        form,
        schema,
        tuple((name, one.path) for name, one in taken.items() if one.path is not None),
        tuple(rule for one in taken.values() for rule in one.when),
        tuple(word for one in taken.values() for word in one.words),
        unpivot,
    )


def _fields_of(block: Block, schema: str) -> dict[str, Any]:
    try:
        return {field["name"]: field["type"] for field in registry().latest(schema).parsed["fields"]}
    except SchemaError as error:
        raise block.refuse("schema", str(error)) from error


def _unpivot(block: Block, known: dict[str, Any] | None) -> Unpivot:
    block.only("name", "value", "fields")
    fields = block.texts("fields")
    if not fields:
        raise block.refuse("fields", "fields are missing; name the measurements of a record")
    for field in fields:
        if known is not None and field not in known:
            raise block.refuse("fields", f"the schema has no field {field!r}; it has {', '.join(known)}")
    return Unpivot(block.text("name"), block.text("value"), fields)


def _check_paths(
    columns: Block, name: str, taken: Taken, known: dict[str, Any] | None, unpivot: Unpivot | None
) -> None:
    if known is None:
        return
    made = (unpivot.name, unpivot.value) if unpivot else ()
    body = columns.block(name, f"column {name}")
    if taken.path is None:
        if name not in made and body.text("kind") != "derived":
            raise body.refuse("from", f"from is missing; name the field of the record: {', '.join(known)}")
        return
    for part in [*taken.path.split("/"), *(field for _, field, _ in taken.when)]:
        if part.split(".")[0] not in known and part not in (RECORD_TIME, *made):
            raise body.refuse("from", f"the schema has no field {part!r}; it has {', '.join(known)}")


def read_filters(block: Block) -> tuple[Filter, ...]:
    """Field -> value or values."""
    return tuple(Filter(field, block.scalars(field)) for field in block.names())


def read_retention(block: Block, columns: tuple[Column, ...]) -> Retention:
    """Days, latest, carry."""
    block.only("days", "latest", "carry")
    days = block.integer("days") if "days" in block else None
    if days is not None and days < 1:
        raise block.refuse("days", f"days is {days}; keep at least one, or leave it out to keep all")
    carry, latest = block.texts("carry"), block.flag("latest")
    dimensions = [column.name for column in columns if column.kind == "dimension"]
    if carry and not latest:
        raise block.refuse("carry", "carry is for cubes with latest: true")
    if unknown := [name for name in carry if name not in dimensions]:
        raise block.refuse("carry", f"{unknown[0]!r} is no dimension; those are {', '.join(dimensions)}")
    return Retention(days, latest, carry)
