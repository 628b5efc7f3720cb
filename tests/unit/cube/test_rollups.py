"""A rollup never changes an answer, and is read when it can be."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.cube.rollup_stand import both, connect, fill

DAY, HOUR, CLOCK, RUN, RAW_ROWS = ("T__DAY",), ("T__HOUR",), ("T__CLOCK",), ("T__RUN",), ("T",)


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    with connect() as connection:
        fill(connection)
        yield connection


def check(connection: Any, sql: str) -> tuple[str, ...]:
    """Compares both answers, and tells which relations were read."""
    routed, (names, rows), (raw_names, raw_rows) = both(connection, sql)
    assert names == raw_names
    assert len(rows) == len(raw_rows)
    for row, raw_row in zip(rows, raw_rows, strict=True):
        for value, raw_value in zip(row, raw_row, strict=True):
            if isinstance(value, float) and isinstance(raw_value, float):
                assert math.isclose(value, raw_value, rel_tol=1e-12, abs_tol=1e-12)
            else:
                assert value == raw_value
    return routed.relations


@pytest.mark.parametrize(
    ("sql", "relations"),
    [
        ("select count(*) from t", DAY),
        ("select count(*), sum(x), sum(n), sum(k), min(x), max(k), avg(x), avg(n), avg(k) from t", DAY),
        ("select count(*), sum(x), avg(x) from t where job = 'none'", DAY),
        ("select job, count(*) from t where job = 'none' group by job", DAY),
        ("select job, size, sum(x) s from t group by job, size having sum(x) > 0 order by s desc", HOUR),
        ("select node, count(x), count(node), count(1) from t group by node", CLOCK),
        ("select job, sum(x) / sum(n) from t group by job", DAY),
        ("select sum(n) / count(*), avg(n) from t", DAY),
        ("select distinct job from t", DAY),
        ("select distinct node, size from t where job <> 'j1'", RUN),
        ("select count(distinct job), approx_count_distinct(job), min(job), max(day_start) from t", DAY),
        ("select count(distinct size) from t", CLOCK),
        ("select node, sum(n) from t where day_start >= '2026-11-25' group by node", CLOCK),
        ("select node, sum(n) from t where day_start < '2026-11-24 05:00:00' group by node", RUN),
        ("select node, floor(day_start to hour), sum(n) from t group by 1, 2", RUN),
        ("select node, floor(day_start to month), cast(day_start as date), sum(n) from t group by 1, 2, 3", CLOCK),
        ("select floor(ts to day) d, sum(x) from t group by floor(ts to day)", DAY),
        ("select floor(ts to day) ts, sum(x) from t group by floor(ts to day) order by 1", DAY),
        ("select floor(ts to hour) d, sum(x) from t group by floor(ts to hour)", CLOCK),
        ("select floor(cast(ts as timestamp) to week) d, sum(x) from t group by 1", DAY),
        ("select cast(ts as date), extract(day from ts), month(ts), count(*) from t group by 1, 2, 3", DAY),
        ("select extract(hour from ts), count(*) from t group by 1", CLOCK),
        ("select sum(x) from t where ts >= '2026-11-24 05:00:00' and ts < timestamp '2026-11-25 00:00:00'", CLOCK),
        ("select sum(x) from t where ts >= '2026-11-24 00:00:00' and {ts '2026-11-25 00:00:00'} > ts", DAY),
        ("select sum(x) from t where date '2026-11-25' <= ts", DAY),
        ("select sum(x) from t where ts >= timestampadd(day, -1, {d '2026-11-26'})", DAY),
        ("select sum(x) from t where ts >= floor(current_timestamp to day)", DAY),
        ("select sum(x) from t where hour_start >= '2026-11-25 00:00:00'", DAY),
        ("select job, rank() over (order by sum(x)), sum(sum(n)) over (), count(*) from t group by job", DAY),
        ("select job, size, sum(n) from t group by grouping sets ((job), (size), ())", HOUR),
        ("select job, size, count(*) from t group by rollup(job, size)", HOUR),
        ("with a as (select job, sum(x) s from t group by job) select max(s) from a where s > 0", DAY),
        ("select a.job, a.s, b.c from (select job, sum(x) s from t group by job) a join"
         " (select job, count(*) c from t group by job) b on a.job = b.job", DAY),
        ("select job, count(*) from t group by job union all select node, count(*) from t group by node",
         ("T__CLOCK", "T__DAY")),
        ("select count(*) from t where job in (select job from t where x > 4)", ("T", "T__DAY")),
        ("select count(*) from t where job in (select job from t group by job having sum(x) > 0)", DAY),
        ("select count(*) from t o where exists (select 1 from t i where i.job = o.job and i.x > 4.9)",
         ("T", "T__DAY")),
        ("select upper(job) || 'x', case when size > 1 then 'big' else 'small' end, sum(x) from t group by 1, 2", HOUR),
        ('select F.JOB, sum(F."X") from "DEFAULT".T F group by F.JOB', DAY),
    ],
)  # fmt: skip
def test_rollup_that_suffices_is_read(connection: Any, sql: str, relations: tuple[str, ...]) -> None:
    assert check(connection, sql) == relations


@pytest.mark.parametrize(
    "sql",
    [
        "select * from t",
        "select x from t",
        "select job from t",
        "select count(*) from t where x > 0",
        "select sum(x) from t where ts >= '2026-11-24 05:30:00'",
        "select sum(x) from t where ts <= '2026-11-25 00:00:00'",
        "select sum(x) from t where ts > '2026-11-25 00:00:00'",
        "select sum(x) from t where '2026-11-25 00:00:00' >= ts",
        "select sum(x) from t where ts between '2026-11-24 00:00:00' and '2026-11-25 00:00:00'",
        "select sum(x) from t where ts >= timestampadd(minute, -1, {d '2026-11-26'})",
        "select count(*) from t where ts = '2026-11-25 00:00:00'",
        "select floor(ts to minute), count(*) from t group by 1",
        "select extract(minute from ts), count(*) from t group by 1",
        "select min(ts), max(ts) from t",
        "select sum(x * 2) from t",
        "select sum(size), avg(size) from t",
        "select sum(case when job = 'j1' then x end) from t",
        "select percentile(x, 0.5) from t",
        "select percentile(size, 0.5) from t",
        "select stddev_pop(x), median(size) from t",
        "select count(distinct x), sum(distinct n) from t",
        "select id, count(*) from t group by id",
        "select count(*) over () from t",
        "select distinct job, count(*) over (partition by job) from t",
        "select sum(a.x) from t a join t b on a.id = b.id",
        "select sum(x) rows_count from t order by rows_count",
        "select sum(x) x from t group by job order by x",
        "select floor(ts to day) ts, sum(x) from t group by floor(ts to day) order by floor(ts to day)",
        "select count(*) from t o where exists (select 1 from (select 1 y) i where o.x > 4.9)",
        "select count(*) filter (where job = 'j1') from t",
    ],
)
def test_anything_else_reads_raw_rows(connection: Any, sql: str) -> None:
    assert check(connection, sql) == RAW_ROWS


VALUES = st.sampled_from(
    ["count(*)", "count(x)", "count(node)", "count(size)", "count(2)", "sum(x)", "sum(n)", "sum(k)", "min(x)", "max(n)",
     "max(k)", "min(node)", "avg(x)", "avg(n)", "avg(k)", "sum(x) / sum(n)", "sum(n) / count(*)",
     "count(distinct node)",
     "sum(x) - min(x) * count(*)", "count(distinct size, job)", "max(x) - min(x)", "sum(n + 1)", "max(ts)",
     "count(distinct x)"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["job", "node", "size", "hour_start", "day_start", "floor(ts to hour)", "floor(ts to day)", "floor(ts to month)",
     "extract(hour from ts)", "upper(node)", "size + 1", "coalesce(size, 0)", "case when size > 1 then job end",
     "floor(ts to minute)", "cast(ts as date)"]
)  # fmt: skip
CONDITIONS = st.sampled_from(
    ["job = 'j1'", "node is null", "size > 1", "not (size = 2)", "ts >= '2026-11-24 07:00:00'", "ts < '2026-11-25'",
     "ts >= timestamp '2026-11-24 07:30:00'", "ts <= '2026-11-24 09:00:00'", "day_start = date '2026-11-25'",
     "hour_start between '2026-11-24 03:00:00' and '2026-11-24 20:00:00'", "x > 0", "node in ('n1', 'n2')",
     "floor(ts to hour) = '2026-11-24 07:00:00'", "extract(hour from ts) < 12", "job like 'j%'",
     "job in (select job from t group by job having count(*) > 90)", "hour_start < '2026-11-25 00:00:00'"]
)  # fmt: skip
HAVING = st.sampled_from(["count(*) > 3", "sum(x) > 0", "min(n) < 0", "avg(n) >= 0", "count(node) > 2"])


@given(
    st.lists(VALUES, min_size=1, max_size=4),
    st.lists(KEYS, max_size=3, unique=True),
    st.lists(CONDITIONS, max_size=3),
    st.none() | HAVING,
    st.sampled_from(["plain", "cte", "union", "rollup", "window"]),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_aggregation_is_the_same_either_way(
    connection: Any, values: list[str], keys: list[str], conditions: list[str], having: str | None, form: str
) -> None:
    by = f"rollup({', '.join(keys)})" if form == "rollup" else ", ".join(keys)
    columns = ", ".join([*keys, *values, *(["sum(count(*)) over ()"] if form == "window" and keys else [])])
    sql = f"select {columns} from t"
    sql += f" where {' and '.join(conditions)}" if conditions else ""
    sql += f" group by {by}" if keys else ""
    sql += f" having {having}" if having else ""
    if form == "cte":
        sql = f"with a as ({sql}) select * from a"
    if form == "union":
        sql = f"{sql} union all {sql}"
    check(connection, sql)
