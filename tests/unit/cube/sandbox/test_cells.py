import datetime
import decimal
import math

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcube.cube.kylin_types import cell, java_double
from gradcube.cube.sandbox.cells import column_texts, rows


@given(st.lists(st.none() | st.floats() | st.floats(-1e8, 1e8) | st.integers(-(10**8), 10**8).map(float)))
@settings(max_examples=150, deadline=None)
def test_doubles_are_written_as_java_does(values: list[float | None]) -> None:
    expected = [None if value is None else java_double(value) for value in values]
    assert column_texts(pa.array(values, pa.float64())) == expected


def test_whole_and_extreme_doubles() -> None:
    values = [0.0, -0.0, 1.0, 0.001, 0.0009, 9999999.0, 1e7, math.nan, math.inf, -math.inf, None]
    assert column_texts(pa.array(values)) == [
        "0.0", "-0.0", "1.0", "0.001", "9.0E-4", "9999999.0", "1.0E7", "NaN", "Infinity", "-Infinity", None,
    ]  # fmt: skip


@given(st.lists(st.none() | st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1))))
@settings(max_examples=100, deadline=None)
def test_moments_are_written_as_cell_does(values: list[datetime.datetime | None]) -> None:
    assert column_texts(pa.array(values, pa.timestamp("us"))) == [cell(value) for value in values]


@given(st.lists(st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-9, max_value=9)))
@settings(max_examples=50, deadline=None)
def test_decimals_have_no_exponent(values: list[decimal.Decimal | None]) -> None:
    assert column_texts(pa.array(values, pa.decimal128(30, 12))) == [cell(value) for value in values]


@pytest.mark.parametrize(
    "sql",
    [
        "true", "42::tinyint", "-7::bigint", "170141183460469231731687303715884105::hugeint", "1.5::float", "0.1",
        "0.000001::decimal(18, 6)", "0::decimal(18, 9)", "'ä\U0001f600'", "date '2026-02-28'", "time '01:02:03'",
        "timestamp '2026-02-28 01:02:03'", "timestamp '2026-02-28 01:02:03.0004'", "timestamp_s '1960-02-28 01:02:03'",
        "timestamp_ms '1960-02-28 01:02:03.5'", "timestamptz '2026-02-28 01:02:03+00'", "null", "interval '90' minute",
        "interval '-3' day", "[1, 2]", "{'a': 1}", "'\\x41'::blob", "uuid '00000000-0000-0000-0000-000000000001'",
    ],
)  # fmt: skip
def test_every_type_gives_the_text_that_single_values_give(sql: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        expected = connection.execute(f"select {sql}").fetchall()
        batches = list(connection.sql(f"select {sql} as x").to_arrow_reader(10))
    assert rows(batches) == [[cell(expected[0][0])]]
