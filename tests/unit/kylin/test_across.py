"""Statements over the cubes of two engines: as if one had them all. In Kylin's place is the embedded engine, too."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.cube.facts import FIRST_MILLIS, value

from gradcube.cube.asking import Asking
from gradcube.cube.columns import decode_facts, rows_to_table
from gradcube.cube.kylin.either import EitherEngine
from gradcube.cube.kylin.parts import parts_of
from gradcube.cube.model import Catalog, load_catalog
from gradcube.cube.questions import Answer, Limits, Prepared, Question, SeesAll, Sight
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings, Progress
from gradcube.cube.store import Store
from gradcube.errors import QueryError

HELD = ("FACTS",)
LIMITS = Limits(rows=60, timeout_seconds=10)


class InKylinsPlace:
    """Notes what it is asked."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.asked: list[str] = []

    def prepare(self, question: Question, sight: Sight, query_id: str) -> Prepared:
        self.asked.append(question.sql)
        return self._asking.prepare(question, sight, query_id)

    def cancel(self, query_id: str) -> bool:
        return self._asking.cancel(query_id)

    def progress(self, query_id: str) -> Progress | None:
        return self._asking.progress(query_id)


class Marked:
    """Its answer is partial."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def start(self) -> "Future[Answer]":
        answer: Future[Answer] = Future()
        answer.set_result(replace(self._prepared.start().result(30), partial=True))
        return answer

    def close(self) -> None:
        self._prepared.close()


class Behind(InKylinsPlace):
    def prepare(self, question: Question, sight: Sight, query_id: str) -> Prepared:
        return Marked(super().prepare(question, sight, query_id))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def asking(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Facts of four jobs, and evaluations of three, one of which has none."""
    directory = tmp_path_factory.mktemp("store")
    jobs = ["bert", "t5", "it's", 'mü"ller']
    facts, bad = decode_facts([value(number, job=jobs[number % 4]) for number in range(200)], catalog.cubes["FACTS"])
    assert not bad
    settings = PoolSettings(workers=1, waiting=4, memory_bytes=256 * 2**20, threads=1)
    with closing(Store(directory, catalog.cubes.values())) as store, QueryPool(directory, settings) as pool:
        store.write("FACTS", facts, {})
        rows = [evaluation(job, number) for job in (*jobs[1:], "gone") for number in range(3)]
        table, _, bad = rows_to_table(rows, range(len(rows)), catalog.cubes["EVALUATIONS"])
        assert not bad
        store.write("EVALUATIONS", table, {})
        yield Asking(catalog, store, pool)


def evaluation(job: str, number: int) -> tuple[Any, ...]:
    """One row in the order of the cube's own columns."""
    named = f"{job}/1/{number}/wiki/loss"
    return (FIRST_MILLIS + 1000 * number, job, 1, number, "wiki", "loss", named, number / 4, 10 * number)


def both(asking: Asking, catalog: Catalog, sql: str) -> tuple[Answer, Answer, InKylinsPlace]:
    """Across engines, of one engine alone, and what was asked in Kylin's place."""
    kylin, question = InKylinsPlace(asking), Question(sql, limits=LIMITS)
    engine = EitherEngine(catalog, asking, kylin, HELD, 1)
    try:
        found = engine.prepare(question, SeesAll(), "across").start().result(30)
    finally:
        engine.close()
    return found, asking.prepare(question, SeesAll(), "alone").start().result(30), kylin


SUMS = "select JOB, count(*) as N, max(METRIC_MAX) as M, max(TS) as T, min(DAY_START) as D from FACTS group by JOB"
EVALUATED = "select JOB, count(*) as E, sum(SAMPLES) as S from EVALUATIONS group by JOB"


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        (f"select F.JOB, F.N, F.M, F.T, F.D, V.E, V.S from ({SUMS}) F left join ({EVALUATED}) V on F.JOB = V.JOB "
         "order by F.JOB", 1),
        (f"with F as ({SUMS}), V as ({EVALUATED}) select F.N + V.E, F.N / V.E, V.S from F join V on F.JOB = V.JOB "
         "order by F.JOB", 1),
        ("select JOB, METRIC_VALUE from EVALUATIONS where JOB in (select JOB from FACTS where METRIC_VALUE > 197) "
         "order by JOB, METRIC_VALUE", 1),
        ("select JOB, (select sum(SAMPLES) from FACTS) as ALL_SAMPLES from EVALUATIONS order by JOB, STEP", 1),
        ("select 'facts' as WHAT, count(*) as N from FACTS union all select 'evaluations', count(*) from EVALUATIONS "
         "order by WHAT", 1),
        (f"select * from ({SUMS}) F join ({EVALUATED}) V on F.JOB = V.JOB order by F.JOB", 1),
        (f"select A.N, B.N from ({SUMS}) A join ({SUMS}) B on A.JOB = B.JOB, (select count(*) from EVALUATIONS) V "
         "order by A.JOB", 2),
        ("select F.JOB, V.JOB from (select JOB from FACTS where JOB = 'nobody' group by JOB) F "
         "right join EVALUATIONS V on F.JOB = V.JOB order by V.JOB, V.STEP", 1),
        ("select DAY_START, sum(N) from (select DAY_START, count(*) as N from FACTS group by DAY_START union all "
         "select DAY_START, count(*) from EVALUATIONS group by DAY_START) A group by DAY_START", 1),
        ("select V.STEP, W.C from EVALUATIONS V, (with W as (select count(distinct JOB) as C from FACTS) "
         "select C from W) W where V.STEP = 1 + 1", 1),
    ],
)  # fmt: skip
def test_answer_is_that_of_one_engine(asking: Asking, catalog: Catalog, sql: str, parts: int) -> None:
    found, expected, kylin = both(asking, catalog, sql)
    assert found.rows == expected.rows
    assert found.columns == expected.columns
    assert found.partial == expected.partial
    assert len(kylin.asked) == parts
    assert all("EVALUATIONS" not in one for one in kylin.asked)


def test_it_names_the_cubes_that_it_read(asking: Asking, catalog: Catalog) -> None:
    found, _, _ = both(asking, catalog, f"select count(*) from ({SUMS}) F join ({EVALUATED}) V on F.JOB = V.JOB")
    assert {name.partition("__")[0] for name in found.relations} == {"FACTS", "EVALUATIONS"}


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from FACTS F join EVALUATIONS E on F.JOB = E.JOB",
        "select count(*) from FACTS where JOB in (select JOB from EVALUATIONS)",
        "select (select max(E.STEP) from EVALUATIONS E where E.JOB = F.JOB) from FACTS F",
    ],
)
def test_rows_that_meet_one_by_one_are_refused_with_the_way_out(asking: Asking, catalog: Catalog, sql: str) -> None:
    with pytest.raises(QueryError, match="FACTS is in Kylin") as caught:
        both(asking, catalog, sql)
    assert "subquery" in str(caught.value.hint)


def test_part_with_too_many_rows_is_refused(asking: Asking, catalog: Catalog) -> None:
    sql = "select count(*) from (select TS, JOB from FACTS group by TS, JOB) F, (select count(*) from EVALUATIONS) V"
    with pytest.raises(QueryError, match="more than 60 rows"):
        both(asking, catalog, sql)


def test_values_of_a_statement_are_bound_in_its_parts(catalog: Catalog) -> None:
    values: Sequence[dict[str, Any]] = [
        {"className": "java.lang.String", "value": "it's"}, {"className": "java.lang.Integer", "value": "3"}
    ]  # fmt: skip
    sql = "select count(*) from (select JOB from FACTS where JOB = ? group by JOB) F, EVALUATIONS V where V.STEP = ?"
    parts = parts_of(Question(sql, 5, 2, values), catalog, HELD)
    [asked] = parts.asked.values()
    rest = parts.rest({"KYLIN_PART_1": ["JOB"]})
    assert ("'it''s'" in asked.sql, "?" in asked.sql, "?" in rest.sql) == (True, False, False)
    assert (rest.limit, rest.offset, rest.parameters) == (5, 2, ())


def test_it_is_partial_when_a_part_is(asking: Asking, catalog: Catalog) -> None:
    engine = EitherEngine(catalog, asking, Behind(asking), HELD, 1)
    sql = f"select count(*) from ({SUMS}) F, (select count(*) from EVALUATIONS) V"
    found = engine.prepare(Question(sql, limits=LIMITS), SeesAll(), "q").start().result(30)
    assert found.partial
    assert found.result.partial
