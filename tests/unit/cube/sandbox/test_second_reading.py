from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from gradcube.cube.sandbox.second_reading import check
from gradcube.errors import QueryError


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        'select * from "DEFAULT"."FACTS" f join FACTS g using (JOB)',
        "with a as (select 1 x), b as (select * from a) select x from b union all select JOB from facts limit 3",
        "select (select max(N) from FACTS), case when N > 1 then cast(N as decimal(9, 2)) end from FACTS group by all",
        "select sum(N) over (partition by JOB order by N rows between 1 preceding and current row) from FACTS",
        "select count(*) filter (where N > 1), quantile_cont(N, 0.5) from FACTS group by grouping sets ((JOB), ())",
        "select * from FACTS except (select * from FACTS intersect select * from FACTS)",
        "select JOB from FACTS f where exists (select 1 from FACTS g where g.N = f.N) fetch first 3 rows only",
        "select timestamp '2026-01-01 00:00:00' + interval 1 day, extract(year from date '2026-01-01')",
    ],
)
def test_plain_query_over_the_views_is_let_through(connection: Any, sql: str) -> None:
    check(connection, sql, "DEFAULT", ["FACTS"])


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select * from OTHER", "OTHER"),
        ("select * from main.FACTS", "FACTS"),
        ('select * from memory."DEFAULT".FACTS', "FACTS"),
        ("select * from 'x.parquet'", "X.PARQUET"),
        ("select * from read_csv('x')", "TABLE_FUNCTION"),
        ("select * from (show tables)", "SHOW_REF"),
        ("unpivot FACTS on N", "PIVOT"),
        ("with recursive r as (select 1 x union all select x + 1 from r) select * from r", "r"),
        ("with x as (insert into FACTS select 1 returning *) select * from x", "INSERT"),
        ("select WRITE_LOG('x')", "write_log"),
        ("select main.current_setting('threads')", "current_setting"),
        ("select 1; select 2", "2 statements"),
        ("copy (select 1) to 'x'", "Only SELECT"),
        ("", "0 statements"),
    ],
)
def test_anything_else_is_named(connection: Any, sql: str, named: str) -> None:
    with pytest.raises(QueryError, match=f"(?i){named}"):
        check(connection, sql, "DEFAULT", ["FACTS"])


@pytest.mark.parametrize(
    "sql",
    [
        "select * from (with \"x.parquet\" as (select 1) select 1), 'x.parquet'",
        "with a as (select * from b), b as (select 1) select * from a",
        "select * from sqlite_master where 1 in (with sqlite_master as (select 1) select 1)",
    ],
)
def test_name_of_a_with_counts_only_where_the_engine_would_find_it(connection: Any, sql: str) -> None:
    with pytest.raises(QueryError, match="not found"):
        check(connection, sql, "DEFAULT", ["FACTS"])
