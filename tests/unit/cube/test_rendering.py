"""Answers as bodies: the same rows in each form, and pages that begin and end anywhere."""

import csv
import io
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cube.answerer import Answerer

from gradcube.cube.kylin_types import from_duckdb
from gradcube.cube.questions import Answer, OutputColumn
from gradcube.cube.sandbox.request import Result
from gradcube_cube.kylin_errors import KylinError
from gradcube_cube.rendering import ARROW, CSV, JSON, accepted, parts


def answer(*batches: list[int]) -> Answer:
    schema = pa.schema([("N", pa.int64())])
    made = tuple(pa.record_batch([pa.array(batch, pa.int64())], schema=schema) for batch in batches)
    return Answer(
        (OutputColumn("N", from_duckdb("BIGINT"), None),), Result(schema, ("BIGINT",), made, False, 0.5), False, ()
    )


def body(found: Answer, kind: str, offset: int = 0, limit: int | None = None) -> bytes:
    return b"".join(parts(found, kind, offset, limit))


def rows(content: bytes, kind: str) -> list[list[Any]]:
    if kind == ARROW:
        with pa.ipc.open_stream(content) as reader:
            return [list(row.values()) for row in reader.read_all().to_pylist()]
    if kind == CSV:
        return [[int(cell) for cell in row] for row in list(csv.reader(io.StringIO(content.decode())))[1:]]
    return list(orjson.loads(content)["rows"])


@pytest.mark.parametrize("kind", [ARROW, CSV, JSON])
@settings(deadline=None)  # the first reader of a stream imports half of Arrow
@given(
    batches=st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=4),
    offset=st.integers(0, 12),
    limit=st.none() | st.integers(1, 12),
)
def test_page_has_the_rows_that_it_names(kind: str, batches: list[list[int]], offset: int, limit: int | None) -> None:
    every = [[value] for batch in batches for value in batch]
    wanted = every[offset:] if limit is None else every[offset : offset + limit]
    assert rows(body(answer(*batches), kind, offset, limit), kind) == wanted


def test_values_that_json_has_no_word_for_are_text(answerer: Answerer) -> None:
    sql = (
        "select ts, samples, metric_value, job, samples = 5, cast(1.5 as decimal(9, 2)), null x from facts order by ts"
    )
    found = orjson.loads(body(answerer.submit(sql, limit=1).result(), JSON))
    assert found["rows"] == [["2026-11-24 04:00:00", 5, 0.0, "bert", True, "1.50", None]]
    assert [column["type"] for column in found["columns"]][:3] == ["TIMESTAMP", "BIGINT", "DOUBLE"]
    assert found["partial"] is True


def test_interval_is_text_in_csv(answerer: Answerer) -> None:
    content = body(answerer.submit("select max(ts) - min(ts) d, '' e, null n from facts", limit=1).result(), CSV)
    assert content.decode().splitlines() == ['"D","E","N"', '"0:16:30","",']


@pytest.mark.parametrize(
    ("header", "kind"),
    [(None, JSON), ("*/*", JSON), ("text/csv", CSV), ("text/html, text/csv;q=0.5", CSV), ("application/*", JSON),
     (f"application/json;q=0.1, {ARROW}", ARROW), ("TEXT/CSV; charset=utf-8", CSV)],
)  # fmt: skip
def test_accept_header_chooses(header: str | None, kind: str) -> None:
    assert accepted(header) == kind


@pytest.mark.parametrize("header", ["image/png", "text/csv;q=0", "text/csv;q=x", ";;,"])
def test_form_that_we_do_not_have_is_refused(header: str) -> None:
    with pytest.raises(KylinError, match="Answers are") as caught:
        accepted(header)
    assert caught.value.status == 406
