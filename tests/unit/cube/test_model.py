from pathlib import Path

import pytest

from gradcube.bus.topics import load_topics
from gradcube.cube.declarations.groups import MAX_COMBINATIONS, combinations
from gradcube.cube.model import Catalog, CubeModel, Filter, Retention, Rollup, Rule, load_catalog, load_cube
from gradcube.errors import ConfigError
from gradcube.events.facts import FACT_COLUMNS

GOOD = """\
name: T
source: {topic: t}
time: TS
key: ID
partition: DAY_START
columns:
  TS: {kind: time, type: timestamp}
  DAY_START: {kind: derived, type: date}
  ID: {kind: dimension, type: varchar(8)}
  A: {kind: dimension, type: integer}
  B: {kind: dimension, type: varchar(8)}
  X: {kind: measure, type: double}
groups:
  G: {dimensions: [DAY_START, A, B], mandatory: [DAY_START], joint: [[A, B]]}
filter: {kind: [one, two], on: true}
retention: {days: 3}
rules:
  - {rule: range, column: X, least: 0, most: 1, action: mark}
  - {rule: fresh, column: TS, most: 60}
"""


def test_shipped_facts_have_the_columns_of_a_fact(model: CubeModel) -> None:
    assert {column.name for column in model.wire} == set(FACT_COLUMNS)
    assert [column.name for column in model.of_kind("derived")] == ["MINUTE_START", "HOUR_START", "DAY_START"]


def test_stored_order_is_measures_then_dimensions_then_derived_times(model: CubeModel) -> None:
    names = [column.name for column in model.stored]
    assert names[0] == "METRIC_VALUE"
    assert names[-1] == "DAY_START"
    assert len(set(names)) == len(model.columns)


def test_shipped_cubes_read_declared_topics_in_their_schemas(catalog: Catalog) -> None:
    topics = load_topics()
    assert set(catalog.cubes) == {"FACTS", "FINDINGS", "RESOURCES", "EVALUATIONS", "JOBS"}
    for cube in catalog.cubes.values():
        assert topics[cube.topic].schema == (cube.source.schema or "json")
        assert all(column.doc for column in cube.columns), cube.name
        assert all(rollup.doc for rollup in cube.rollups), cube.name


def test_every_part_of_a_file_is_read(tmp_path: Path) -> None:
    cube = load_cube(_file(tmp_path, GOOD))
    assert cube.rollups == (Rollup("G", ("DAY_START", "A", "B"), mandatory=("DAY_START",), joints=(("A", "B"),)),)
    assert cube.filters == (Filter("kind", ("one", "two")), Filter("on", (True,)))
    assert cube.retention == Retention(days=3)
    assert cube.rules == (Rule("range", "X", "mark", 0.0, 1.0), Rule("fresh", "TS", "alert", None, 60.0))
    assert (cube.partition, cube.relation(cube.rollups[0])) == ("DAY_START", "T__G")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("  X: {kind: measure, type: double}", "  X: {kind: measure, type: float}", 12, "type is 'float'"),
        ("varchar(8)}\n  A", "varchar(0)}\n  A", 9, "at least one character"),
        ("measure, type: double", "measure, type: varchar(8)", 12, "a measure is a number"),
        ("kind: measure", "kind: fact", 12, "kind is 'fact'; it must be one of time"),
        ("kind: measure", "knid: measure", 12, "no 'knid'; did you mean 'kind'?"),
        ("  X:", "  lower:", 12, "'lower' is no name"),
        ("  X:", "  'X; DROP':", 12, "is no name"),
        ("  X:", "  A__B:", 12, "is no name"),
        ("  X:", "  VALUE:", 12, "VALUE is a reserved word of Kylin's SQL; call it VALUE_ID"),
        ("  X:", "  A:", 12, "has 'A' twice"),
        ("key: ID", "key: NOPE", 4, "it must be a varchar dimension: ID, B"),
        ("key: ID", "key: A", 4, "it must be a varchar dimension"),
        ("time: TS", "time: X", 3, "X must be the one column of kind time; the file has ['TS']"),
        ("name: T", "name: 'T\"'", 1, "is no name"),
        ("name: T", "name: 3", 1, "name is '3'; it must be a text"),
        ("name: T", "name: !!python/name:os.system T", 1, "name is no plain value"),
        ("days: 3", "days: !!int three", 16, "days is no plain value"),
        ("{topic: t}", "{topc: t}", 2, "did you mean 'topic'?"),
        ("{topic: t}", "{}", 2, "topic is missing"),
        ("{topic: t}", "t", 2, "source must be a mapping"),
        ("{topic: t}", "{topic: t, format: xml}", 2, "format is 'xml'"),
        ("{topic: t}", "{topic: t, format: avro, schema: Nope}", 2, "no schema is called 'Nope'"),
        ("{topic: t}", "{topic: t, format: avro, schema: Finding}", 7, "from is missing; name the field"),
        ("retention:", "retenton:", 16, "did you mean 'retention'?"),
        ("days: 3", "days: 0", 16, "days is 0; keep at least one"),
        ("days: 3", "days: '3'", 16, "it must be a whole number"),
        ("days: 3", "carry: [A]", 16, "carry is for cubes with latest: true"),
        ("days: 3", "latest: true", 13, "takes back later"),
        ("days: 3", "latest: true, carry: [X]", 16, "'X' is no dimension"),
        ("partition: DAY_START", "partition: A", 5, "it must be a derived time: DAY_START"),
        ("DAY_START: {kind: derived, type: date}", "DAY_START: {kind: derived, type: timestamp}", 8, "is a date"),
        ("DAY_START: {kind: derived, type: date}", "A_START: {kind: derived, type: date}", 8, "by their names"),
        ("[DAY_START, A, B]", "[DAY_START, A, C]", 14, "has 'C', which is none"),
        ("[DAY_START, A, B]", "[DAY_START, A, B, ID]", 14, "has 'ID', which is none"),
        ("[DAY_START, A, B]", "[DAY_START, A, B, A]", 14, "A twice"),
        ("mandatory: [DAY_START]", "mandatory: [A]", 14, "A is in its joint and its mandatory"),
        ("joint: [[A, B]]", "joint: [[A]]", 14, "at least two dimensions"),
        ("joint: [[A, B]]", "joint: [A, B]", 14, "must be a list of names"),
        ("least: 0", "least: 2", 18, "least is 2, greater than most 1"),
        ("rule: range, column: X", "rule: range, column: B", 18, "a range is of numbers"),
        ("rule: range, column: X", "rule: rnge, column: X", 18, "rule is 'rnge'"),
        ("rule: range, column: X", "rule: range, column: DAY_START", 18, "a column that records carry"),
        ("column: TS, most: 60", "column: TS", 19, "fresh is of the time column"),
        ("column: TS, most: 60", "column: TS, most: 60, action: reject", 19, "action is 'reject'"),
        ("on: true", "on: 1.5", 15, "on must be a text"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert GOOD.count(old) >= 1
    path = _file(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_cube(path)
    assert f"{path}:{line}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "columns: 3", "!!python/object/apply:os.system [ls]", "\x00"])
def test_text_that_is_no_cube_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"cube\.yaml:[12]: "):
        load_cube(_file(tmp_path, text))


def test_file_that_is_too_long_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most"):
        load_cube(_file(tmp_path, "#" * (1 << 20) + GOOD))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_cube(tmp_path / "none.yaml")


def test_combinations_are_counted_as_kylin_counts_cuboids() -> None:
    names = tuple("ABCDEFGH")
    group = Rollup("G", names, mandatory=("A",), hierarchies=(("B", "C", "D"),), joints=(("E", "F"),))
    assert combinations(group) == 4 * 2 * 2**2
    assert combinations(Rollup("G", names)) == 2**8


def test_group_with_more_combinations_than_kylin_builds_is_refused(tmp_path: Path) -> None:
    many = [f"D{number}" for number in range(16)]
    columns = "".join(f"  {name}: {{kind: dimension, type: integer}}\n" for name in many)
    text = GOOD.replace("  X:", f"{columns}  X:").replace("[DAY_START, A, B]", f"[DAY_START, A, B, {', '.join(many)}]")
    with pytest.raises(ConfigError, match=f"at most {MAX_COMBINATIONS}"):
        load_cube(_file(tmp_path, text))


def test_catalog_is_a_folder_of_cubes_and_views(tmp_path: Path) -> None:
    _file(tmp_path, GOOD)
    (tmp_path / "views.yaml").write_text("V: {doc: why, sql: select 1}\n")
    catalog = load_catalog(tmp_path)
    assert (catalog.names, catalog.views["V"].sql) == (("T", "V"), "select 1")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("views.yaml", "T: {doc: why, sql: select 1}", "T is a cube"),
        ("views.yaml", "V: {doc: why}", ":1: view V: sql is missing"),
        ("views.yaml", "TABLE: {doc: why, sql: select 1}", "reserved word"),
        ("other.yaml", GOOD, "declared in another file"),
    ],
)
def test_folder_that_contradicts_itself_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    _file(tmp_path, GOOD)
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_catalog(tmp_path)


def test_folder_without_a_cube_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no cube file"):
        load_catalog(tmp_path)


def _file(folder: Path, text: str) -> Path:
    path = folder / "cube.yaml"
    path.write_text(text)
    return path
