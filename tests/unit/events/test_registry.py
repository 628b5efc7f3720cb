"""Schemas are what the index says, or start-up says which file is not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gradcube.errors import SchemaError, UnknownSchemaId
from gradcube.events import load_registry, registry, schemas_dir
from gradcube.events.registry import INDEX


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(schemas_dir() / "events", tmp_path / "events"))


def test_every_schema_of_the_index_is_found_by_id_and_name() -> None:
    entries = yaml.safe_load((schemas_dir() / "events" / INDEX).read_text())
    assert [schema.id for schema in registry().all()] == sorted(entry["id"] for entry in entries)
    for entry in entries:
        schema = registry().by_id(entry["id"])
        assert (schema.name, schema.version, schema.subject) == (entry["name"], entry["version"], entry["subject"])
    assert registry().latest("StepSync").id == 1


def test_every_schema_file_is_in_the_index() -> None:
    entries = yaml.safe_load((schemas_dir() / "events" / INDEX).read_text())
    assert {entry["file"] for entry in entries} == {path.name for path in (schemas_dir() / "events").glob("*.avsc")}


def test_unknown_id_and_name_are_named() -> None:
    with pytest.raises(UnknownSchemaId, match="schema id 4711"):
        registry().by_id(4711)
    with pytest.raises(SchemaError, match=r"'Stepsync'.*StepSync"):
        registry().latest("Stepsync")


def test_changed_schema_is_refused_with_file_and_both_fingerprints(copy: Path) -> None:
    path = copy / "Command.avsc"
    path.write_text(path.read_text().replace('"by"', '"who"'))
    with pytest.raises(SchemaError, match=r"Command\.avsc has fingerprint [0-9a-f]{16}, .* b5ca93279b82df13"):
        load_registry(copy)


def test_changed_documentation_is_no_change(copy: Path) -> None:
    path = copy / "Command.avsc"
    path.write_text(path.read_text().replace("Who asked.", "The person who asked."))
    assert load_registry(copy).latest("Command").id == 7


@pytest.mark.parametrize(
    ("mend", "message"),
    [
        (lambda entries: entries[1].update(id=1), "repeats the id or version"),
        (lambda entries: entries.append(entries[0] | {"id": 99}), "repeats the id or version"),
        (lambda entries: entries[0].update(file="Nowhere.avsc"), "Nowhere.avsc is not a readable"),
        (lambda entries: entries[0].update(id="1"), "id of 'StepSync' must be int"),
        (lambda entries: entries[0].pop("subject"), "must have id, name"),
    ],
)
def test_wrong_index_is_refused(copy: Path, mend: Callable[[list[dict[str, object]]], object], message: str) -> None:
    entries = yaml.safe_load((copy / INDEX).read_text())
    mend(entries)
    (copy / INDEX).write_text(yaml.safe_dump(entries))
    with pytest.raises(SchemaError, match=message):
        load_registry(copy)


@pytest.mark.parametrize("text", ["", "5", "{a: 1}", "- 5", "[", "\x00"])
def test_index_that_is_no_list_of_schemas_is_refused(copy: Path, text: str) -> None:
    (copy / INDEX).write_text(text)
    with pytest.raises(SchemaError, match=r"index\.yaml"):
        load_registry(copy)


@pytest.mark.parametrize("text", ["", "{}", '{"type": "record", "name": "X"}', '{"type": "wat", "name": "X"}', "[1]"])
def test_file_that_is_no_schema_is_refused(copy: Path, text: str) -> None:
    (copy / "StepSync.avsc").write_text(text)
    with pytest.raises(SchemaError, match=r"StepSync\.avsc"):
        load_registry(copy)


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot be read"):
        load_registry(tmp_path / "nowhere")


def test_later_version_becomes_the_latest_and_the_earlier_stays(copy: Path) -> None:
    entries = yaml.safe_load((copy / INDEX).read_text())
    shutil.copy(copy / "Command.avsc", copy / "Command.2.avsc")
    second = next(entry for entry in entries if entry["name"] == "Command")
    entries.insert(0, second | {"id": 90, "version": 2, "file": "Command.2.avsc"})
    (copy / INDEX).write_text(yaml.safe_dump(entries))
    loaded = load_registry(copy)
    assert (loaded.latest("Command").id, loaded.by_id(7).version) == (90, 1)
