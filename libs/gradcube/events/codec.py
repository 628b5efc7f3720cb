"""Any event as framed Avro and back, through fastavro, one record at a time.

StepSync has its own hot path in step_sync_encode and step_sync_decode; it gives the same bytes.
"""

import io
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import fastavro

from gradcube.errors import SchemaError
from gradcube.events.bounds import checker
from gradcube.events.framing import frame, unframe
from gradcube.events.registry import RegisteredSchema, registry

# What fastavro's writer raises for a value that does not fit its schema.
WRITE_ERRORS = (TypeError, ValueError, KeyError, AttributeError, OverflowError, IndexError)
# What its reader can still raise for a body whose bounds were checked: strings that are not UTF-8.
READ_ERRORS = (ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError)


def encode(name: str, record: Mapping[str, Any]) -> bytes:
    """The framed record in the latest schema of `name`; times are integers (microseconds).

    Raises SchemaError that names the field when one is missing, unknown or does not fit. What it returns,
    `decode` reads.
    """
    schema = registry().latest(name)
    unknown = record.keys() - _field_names(schema.id)
    if unknown:
        raise SchemaError(f"{name} has no field {min(unknown)!r}; leave it out, or add it in a new version")
    try:
        body = _write(schema.parsed, record)
        _checker(schema.id)(memoryview(body))
    except SchemaError as error:
        raise SchemaError(f"{name}.{error}") from error
    except WRITE_ERRORS as error:
        raise SchemaError(f"{name}{_blame(schema, record)}: {error}") from error
    return frame(schema.id, body)


def decode(value: bytes) -> tuple[str, dict[str, Any]]:
    """(schema name, record) as the latest version of the writer's schema sees it.

    Whatever the bytes are, the only error is SchemaError, and no more than a small multiple of `value` is
    allocated.
    """
    schema_id, body = unframe(value)
    writer = registry().by_id(schema_id)
    try:
        _checker(schema_id)(body)
        reader = registry().latest(writer.name)
        resolved = None if reader.id == writer.id else reader.parsed
        record: Any = fastavro.schemaless_reader(io.BytesIO(body), writer.parsed, resolved)
    except SchemaError as error:
        raise SchemaError(f"{writer.name}.{error}") from error
    except READ_ERRORS as error:
        raise SchemaError(f"{writer.name} version {writer.version} cannot be read: {error}") from error
    return writer.name, record


@cache
def _checker(schema_id: int) -> Callable[[memoryview], None]:
    return checker(registry().by_id(schema_id).parsed)


@cache
def _field_names(schema_id: int) -> frozenset[str]:
    return frozenset(field["name"] for field in registry().by_id(schema_id).parsed["fields"])


def _write(parsed: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, value)
    return out.getvalue()


def _blame(schema: RegisteredSchema, record: Mapping[str, Any]) -> str:
    """'.field' of the first field that cannot be written alone, or ''."""
    for field in schema.parsed["fields"]:
        name = field["name"]
        if name not in record and "default" not in field:
            return f".{name} is missing"
        try:
            _write(field["type"], record.get(name, field.get("default")))
        except WRITE_ERRORS:
            return f".{name}"
    return ""
