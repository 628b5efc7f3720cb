import datetime
import decimal
import uuid
from typing import Any

import numpy as np
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from gradcube.clients.literals import bind, literal
from gradcube.clients.scanner import is_blank, split
from gradcube.cube.dialect import Kylin
from gradcube.errors import QueryError

MOMENT = datetime.datetime(2026, 11, 24, 4, 0, 0, 250_000)
ZONE = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "NULL"), (True, "TRUE"), (0, "0"), (-5, "-5"), (2**63 - 1, "9223372036854775807"), (0.1, "0.1e0"),
     (1e300, "1e+300"), (5e-324, "5e-324"), (-0.0, "-0.0e0"), ("it's", "'it''s'"), ("\\'", "'\\'''"), ("50%", "'50%'"),
     ("größer 😀", "'größer 😀'"), (decimal.Decimal("1.50"), "1.50"), (decimal.Decimal("1E+3"), "1000"),
     (MOMENT, "TIMESTAMP '2026-11-24 04:00:00.250'"),
     (MOMENT.replace(microsecond=0), "TIMESTAMP '2026-11-24 04:00:00'"),
     (datetime.datetime(2026, 11, 24, 6, tzinfo=ZONE), "TIMESTAMP '2026-11-24 04:00:00'"),
     (MOMENT.date(), "DATE '2026-11-24'"), (uuid.UUID(int=1), "'00000000-0000-0000-0000-000000000001'"),
     (np.int64(3), "3"), (np.float64(0.5), "0.5e0"), (np.float32(0.5), "0.5e0"), (np.bool_(False), "FALSE"),
     (np.str_("a'b"), "'a''b'")],
)  # fmt: skip
def test_value_is_written_as_kylin_reads_it(value: Any, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), decimal.Decimal("NaN"), np.float64("nan"), b"x", object(), [1], "\ud800", "a\0b",
     2**63, datetime.time(4), datetime.timedelta(1), 1j],
)  # fmt: skip
def test_value_without_a_literal_is_refused(value: Any) -> None:
    with pytest.raises(QueryError):
        literal(value)


def test_marks_inside_quotes_and_comments_stay() -> None:
    sql = """select '?', "a?b" -- why?\n /* ?? */ from F where x = ? and y like '''?%' and z = ?"""
    bound = bind(sql, ["?", 2])
    assert bound == """select '?', "a?b" -- why?\n /* ?? */ from F where x = '?' and y like '''?%' and z = 2"""


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("select ?", []),
        ("select 1", [1]),
        ("select '?'", [1]),
        ("select /* /* */ ? */ 1", [1]),
        ("select ? -- ?", [1, 2]),
    ],
)
def test_marks_and_values_that_do_not_fit_are_refused(sql: str, values: list[Any]) -> None:
    with pytest.raises(QueryError):
        bind(sql, values)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_text_leaves_its_quotes(text: str) -> None:
    """Read back by the gateway's own parser, it is one literal with that text, whatever is in it."""
    select = sqlglot.parse_one(bind("select ? as X from FACTS where JOB = ?", [text, text]), read=Kylin)
    assert [one.name for one in select.find_all(sqlglot.exp.Literal)] == [text, text]
    assert select.find(sqlglot.exp.From) is not None


@given(st.lists(st.text("a;'\"-/* ?\n")))
def test_statements_are_split_only_where_no_quote_is_open(parts: list[str]) -> None:
    texts = [literal(part) for part in parts]
    statements, rest = split("".join(f"select {text};" for text in texts) + "select 1 -- ;")
    assert statements == [f"select {text}" for text in texts]
    assert rest == "select 1 -- ;"


def test_unended_quote_holds_all_that_follows() -> None:
    assert split("select 'a; select 2;") == ([], "select 'a; select 2;")
    assert split(";; -- nothing\n;") == ([], "")
    assert is_blank(" -- a\n /* b */ ")
    assert not is_blank("/* b */ 1")
