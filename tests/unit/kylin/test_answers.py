"""Cells of Kylin's JSON as Arrow columns."""

import datetime
import decimal
from typing import Any

import pytest

from gradcube.cube.kylin.answers import result_of
from gradcube.cube.sandbox.cells import rows


def answer(kind: str, *cells: str | None) -> dict[str, Any]:
    return {"columnMetas": [{"label": "C", "columnTypeName": kind}], "results": [[cell] for cell in cells]}


@pytest.mark.parametrize(
    ("kind", "cells", "values", "named"),
    [
        ("VARCHAR", ["a", "", None], ["a", "", None], "VARCHAR"),
        ("CHAR", ["b   ", "time", None], ["b", "time", None], "VARCHAR"),
        ("INTEGER", ["-3", None], [-3, None], "INTEGER"),
        ("BIGINT", ["9223372036854775807"], [9223372036854775807], "BIGINT"),
        ("DOUBLE", ["9.99E7", "Infinity", None], [9.99e7, float("inf"), None], "DOUBLE"),
        ("DECIMAL", ["215079025", "0.25"], [decimal.Decimal("215079025.00"), decimal.Decimal("0.25")], "DECIMAL(38,2)"),
        ("DATE", ["2026-11-24"], [datetime.date(2026, 11, 24)], "DATE"),
        ("TIMESTAMP", ["2026-11-24 10:05:00"], [datetime.datetime(2026, 11, 24, 10, 5)], "TIMESTAMP"),
        ("BOOLEAN", ["true", "false", None], [True, False, None], "BOOLEAN"),
        ("ANY", ["x"], ["x"], "VARCHAR"),
    ],
)  # fmt: skip
def test_cells_have_the_column_s_type(kind: str, cells: list[str | None], values: list[Any], named: str) -> None:
    result = result_of(answer(kind, *cells), 10, 0.5)
    assert result.batches[0].column(0).to_pylist() == values
    assert (result.types, result.schema.names, result.partial, result.seconds) == ((named,), ["C"], False, 0.5)


def test_text_goes_round() -> None:
    cells = ["9.99E7", "0.0", "1.0E-4", None]
    assert rows(result_of(answer("DOUBLE", *cells), 10, 0).batches) == [[cell] for cell in cells]


def test_empty_answer_has_its_columns() -> None:
    result = result_of(answer("BIGINT"), 10, 0)
    assert (result.rows, result.schema.names) == (0, ["C"])
