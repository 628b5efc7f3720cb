"""The registry is the repository: schemas/events/index.yaml gives each schema its id and fingerprint.

Reads those files, checks each against its CRC-64-AVRO fingerprint, and gives the schemas parsed for fastavro.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from fastavro.schema import (
    SchemaParseException,
    UnknownType,
    fingerprint,
    parse_schema,
    to_parsing_canonical_form,
)

from gradcube.errors import SchemaError, UnknownSchemaId

INDEX = "index.yaml"
FINGERPRINT = "CRC-64-AVRO"
INDEX_FIELDS = {"id": int, "name": str, "version": int, "subject": str, "file": str, "fingerprint": str}


def schemas_dir() -> Path:
    """Of this installation: `gradcube/_schemas` in a wheel, the repository's `schemas` in a checkout."""
    packaged = Path(__file__).parents[1] / "_schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "schemas"


@dataclass(frozen=True)
class RegisteredSchema:
    """One version of one schema. `parsed` is for fastavro, without logical types: times stay integers."""

    id: int
    name: str
    version: int
    subject: str
    fingerprint: str
    parsed: Any


class Registry:
    """All versions of all schemas, by id and by name."""

    def __init__(self, schemas: Iterable[RegisteredSchema]) -> None:
        self._by_id: dict[int, RegisteredSchema] = {}
        self._latest: dict[str, RegisteredSchema] = {}
        for schema in sorted(schemas, key=lambda schema: (schema.name, schema.version)):
            self._add(schema)

    def _add(self, schema: RegisteredSchema) -> None:
        known = self._by_id.get(schema.id) or self._latest.get(schema.name)
        if known is not None and (known.id == schema.id or known.version == schema.version):
            raise SchemaError(
                f"{schema.name} version {schema.version} (id {schema.id}) repeats the id or version of "
                f"{known.name} version {known.version} (id {known.id}); give it the next free id and version"
            )
        self._by_id[schema.id] = schema
        self._latest[schema.name] = schema

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """The schema that a record's header names. Raises UnknownSchemaId."""
        try:
            return self._by_id[schema_id]
        except KeyError:
            known = ", ".join(str(known) for known in sorted(self._by_id))
            raise UnknownSchemaId(
                f"schema id {schema_id} is not in the registry, which has {known}; update the reader"
            ) from None

    def latest(self, name: str) -> RegisteredSchema:
        """The newest version of a name. Raises SchemaError."""
        try:
            return self._latest[name]
        except KeyError:
            raise SchemaError(
                f"no schema is called {name!r}; the registry has {', '.join(sorted(self._latest))}"
            ) from None

    def all(self) -> list[RegisteredSchema]:
        """Every version of every schema, by id."""
        return [self._by_id[schema_id] for schema_id in sorted(self._by_id)]


def load_registry(directory: Path | None = None) -> Registry:
    """Reads `directory` (default: `schemas_dir()/events`).

    Raises SchemaError that names the file and both values when a fingerprint differs, and for any file that
    is missing or is no schema.
    """
    folder = schemas_dir() / "events" if directory is None else directory
    return Registry(_load(folder, entry) for entry in _read_index(folder / INDEX))


@cache
def registry() -> Registry:
    """This installation's registry, read and checked once."""
    return load_registry()


def without_logical_types(schema: Any) -> Any:
    """The same schema without its logical types, so that readers give plain integers."""
    if isinstance(schema, Mapping):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    return schema


def _read_index(path: Path) -> list[dict[str, Any]]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SchemaError(f"{path} cannot be read: {error}; reinstall gradcube or mend the file") from error
    if not isinstance(entries, list):
        raise SchemaError(f"{path} must be a list of schemas, it is {type(entries).__name__}")
    for entry in entries:
        _check_entry(path, entry)
    return entries


def _check_entry(path: Path, entry: Any) -> None:
    if not isinstance(entry, dict) or entry.keys() != INDEX_FIELDS.keys():
        raise SchemaError(f"{path}: an entry must have {', '.join(INDEX_FIELDS)}; this one is {entry!r}")
    for field, kind in INDEX_FIELDS.items():
        if not isinstance(entry[field], kind):
            raise SchemaError(f"{path}: {field} of {entry['name']!r} must be {kind.__name__}, it is {entry[field]!r}")


def _load(folder: Path, entry: dict[str, Any]) -> RegisteredSchema:
    path = folder / entry["file"]
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
        found = fingerprint(to_parsing_canonical_form(source), FINGERPRINT)
        parsed = parse_schema(without_logical_types(source), named_schemas={})
    except (OSError, ValueError, KeyError, TypeError, SchemaParseException, UnknownType) as error:
        raise SchemaError(f"{path} is not a readable Avro schema: {error!r}") from error
    if found != entry["fingerprint"]:
        raise SchemaError(
            f"{path} has fingerprint {found}, {INDEX} says {entry['fingerprint']}; a published schema "
            "never changes: restore the file, and put the change into a new version"
        )
    values = {key: value for key, value in entry.items() if key != "file"}
    return RegisteredSchema(**values, parsed=parsed)
