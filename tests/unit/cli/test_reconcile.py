"""The books: equal ones pass, and every difference is named. The cube is a fake that answers two statements."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gradcube.cli import reconcile as books
from gradcube.cli.reconcile import Counts, reconcile
from gradcube.errors import CheckFailed

COUNTS = Counts(100, 98, 2, 98, 50, 9.0, 8.0)


@pytest.fixture
def cube(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """A fake in place of kylinpy and the gateway."""
    answers: dict[str, float | None] = {"count": 50, "sum": 98.0}

    def query(_kylin: Any, sql: str) -> SimpleNamespace:
        return SimpleNamespace(rows=[[answers["sum" if "sum(" in sql else "count"]]])

    monkeypatch.setattr(books, "open_kylin", lambda _url: None)
    monkeypatch.setattr(books, "query", query)
    return answers


def test_books_that_agree_are_returned(cube: dict[str, float | None]) -> None:
    report = reconcile(COUNTS, "kylin://", "demo")
    assert report["steps_trained"] == report["records_sent_and_dropped"] == 100
    assert report["facts_written"] == report["rows_in_the_cube"] == 50
    assert report["dropped"] == 2


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (replace(COUNTS, records_sent=97), r"records sent \+ dropped = 99"),
        (replace(COUNTS, records_read=99), r"records read \+ dropped = 101"),
        (replace(COUNTS, facts_written=51), "rows in the cube = 50"),
    ],
)
def test_each_difference_is_named(cube: dict[str, float | None], counts: Counts, words: str) -> None:
    with pytest.raises(CheckFailed, match=words):
        reconcile(counts, "kylin://", "demo")


def test_all_differences_are_named_at_once(cube: dict[str, float | None]) -> None:
    cube.update(count=49, sum=None)
    with pytest.raises(CheckFailed, match=r"records in facts \+ dropped = 2, rows in the cube = 49"):
        reconcile(COUNTS, "kylin://", "demo")
