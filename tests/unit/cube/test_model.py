from pathlib import Path

import pytest

from gradcube.cube.model import CubeModel, load_cube
from gradcube.errors import ConfigError
from gradcube.events.facts import FACT_COLUMNS

GOOD = """
name: T
topic: t
time: TS
key: ID
columns:
  TS: {kind: time, type: timestamp}
  ID: {kind: dimension, type: varchar(8)}
  X: {kind: measure, type: double}
"""


def test_shipped_cube_has_the_columns_of_a_fact(model: CubeModel) -> None:
    assert {column.name for column in model.wire} == set(FACT_COLUMNS)
    assert [column.name for column in model.of_kind("derived")] == ["MINUTE_START", "HOUR_START", "DAY_START"]


def test_stored_order_is_measures_then_dimensions_then_derived_times(model: CubeModel) -> None:
    names = [column.name for column in model.stored]
    assert names[0] == "METRIC_VALUE"
    assert names[-1] == "DAY_START"
    assert len(set(names)) == len(model.columns)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("type: double", "type: float", "column X: type is 'float'"),
        ("varchar(8)", "varchar", "column ID: type is 'varchar'"),
        ("varchar(8)", "varchar(0)", "column ID"),
        ("kind: measure, type: double", "kind: measure, type: varchar(8)", "column X: a measure is a number"),
        ("kind: measure", "kind: fact", "column X: kind is 'fact'"),
        ("  X:", "  lower:", "column lower"),
        ("  X:", "  'X; DROP':", "column X; DROP"),
        ("key: ID", "key: NOPE", "column NOPE"),
        ("time: TS", "time: X", "column X: the one column of kind time"),
        ("name: T", "name: 'T\"'", "name is"),
        ("topic: t", "", "topic is None"),
        ("kind: measure, type: double", "kind: derived, type: date", "column X: derived ones are"),
    ],
)
def test_wrong_cube_names_file_and_column(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "cube.yaml"
    path.write_text(GOOD)
    assert load_cube(path).name == "T"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_cube(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "columns: 3"])
def test_text_that_is_no_cube_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cube.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"cube\.yaml"):
        load_cube(path)
