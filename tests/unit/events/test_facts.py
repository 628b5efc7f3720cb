"""A fact on the wire is flat JSON that Kylin takes: every column, no null, no NaN, integers as integers."""

import json
import math
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.events.records import LONGS, TEXT

from gradcube.errors import SchemaError
from gradcube.events import FACT_COLUMNS, Fact, decode_fact, encode_fact, fact_id, schemas_dir

IDENTITY: dict[str, Any] = {
    "job": "bert",
    "attempt": 0,
    "ts_millis": 1_790_000_000_000,
    "window_seconds": 10,
    "subject_kind": "rank",
    "subject": "3",
    "metric": "loss",
}
KINDS: dict[str, type] = dict(Fact.__annotations__)
STRATEGIES = {int: LONGS, float: st.floats(allow_nan=False, allow_infinity=False), str: TEXT}
FACTS = st.fixed_dictionaries({name: STRATEGIES[kind] for name, kind in KINDS.items()})


def fact(**changes: Any) -> Fact:
    row: dict[str, Any] = {name: {int: 1, float: 0.5, str: "x"}[kind] for name, kind in KINDS.items()}
    return cast(Fact, row | changes)


def test_columns_are_those_of_the_cube_but_the_derived_ones() -> None:
    columns = yaml.safe_load((schemas_dir() / "cubes" / "facts.yaml").read_text())["columns"]
    assert tuple(name for name, column in columns.items() if column["kind"] != "derived") == FACT_COLUMNS
    for name, kind in KINDS.items():
        wanted = {"integer": int, "bigint": int, "timestamp": int, "double": float}.get(columns[name]["type"], str)
        assert kind is wanted, name


@given(FACTS)
def test_fact_survives_the_way_there_and_back(row: Any) -> None:
    value = encode_fact(row)
    assert decode_fact(value) == row
    assert list(json.loads(value)) == list(FACT_COLUMNS)
    assert b"\n" not in value


def test_integers_are_sent_as_integers_and_measures_as_floats() -> None:
    value = encode_fact(fact(SAMPLES=3, METRIC_VALUE=3))
    assert b'"SAMPLES":3' in value
    assert b'"METRIC_VALUE":3.0' in value
    assert b'"SAMPLES":3.0' not in value


@pytest.mark.parametrize("name", FACT_COLUMNS)
def test_null_and_missing_column_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        encode_fact(fact(**{name: None}))
    row = {column: value for column, value in fact().items() if column != name}
    with pytest.raises(ValueError, match=name):
        encode_fact(cast(Fact, row))
    with pytest.raises(SchemaError, match=name):
        decode_fact(json.dumps(row).encode())


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, 10**400, "1.0", True, None], ids=lambda number: repr(number)[:9]
)
def test_measure_that_is_no_finite_number_is_refused(number: Any) -> None:
    with pytest.raises(ValueError, match="METRIC_SUM"):
        encode_fact(fact(METRIC_SUM=number))


@pytest.mark.parametrize("number", [3.0, 2**63, -(2**63) - 1, "3", True, math.nan])
def test_integer_column_takes_only_64_bit_integers(number: Any) -> None:
    with pytest.raises(ValueError, match="SAMPLES"):
        encode_fact(fact(SAMPLES=number))


@pytest.mark.parametrize("text", [5, b"x", "\ud800"])
def test_string_column_takes_only_unicode(text: Any) -> None:
    with pytest.raises(ValueError, match="JOB"):
        encode_fact(fact(JOB=text))


def test_unknown_column_is_refused() -> None:
    with pytest.raises(ValueError, match="VALUE"):
        encode_fact(cast(Fact, fact() | {"VALUE": 1.0}))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        json.dumps(fact(METRIC_VALUE=math.nan)).encode(),
        json.dumps(fact(METRIC_VALUE=math.inf)).encode(),
        json.dumps(fact()).encode().replace(b"0.5", b"1e999"),
        json.dumps(fact(SAMPLES=3.0)).encode(),
        json.dumps(fact(JOB="\ud800")).encode(),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_value_that_is_no_fact_is_a_schema_error(value: bytes) -> None:
    with pytest.raises(SchemaError, match="not a fact"):
        decode_fact(value)


def test_null_value_is_a_schema_error() -> None:
    with pytest.raises(SchemaError, match="not a fact"):
        decode_fact(cast(bytes, None))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_schema_error(value: bytes) -> None:
    with pytest.raises(SchemaError):
        decode_fact(value)


def test_fact_id_is_the_same_for_the_same_row_for_ever() -> None:
    assert fact_id(**IDENTITY) == fact_id(**IDENTITY) == "fa382787ae5180fcf3fa3211f003afd5"
    assert len(fact_id(**IDENTITY)) <= 64  # varchar(64) in the cube


@pytest.mark.parametrize("name", IDENTITY)
def test_fact_id_depends_on_every_part(name: str) -> None:
    part = IDENTITY[name]
    other = part + 1 if isinstance(part, int) else part + "x"
    assert fact_id(**IDENTITY | {name: other}) != fact_id(**IDENTITY)


def test_fact_ids_of_parts_that_join_to_the_same_text_differ() -> None:
    one = fact_id(**IDENTITY | {"subject": "a", "metric": "bc"})
    assert one != fact_id(**IDENTITY | {"subject": "ab", "metric": "c"})
    assert one != fact_id(**IDENTITY | {"subject": 'a","b', "metric": "c"})
