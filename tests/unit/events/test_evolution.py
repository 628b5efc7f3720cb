"""Every pair of versions of a schema understands one another; the check itself refuses what it should."""

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

from gradcube.events import schemas_dir
from gradcube.events.evolution import evolution_problems, widens, without_widening
from gradcube.events.registry import INDEX

EVENTS = schemas_dir() / "events"
BASE: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "namespace": "gradcube.events",
    "fields": [
        {"name": "job", "type": "string"},
        {"name": "count", "type": "int"},
        {"name": "ratio", "type": "float"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "rank", "type": {"type": "array", "items": "int"}},
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"], "default": "A"}},
    ],
}
FIELD = {name: position for position, name in enumerate(field["name"] for field in BASE["fields"])}


def compatible(reader: Any, writer: Any) -> bool:
    checker = ReaderWriterCompatibilityChecker()
    answer = checker.get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    return bool(answer.compatibility is SchemaCompatibilityType.compatible)


def fully_compatible(older: Any, newer: Any) -> bool:
    """New readers read old records, and old readers new ones but for widened numbers."""
    return compatible(newer, older) and compatible(older, without_widening(older, newer))


def versions() -> dict[str, list[tuple[int, Any]]]:
    found: dict[str, list[tuple[int, Any]]] = {}
    for entry in yaml.safe_load((EVENTS / INDEX).read_text()):
        schema = json.loads((EVENTS / entry["file"]).read_text())
        found.setdefault(entry["name"], []).append((entry["version"], schema))
    return {name: sorted(schemas, key=lambda pair: pair[0]) for name, schemas in found.items()}


@pytest.mark.parametrize("name", versions())
def test_every_pair_of_versions_is_compatible_both_ways(name: str) -> None:
    schemas = versions()[name]
    assert [version for version, _ in schemas] == list(range(1, len(schemas) + 1))
    pairs = itertools.combinations_with_replacement((schema for _, schema in schemas), 2)
    for older, newer in pairs:
        assert evolution_problems(older, newer) == []
        assert fully_compatible(older, newer)


def changed(change: Callable[[list[dict[str, Any]]], object]) -> Any:
    schema = copy.deepcopy(BASE)
    change(schema["fields"])
    return schema


def retyped(name: str, kind: Any) -> Any:
    return changed(lambda fields: fields[FIELD[name]].update(type=kind))


ALLOWED = {
    "nothing": BASE,
    "added with a default": changed(lambda fields: fields.append({"name": "x", "type": "int", "default": 0})),
    "removed with a default": changed(lambda fields: fields.pop(FIELD["note"])),
    "int to long": retyped("count", "long"),
    "int to double": retyped("count", "double"),
    "float to double": retyped("ratio", "double"),
    "items to long": retyped("rank", {"type": "array", "items": "long"}),
    "map values to long": retyped("tags", {"type": "map", "values": "long"}),
    "enum symbol added": retyped("kind", BASE["fields"][FIELD["kind"]]["type"] | {"symbols": ["A", "B", "C"]}),
    "documentation": BASE | {"doc": "New words."},
}
REFUSED = {
    "added without a default": (
        changed(lambda fields: fields.append({"name": "x", "type": "int"})),
        ".x: added without a default",
    ),
    "removed without a default": (changed(lambda fields: fields.pop(FIELD["job"])), ".job: removed without a default"),
    "renamed": (changed(lambda fields: fields[0].update(name="run")), ".run: added without a default"),
    "renamed by alias": (
        changed(lambda fields: fields[FIELD["note"]].update(name="remark", aliases=["note"])),
        ".remark: renamed by an alias",
    ),
    "narrowed": (retyped("ratio", "int"), ".ratio: float became int"),
    "long to string": (retyped("count", "string"), ".count: int became string"),
    "string to bytes": (retyped("job", "bytes"), ".job: string became bytes"),
    "made nullable": (retyped("job", ["null", "string"]), ".job: string became union"),
    "branch added": (retyped("note", ["null", "string", "int"]), ".note: a union of 2 became one of 3"),
    "branch changed": (retyped("note", ["null", "bytes"]), ".note: string became bytes"),
    "items changed": (retyped("rank", {"type": "array", "items": "string"}), ".rank[]: int became string"),
    "default lost": (changed(lambda fields: fields[FIELD["note"]].pop("default")), ".note: lost its default"),
    "enum symbol removed": (
        retyped("kind", {"type": "enum", "name": "Kind", "symbols": ["A"], "default": "A"}),
        "may only be appended to",
    ),
    "enum reordered": (
        retyped("kind", {"type": "enum", "name": "Kind", "symbols": ["B", "A"], "default": "A"}),
        "may only be appended to",
    ),
    "enum symbol without a default": (
        retyped("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}),
        "need an enum with a default",
    ),
    "record renamed": (BASE | {"name": "Other"}, "was renamed"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed_change_passes_both_checks(name: str) -> None:
    assert evolution_problems(BASE, ALLOWED[name]) == []
    assert fully_compatible(BASE, ALLOWED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refused_change_is_named(name: str) -> None:
    schema, message = REFUSED[name]
    problems = evolution_problems(BASE, schema)
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(
    "name", ["added without a default", "removed without a default", "narrowed", "long to string", "branch added"]
)
def test_avros_own_check_refuses_it_too(name: str) -> None:
    assert not fully_compatible(BASE, REFUSED[name][0])


def test_changed_size_of_a_fixed_is_refused() -> None:
    older, newer = ({"type": "fixed", "name": "Hash", "size": size} for size in (8, 16))
    assert evolution_problems(older, newer) == [": fixed size 8 became 16"]


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        ("int", "long", True),
        ("int", "double", True),
        ("long", "float", True),
        ("long", "int", False),
        ("int", "int", False),
        ("int", "string", False),
        (["null"], "int", False),
    ],
)
def test_only_a_larger_number_type_widens(older: Any, newer: Any, expected: bool) -> None:
    assert widens(older, newer) is expected


def test_widening_is_undone_wherever_it_is() -> None:
    schema = ALLOWED["items to long"]
    assert without_widening(BASE, schema) == BASE
    assert without_widening(["null", "int"], ["null", "long"]) == ["null", "int"]
    added = ALLOWED["added with a default"]
    assert without_widening(BASE, added) == added
