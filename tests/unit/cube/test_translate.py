"""Kylin's SQL against a real store and query process: 100 facts of one job, 10 s apart, values 0 to 99."""

import pytest
from tests.unit.cube.answerer import Answerer

from gradcube.cube.model import Catalog, CubeModel
from gradcube.cube.questions import Limits
from gradcube.cube.sandbox.request import Busy
from gradcube.cube.translate import translate
from gradcube.errors import QueryError

QUESTIONS = [
    ("select count(*) from facts", ["EXPR$0"], [["100"]]),
    ("select count(*), sum(metric_value) Total from FACTS", ["EXPR$0", "TOTAL"], [["100", "4950.0"]]),
    ('select job as "Quoted" from "DEFAULT"."FACTS" limit 1', ["Quoted"], [["bert"]]),
    ("select floor(ts to hour) h from facts group by floor(ts to hour)", ["H"], [["2026-11-24 04:00:00"]]),
    ("select floor(ts to week) from facts limit 1", ["EXPR$0"], [["2026-11-22 00:00:00"]]),
    (
        "select {ts '2026-11-24 04:00:00'}, {d '2026-11-24'}",
        ["EXPR$0", "EXPR$1"],
        [["2026-11-24 04:00:00", "2026-11-24"]],
    ),
    ("select count(*) from facts where ts < {ts '2026-11-24 04:01:00'}", ["EXPR$0"], [["6"]]),
    (
        "select count(*) from facts where ts between '2026-11-24 04:00:00' and '2026-11-24 04:00:10'",
        ["EXPR$0"],
        [["2"]],
    ),
    ("select timestampadd(SQL_TSI_MINUTE, -5, timestamp '2026-11-24 04:00:00')", ["EXPR$0"], [["2026-11-24 03:55:00"]]),
    (
        "select timestampdiff(minute, timestamp '2026-11-24 04:00:30', timestamp '2026-11-24 04:02:00')",
        ["EXPR$0"],
        [["1"]],
    ),
    ("select percentile(metric_value, 0.5) from facts", ["EXPR$0"], [["49.5"]]),
    ("select count(distinct fact_id), approx_count_distinct(job) from facts", ["EXPR$0", "EXPR$1"], [["100", "1"]]),
    ("with x as (select metric_value v from facts) select max(v) from x", ["EXPR$0"], [["99.0"]]),
    ("select 7 / 2, 7.0 / 2, mod(7, 2)", ["EXPR$0", "EXPR$1", "EXPR$2"], [["3", "3.5", "1"]]),
    ('select facts.job, "DEFAULT".facts.metric from facts limit 1;', ["JOB", "METRIC"], [["bert", "loss"]]),
    (
        "select minute_start, day_start from facts order by ts fetch next 1 rows only",
        ["MINUTE_START", "DAY_START"],
        [["2026-11-24 04:00:00", "2026-11-24"]],
    ),
    ("select x from (select null x union all select 1) t order by x desc", ["X"], [[None], ["1"]]),
    ("select x from (select null x union all select 1) t order by x", ["X"], [["1"], [None]]),
    ("select job similar to 'b%' from facts limit 1 -- why", ["EXPR$0"], [["true"]]),
    ("select rank() over (order by count(*) desc) from facts group by job", ["EXPR$0"], [["1"]]),
    ("select job from facts group by rollup(job) order by 1 desc", ["JOB"], [[None], ["bert"]]),
    ("select dayofweek(day_start) from facts group by day_start", ["EXPR$0"], [["3"]]),  # a Tuesday
    (
        "select cast(1.6 as int), cast(-1.6 as int), cast('5' as bigint)",
        ["EXPR$0", "EXPR$1", "EXPR$2"],
        [["1", "-1", "5"]],
    ),
    (
        "select cast(avg(metric_value) as int), cast(sum(samples) as bigint) from facts",
        ["EXPR$0", "EXPR$1"],
        [["49", "500"]],
    ),
]


@pytest.mark.parametrize(("sql", "names", "rows"), QUESTIONS)
def test_question_is_answered_as_kylin_does(answerer: Answerer, sql: str, names: list[str], rows: list[object]) -> None:
    answer = answerer.submit(sql, limit=10).result()
    assert [column.name for column in answer.columns] == names
    assert answer.rows == rows


def test_percentile_approx_is_near(answerer: Answerer) -> None:
    [[text]] = answerer.submit("select percentile_approx(metric_value, 0.95) from facts", limit=1).result().rows
    assert text is not None
    assert 93 < float(text) < 96


def test_star_gives_measures_first(answerer: Answerer, model: CubeModel) -> None:
    answer = answerer.submit("select * from facts", limit=1).result()
    assert [column.name for column in answer.columns] == [column.name for column in model.stored]
    assert all(column.source == (model.name, column.name) for column in answer.columns)


def test_only_unchanged_columns_have_a_source(answerer: Answerer) -> None:
    columns = (
        answerer.submit("select job j, upper(job) job2, count(*) from facts group by job", limit=1).result().columns
    )
    assert [column.source for column in columns] == [("FACTS", "JOB"), None, None]


def test_request_s_limit_and_offset_hold_for_a_statement_without(answerer: Answerer) -> None:
    answer = answerer.submit("select metric_value from facts order by ts", limit=2, offset=3).result()
    assert (answer.rows, answer.partial) == ([["3.0"], ["4.0"]], False)


@pytest.mark.parametrize("sql", ["select job from facts", "select job from facts limit 80"])
def test_server_s_row_limit_cuts_and_says_so(answerer: Answerer, sql: str) -> None:
    answer = answerer.submit(sql, limit=50_000).result()
    assert (len(answer.rows), answer.partial) == (50, True)


def test_parameters_are_bound_in_the_order_of_the_text(answerer: Answerer) -> None:
    values = [("Integer", "2"), ("sql.Timestamp", "2026-11-24 04:00:00.0"), ("lang.String", "it's"), ("Double", "1.5")]
    parameters = [{"className": f"java.{name}", "value": value} for name, value in values]
    answer = answerer.submit("select timestampadd(hour, ?, ?), ?, ? + 0", limit=1, parameters=parameters).result()
    assert answer.rows == [["2026-11-24 06:00:00", "it's", "1.5"]]


@pytest.mark.parametrize(
    "parameters",
    [[], [{"className": "java.lang.Integer", "value": "1; drop"}], [{"className": "x.Evil", "value": "1"}]],
)
def test_parameter_that_is_missing_or_odd_is_refused(catalog: Catalog, parameters: list[dict[str, str]]) -> None:
    with pytest.raises(QueryError):
        translate("select ?", catalog, limit=1, parameters=parameters)


def test_text_parameter_cannot_end_its_literal(answerer: Answerer) -> None:
    evil = "' union select 'x"
    answer = answerer.submit(
        "select ?", limit=1, parameters=[{"className": "java.lang.String", "value": evil}]
    ).result()
    assert answer.rows == [[evil]]


@pytest.mark.parametrize(
    ("sql", "words"),
    [("select nope from facts", "Column 'NOPE' not found in any table"), ("select sum(job) from facts", "SQL")],
)
def test_engine_s_error_is_told_in_kylin_s_words(answerer: Answerer, sql: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        answerer.submit(sql, limit=1).result()


def test_name_outside_its_with_finds_nothing_in_the_catalog(answerer: Answerer) -> None:
    sql = "select * from (with sqlite_master as (select 1 x) select x from sqlite_master) a, sqlite_master"
    with pytest.raises(QueryError, match="not found"):
        answerer.submit(sql, limit=1).result()


def test_slow_query_is_interrupted_and_the_next_is_answered(answerer: Answerer) -> None:
    hasty = answerer.within(Limits(timeout_seconds=0.2))
    many = ", ".join(f"facts f{number}" for number in range(7))
    with pytest.raises(QueryError, match="timeout"):
        hasty.submit(f"select count(*) from {many} where f0.metric_value + f6.metric_value > 1", limit=1).result()
    assert answerer.submit("select 1", limit=1).result().rows == [["1"]]


def test_large_result_and_full_waiting_line_are_refused(answerer: Answerer) -> None:
    with pytest.raises(QueryError, match="larger than 100 bytes"):
        answerer.within(Limits(result_bytes=100)).submit("select * from facts", limit=10).result()
    many = ", ".join(f"facts f{number}" for number in range(4))
    slow = [answerer.submit(f"select count(*) from {many}", limit=1)]
    with pytest.raises(Busy):
        slow += [answerer.submit("select 1", limit=1) for _ in range(3)]
    assert slow[0].result().rows == [["100000000"]]
