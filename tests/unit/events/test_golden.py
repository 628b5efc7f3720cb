"""Bytes written by every historic version decode with today's reader, and today's writer still writes them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.events.test_step_sync_decode import assert_row

from gradcube.events import RegisteredSchema, decode, decode_batch, encode, registry

GOLDEN = Path(__file__).parents[2] / "golden" / "events"
SCHEMAS = registry().all()
LATEST = [schema for schema in SCHEMAS if schema is registry().latest(schema.name)]


def golden(schema: RegisteredSchema) -> tuple[bytes, dict[str, Any]]:
    """(the framed bytes, the record), whose `bytes` fields are Latin-1 strings as in Avro's own JSON."""
    stem = f"{schema.name}.v{schema.version}"
    value = bytes.fromhex((GOLDEN / f"{stem}.hex").read_text())
    return value, json.loads((GOLDEN / f"{stem}.json").read_text())


def as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list) else value


def from_json(value: Any, schema: Any) -> Any:
    """The record as the codec takes it: `bytes` fields are bytes again."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        return {name: from_json(item, fields[name]) for name, item in value.items()}
    if kind == "array":
        return [from_json(item, schema["items"]) for item in value]
    return value.encode("latin-1") if kind == "bytes" else value


def label(schema: RegisteredSchema) -> str:
    return f"{schema.name}.v{schema.version}"


@pytest.mark.parametrize("schema", SCHEMAS, ids=label)
def test_bytes_of_every_version_decode_with_todays_reader(schema: RegisteredSchema) -> None:
    value, record = golden(schema)
    assert int.from_bytes(value[1:5]) == schema.id
    fields = registry().latest(schema.name).parsed["fields"]
    expected = {field["name"]: record.get(field["name"], field.get("default")) for field in fields}
    name, decoded = decode(value)
    assert (name, as_json(decoded)) == (schema.name, expected)


@pytest.mark.parametrize("schema", LATEST, ids=label)
def test_todays_writer_writes_the_golden_bytes(schema: RegisteredSchema) -> None:
    value, record = golden(schema)
    assert encode(schema.name, from_json(record, schema.parsed)) == value


def test_batch_decoder_reads_every_version_of_step_sync() -> None:
    schemas = [schema for schema in SCHEMAS if schema.name == "StepSync"]
    batch, bad = decode_batch([golden(schema)[0] for schema in schemas])
    assert (len(batch), bad) == (len(schemas), [])
    for row, schema in enumerate(schemas):
        assert_row(batch, row, decode(golden(schema)[0])[1])


def test_every_golden_file_belongs_to_a_version() -> None:
    expected = {f"{label(schema)}.{kind}" for schema in SCHEMAS for kind in ("hex", "json")}
    assert {path.name for path in GOLDEN.iterdir()} == expected
