"""An answer becomes a relation of DuckDB's, whatever is in it."""

import datetime
import decimal

import duckdb
import pyarrow as pa
import pytest

from gradcube.cube.given import given
from gradcube.cube.kylin_types import from_duckdb
from gradcube.cube.questions import Answer, OutputColumn
from gradcube.cube.sandbox.request import Result

CELLS: list[tuple[str, pa.DataType, list[object]]] = [
    ("VARCHAR", pa.string(), ["", "it's", "'); drop table x; --", "mü\n\t\\", "a''b", None]),
    ("INTEGER", pa.int32(), [0, -(2**31), 2**31 - 1, 7, 8, None]),
    ("BIGINT", pa.int64(), [0, -(2**63), 2**63 - 1, 7, 8, None]),
    ("DOUBLE", pa.float64(), [0.1, -1e308, 5e-324, float("inf"), float("-inf"), None]),
    ("BOOLEAN", pa.bool_(), [True, False, None, True, False, None]),
    ("DATE", pa.date32(), [datetime.date(2026, 11, 24), None, datetime.date(1970, 1, 1), None, None, None]),
    ("TIMESTAMP", pa.timestamp("us"), [datetime.datetime(2026, 11, 24, 4, 0, 0, 123000), None, None, None, None, None]),
    ("DECIMAL(38,3)", pa.decimal128(38, 3), [decimal.Decimal("1.500"), None, decimal.Decimal("-9.125"), *[None] * 3]),
]


def answer_of(cells: list[tuple[str, pa.DataType, list[object]]]) -> Answer:
    names = [f'C"{number}' for number in range(len(cells))]
    arrays = [pa.array(values, kind) for _, kind, values in cells]
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    kinds = tuple(kind for kind, _, _ in cells)
    columns = tuple(OutputColumn(name, from_duckdb(kind), None) for name, kind in zip(names, kinds, strict=True))
    return Answer(columns, Result(batch.schema, kinds, (batch,), False, 0.0), False, ())


def test_every_value_of_every_type_comes_back() -> None:
    relation = given("KYLIN_PART_1", answer_of(CELLS))
    found = duckdb.sql(relation.select).fetchall()
    assert found == list(zip(*(values for _, _, values in CELLS), strict=True))
    assert [column.type.name for column in relation.model.columns] == [kind.partition("(")[0] for kind, _, _ in CELLS]


def test_no_row_is_no_row_of_the_same_columns() -> None:
    relation = duckdb.sql(given("KYLIN_PART_1", answer_of([(a, b, []) for a, b, _ in CELLS])).select)
    assert relation.fetchall() == []
    assert list(map(str, relation.types)) == [kind for kind, _, _ in CELLS]


@pytest.mark.parametrize("rows", [50_000])
def test_as_many_rows_as_an_answer_may_have(rows: int) -> None:
    cells: list[tuple[str, pa.DataType, list[object]]] = [("BIGINT", pa.int64(), list(range(rows)))]
    counted = f'select count(*), sum("C""0") from ({given("K", answer_of(cells)).select})'
    assert duckdb.sql(counted).fetchall() == [(rows, rows * (rows - 1) // 2)]
