import datetime
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.cube.kylin_types import cell, from_duckdb, java_double, parse_type


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (99_900_000.0, "9.99E7"), (1e7, "1.0E7"), (9999999.0, "9999999.0"),
        (0.001, "0.001"), (0.00099, "9.9E-4"), (1e-5, "1.0E-5"), (1e300, "1.0E300"), (-1.5e-9, "-1.5E-9"),
        (123456789.125, "1.23456789125E8"), (float("nan"), "NaN"), (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)  # fmt: skip
def test_double_is_printed_as_java_prints_it(value: float, text: str) -> None:
    assert java_double(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_reads_back_and_has_java_s_form(value: float) -> None:
    text = java_double(value)
    assert float(text) == value
    assert re.fullmatch(r"-?\d+\.\d+|-?\d\.\d+E-?\d+", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None), (True, "true"), (7, "7"), ("x", "x"), ("", ""), (Decimal("1.50"), "1.50"),
        (datetime.datetime(2026, 11, 24, 4), "2026-11-24 04:00:00"),
        (datetime.datetime(2026, 11, 24, 4, 0, 0, 250_000), "2026-11-24 04:00:00.250"),
        (datetime.date(2026, 11, 24), "2026-11-24"),
    ],
)  # fmt: skip
def test_cell_is_text_or_none(value: object, text: str | None) -> None:
    assert cell(value) == text


def test_types_carry_kylin_s_names_and_codes() -> None:
    assert (
        parse_type("varchar(256)").type_name == 'VARCHAR(256) CHARACTER SET "UTF-16LE" COLLATE "UTF-16LE$en_US$primary"'
    )
    assert (parse_type("timestamp").type_name, parse_type("timestamp").jdbc_code) == ("TIMESTAMP(0)", 93)
    assert [from_duckdb(name).name for name in ("HUGEINT", "FLOAT", "STRUCT(a INTEGER)", "DECIMAL(4,2)")] == [
        "BIGINT", "DOUBLE", "VARCHAR", "DECIMAL",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["VARCHAR(3)", "varchar(999999)", "integer(3)", "text", ""])
def test_undeclared_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use varchar"):
        parse_type(text)
