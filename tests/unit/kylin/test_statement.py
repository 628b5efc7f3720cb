"""What Kylin is sent, and what it is not asked at all. tests/kylin compares its answers with the embedded engine's."""

import datetime

import pytest

from gradcube.cube.kylin.statement import cubes_of, kylin_statement
from gradcube.cube.model import load_catalog
from gradcube.cube.questions import Limits, Question, SeesAll
from gradcube.errors import Forbidden, QueryError
from gradcube.security.policy import Principal
from gradcube.security.roles import Role

CATALOG = load_catalog()
JOBS_OF_EVE = Principal("eve", Role.viewer, jobs=("bert", "gpt-*"))
NOW = datetime.datetime(2026, 11, 25, 12, 56, 7, 250_000, tzinfo=datetime.UTC)


NEVER = "FACTS.MINUTE_START < CAST('1970-01-01 00:00:00' AS TIMESTAMP)"


def text(sql: str, sight: object = None, **question: object) -> str:
    asked = Question(sql, **question)  # type: ignore[arg-type]
    return kylin_statement(asked, CATALOG, {"FACTS": "FACTS_V3"}, sight or SeesAll(), NOW).sql  # type: ignore[arg-type]


def condition(where: str) -> str:
    """Of `select count(*)` with that condition."""
    whole = text(f"select count(*) from FACTS where {where}")
    return whole.partition(" WHERE ")[2].removesuffix(" LIMIT 50001").replace('"', "")


def test_limit_is_not_put_around_not_in() -> None:
    inner = "select JOB from FACTS where MODEL = 'b'"
    assert "LIMIT" not in text(f"select count(*) from FACTS where JOB not in ({inner})")
    assert text(f"select count(*) from FACTS where JOB in ({inner})").endswith("LIMIT 50001")


def computed(expression: str) -> str:
    """An expression that is selected and grouped by."""
    whole = text(f"select {expression}, count(*) from FACTS group by {expression}")
    return whole.partition(" GROUP BY ")[2].removesuffix(" LIMIT 50001").replace('"', "")


def test_cube_gives_way_to_the_table_that_serves() -> None:
    assert text("select JOB, count(*) from FACTS group by JOB") == (
        'SELECT "JOB" AS "JOB", COUNT(*) AS "EXPR$1" FROM "FACTS_V3" AS "FACTS" GROUP BY "JOB" LIMIT 50001'
    )


def test_one_row_more_than_may_be_given_is_asked_for() -> None:
    assert text("select JOB from FACTS group by JOB", limit=10).endswith(" LIMIT 11")
    assert text("select JOB from FACTS group by JOB", limits=Limits(rows=5), offset=3).endswith(" LIMIT 6 OFFSET 3")
    assert text("select JOB from FACTS group by JOB limit 2").endswith(" LIMIT 2")


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("DAY_START > DATE '2026-11-24'", "DAY_START > CAST('2026-11-24 00:00:00' AS TIMESTAMP)"),
        ("MINUTE_START > DATE '2026-11-24'", "MINUTE_START > CAST('2026-11-24 00:00:00' AS TIMESTAMP)"),
        ("HOUR_START < '2026-11-24 12:30:00'", "HOUR_START <= CAST('2026-11-24 12:00:00' AS TIMESTAMP)"),
        ("HOUR_START >= '2026-11-24 12:30:00'", "HOUR_START > CAST('2026-11-24 12:00:00' AS TIMESTAMP)"),
        ("'2026-11-24 12:30:00' > HOUR_START", "HOUR_START <= CAST('2026-11-24 12:00:00' AS TIMESTAMP)"),
        ("DAY_START < TIMESTAMP '2026-11-23 10:00:00'", "DAY_START <= CAST('2026-11-23 00:00:00' AS TIMESTAMP)"),
        ("HOUR_START < '2026-11-24 12:00:00'", "HOUR_START < CAST('2026-11-24 12:00:00' AS TIMESTAMP)"),
        ("HOUR_START between '2026-11-24 12:30:00' and '2026-11-24 14:30:00'",
         "HOUR_START BETWEEN CAST('2026-11-24 13:00:00' AS TIMESTAMP) AND CAST('2026-11-24 14:00:00' AS TIMESTAMP)"),
        ("HOUR_START = '2026-11-24 12:30:00'", NEVER),
        ("HOUR_START <> '2026-11-24 12:30:00'", ""),
        ("HOUR_START <> '2026-11-24 12:30:00' and JOB = 'a'", "JOB = 'a'"),
        ("(not (TS is null) or JOB = 'a') and not (HOUR_START is null and JOB = 'b') and STAGE = 1", "STAGE = 1"),
        ("(DAY_START is null or JOB = 'a') and MODEL = 'b'", "(JOB = 'a') AND MODEL = 'b'"),
        ("TS is null", NEVER),
        ("JOB not in ('a', 'b')", "(JOB <> 'a' AND JOB <> 'b')"),
        ("not (JOB = 'a' or not (MODEL = 'b' and NODE = 'c'))", "(JOB <> 'a' AND (MODEL = 'b' AND NODE = 'c'))"),
        ("not JOB in (select JOB from FACTS where MODEL not in ('a', 'b'))",
         "NOT JOB IN (SELECT JOB AS JOB FROM FACTS_V3 AS FACTS WHERE (MODEL <> 'a' AND MODEL <> 'b'))"),
        ("HOUR_START in ('2026-11-24 12:30:00', '2026-11-24 12:00:00')", "HOUR_START IN ('2026-11-24 12:00:00')"),
        ("HOUR_START not in ('2026-11-24 12:30:00')", ""),
        ("TS < '2026-11-24 12:30:07'", "TS < '2026-11-24 12:30:07'"),
        ("MINUTE_START < current_timestamp", "MINUTE_START <= CAST('2026-11-25 12:56:00' AS TIMESTAMP)"),
        ("DAY_START = current_date", "DAY_START = CAST('2026-11-25 00:00:00' AS TIMESTAMP)"),
        ("MINUTE_START > timestampadd(DAY, -1, current_timestamp)",
         "MINUTE_START > CAST('2026-11-24 12:56:00' AS TIMESTAMP)"),
        ("cast(MINUTE_START as date) = DATE '2026-11-24'",
         "FLOOR(CAST(MINUTE_START AS TIMESTAMP) TO DAY) = CAST('2026-11-24 00:00:00' AS TIMESTAMP)"),
        ("WINDOW_SECONDS >= 9", "CASE WHEN WINDOW_SECONDS >= 9 THEN 1 ELSE 0 END = 1"),
        ("ATTEMPT = 1", "ATTEMPT = 1"),
        ("ATTEMPT in (1, 2)", "ATTEMPT IN (1, 2)"),
        ("ATTEMPT = 1.0", "CASE WHEN ATTEMPT = 1.0 THEN 1 ELSE 0 END = 1"),
        ("JOB = 'a' or MODEL = 'b'", "JOB = 'a' OR MODEL = 'b'"),
        ("JOB = 'a' or ATTEMPT > 1", "CASE WHEN JOB = 'a' OR ATTEMPT > 1 THEN 1 ELSE 0 END = 1"),
        ("JOB = 'a' and ATTEMPT > 1", "JOB = 'a' AND CASE WHEN ATTEMPT > 1 THEN 1 ELSE 0 END = 1"),
        ("JOB = 'a' or upper(MODEL) = 'B'", "CASE WHEN JOB = 'a' OR UPPER(MODEL) = 'B' THEN 1 ELSE 0 END = 1"),
        ("JOB not like 'a%'", "CASE WHEN JOB NOT LIKE 'a%' THEN 1 ELSE 0 END = 1"),
        ("NODE like '%'", "NOT NODE IS NULL"),
        ("NODE not like '%%'", NEVER),
        ("upper(FAMILY) = upper('latency')", "UPPER(FAMILY) = 'LATENCY'"),
        ("FAMILY = 'lat' || 'ency'", "FAMILY = 'latency'"),
        ("JOB in (select JOB from FACTS where ATTEMPT = 1)",
         "JOB IN (SELECT JOB AS JOB FROM FACTS_V3 AS FACTS WHERE ATTEMPT = 1)"),
    ],
)  # fmt: skip
def test_conditions_that_kylin_gets_wrong_are_spelled_otherwise(asked: str, sent: str) -> None:
    assert condition(asked) == sent


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("floor(MINUTE_START to HOUR)", "FLOOR(CAST(MINUTE_START AS TIMESTAMP) TO HOUR)"),
        ("floor(DAY_START to MONTH)", "FLOOR(CAST(DAY_START AS TIMESTAMP) TO MONTH)"),
        ("floor(MINUTE_START to WEEK)",
         "TIMESTAMPADD(DAY, 3, FLOOR(TIMESTAMPADD(DAY, -3, CAST(MINUTE_START AS TIMESTAMP)) TO WEEK))"),
        ("floor(MINUTE_START to QUARTER)",
         "TIMESTAMPADD(MONTH, 0 - (MONTH(CAST(MINUTE_START AS TIMESTAMP)) - 1) % 3, "
         "FLOOR(CAST(MINUTE_START AS TIMESTAMP) TO MONTH))"),
        ("ceil(MINUTE_START to WEEK)",
         "TIMESTAMPADD(DAY, 3, CEIL(TIMESTAMPADD(DAY, -3, CAST(MINUTE_START AS TIMESTAMP)) TO WEEK))"),
        ("length(JOB)", "CHAR_LENGTH(JOB)"),
        ("trim(leading 'x' from JOB)", "TRIM(LEADING 'x' FROM JOB)"),
        ("log10(ATTEMPT)", "LOG10(ATTEMPT)"),
        ("dayofweek(DAY_START)", "DAYOFWEEK(DAY_START)"),
        ("timestampadd(HOUR, 2, MINUTE_START)", "TIMESTAMPADD(HOUR, 2, CAST(MINUTE_START AS TIMESTAMP))"),
    ],
)  # fmt: skip
def test_functions_that_kylin_means_otherwise_are_spelled_otherwise(asked: str, sent: str) -> None:
    assert computed(asked) == sent


@pytest.mark.parametrize(
    "where", ["HOUR_START < TIMESTAMP '2026-11-24 12:30:00'", "H < TIMESTAMP '2026-11-24 12:30:00'"]
)
def test_unit_of_a_time_is_known_through_subqueries(where: str) -> None:
    inner = "select HOUR_START, HOUR_START as H, count(*) as N from FACTS group by HOUR_START"
    assert "12:00:00" in text(f"select sum(N) from ({inner}) as S where {where}")
    assert "12:00:00" in text(f"with S as ({inner}) select sum(N) from S where {where}")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select count(*) filter (where JOB = 'a') from FACTS", "FILTER"),
        ("select JOB, METRIC from FACTS", "no single ones"),
        ("select * from FACTS", "no single ones"),
        ("select JOB from FACTS union all select MODEL from FACTS", "no single ones"),
        ("with A as (select JOB from FACTS) select * from A", "no single ones"),
        ("select JOB, rank() over (order by JOB) from FACTS", "no single ones"),
        ("select METRIC_VALUE, count(*) from FACTS group by METRIC_VALUE", "METRIC_VALUE is a measure"),
        ("select count(*) from FACTS where METRIC_VALUE > 3", "METRIC_VALUE is a measure"),
        ("select count(*) from FACTS where abs(METRIC_VALUE) > 3", "METRIC_VALUE is a measure"),
        ("select FACT_ID, count(*) from FACTS group by FACT_ID", "there is no FACT_ID"),
        ("select count(*) from FACTS where cast(MINUTE_START as varchar) like '2026%'", "by the text of a time"),
        ("select count(*) from FACTS where JOB = substring('abc', 1, 2)", "computed of constants"),
        ("select ceil(MINUTE_START to QUARTER), count(*) from FACTS group by 1", "CEIL to a quarter"),
        ("select count(*) from JOBS", "JOBS is not in Kylin"),
        ("select count(*) from FACTS A where exists (select 1 from FACTS B where A.JOB = B.JOB)", "EXISTS"),
        ("select count(*) from FACTS A join (select JOB from FACTS group by JOB) B on A.JOB = B.JOB", "joined"),
        (
            "select count(*) from (select JOB from FACTS where JOB not in (select JOB from FACTS where STAGE = 1)) A",
            "in a subquery",
        ),
        ("drop table FACTS", "Not Supported SQL"),
        ("select count(*) from NOPE", "Object 'NOPE' not found"),
    ],
)
def test_what_kylin_would_answer_wrongly_is_refused(sql: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        text(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from (select JOB from FACTS where JOB = 'a') as F",
        "select max(V) from (select METRIC_VALUE as V, JOB from FACTS) as F",
        "with A as (select JOB from FACTS) select JOB, count(*) from A group by JOB",
        "select distinct JOB from FACTS",
        "select JOB from FACTS group by JOB union all select MODEL from FACTS group by MODEL",
        "select JOB, count(*) from FACTS where JOB in (select JOB from FACTS) group by JOB",
        "select JOB, rank() over (order by sum(SAMPLES)) from FACTS group by JOB",
    ],
)
def test_rows_that_are_summed_up_later_are_not_refused(sql: str) -> None:
    assert "FACTS_V3" in text(sql)


def test_views_are_written_out() -> None:
    sent = text("select * from SLOWEST_RANKS")
    assert "FACTS_V3" in sent
    assert "SLOWEST_RANKS" in sent  # as the subquery's name


def test_rows_of_others_are_left_out_by_a_condition_of_our_own() -> None:
    sent = text("select count(*) from FACTS as F where METRIC = 'loss' or 1 = 1", JOBS_OF_EVE)
    rule = """("F"."JOB" IN ('bert') OR "F"."JOB" LIKE 'gpt-%' ESCAPE '\\')"""
    assert sent.endswith(
        f"""WHERE ("METRIC" = 'loss' OR 1 = 1) AND CASE WHEN ({rule}) THEN 1 ELSE 0 END = 1 LIMIT 50001"""
    )


def test_rule_stands_in_every_select_that_reads_the_cube() -> None:
    sent = text("select count(*) from FACTS where JOB in (select JOB from FACTS) union all select 1", JOBS_OF_EVE)
    assert sent.count("gpt-%") == 2


@pytest.mark.parametrize(
    "sql",
    [
        "select NODE, count(*) from FACTS group by NODE",
        "select count(*) from FACTS where NODE = 'a'",
        "select max(N) from (select NODE as N from FACTS) as F",
    ],
)
def test_masked_column_cannot_be_read(sql: str) -> None:
    with pytest.raises(QueryError, match="NODE is masked"):
        text(sql, Principal("eve", Role.viewer, jobs=("*",), masked=("NODE",)))


def test_nothing_is_sent_for_somebody_who_may_not_read() -> None:
    with pytest.raises(Forbidden):
        kylin_statement(
            Question("select count(*) from RESOURCES"), CATALOG, {"RESOURCES": "RESOURCES_V1"}, Nobody(), NOW
        )  # fmt: skip


class Nobody(SeesAll):
    def rows(self, *_: object) -> str:
        raise Forbidden("eve may not read")


def test_cubes_are_found_through_views() -> None:
    assert cubes_of(Question("select * from LEMON_NODES"), CATALOG) == {"FINDINGS"}
    assert cubes_of(Question("select 1"), CATALOG) == frozenset()
