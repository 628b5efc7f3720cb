from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from tests.unit.cube.hostile import STATEMENTS, drawn, filled

from gradcube.cube.guard import parse
from gradcube.cube.model import CubeModel
from gradcube.errors import QueryError

HOSTILE = [
    "select * from read_csv('/etc/passwd')",
    "select * from '/etc/passwd'",
    'select * from "/etc/passwd"',
    "copy facts to '/tmp/x'",
    "copy (select 1) to '/tmp/x'",
    "attach '/tmp/x'",
    "pragma version",
    "pragma_version()",
    "select getenv('HOME')",
    "select repeat('x', 1000000000)",
    "select lpad('x', 1000000000, 'y')",
    "select * from generate_series(1, 1000000000)",
    "select * from range(10)",
    "select unnest(range(1000000000))",
    "with recursive r as (select 1 x union all select x + 1 from r) select * from r",
    "select * from duckdb_settings()",
    "select * from duckdb_settings",
    "select * from pg_settings",
    "select * from information_schema.tables",
    "select * from pg_catalog.pg_class",
    "select * from sqlite_master",
    "select * from gradcube.offsets",
    'select * from memory."DEFAULT".facts',
    "select * from main.facts",
    "select 1; select 2",
    "select 1; drop table facts",
    "/* */ drop table facts",
    "select 1 /* ; */ ; -- x\n delete from facts",
    "insert into facts select * from facts",
    "update facts set job = ''",
    "create table x (a int)",
    "create macro f() as 1",
    "set threads = 1",
    "reset all",
    "install httpfs",
    "load httpfs",
    "export database '/tmp/x'",
    "checkpoint",
    "call x()",
    "select * into x from facts",
    "select 1 from facts for update",
    "summarize facts",
    "describe facts",
    "explain select 1",
    "show tables",
    "values (1)",
    "select * from (values (1)) t",
    "pivot facts on job",
    "begin",
    "vacuum",
    "use x",
    "select current_setting('threads')",
    "select nextval('x')",
    "select write_log('x')",
    "select pg_sleep(3)",
    "select string_agg(job, ',') from facts",
    "select list(job) from facts",
    "select printf('%1000000000d', 1)",
    "select replace(job, 'a', 'b') from facts",
    "select columns('J.*') from facts",
    "select {'a': 1}",
    "select [1, 2]",
    "select job[1:2] from facts",
    "select cast('a' as blob)",
    "select job::json from facts",
    "select version()",
    "select * from facts, lateral (select 1)",
    "select 'x' from facts tablesample 5",
    "select sum(x -> x + 1) from facts",
    "with facts as (select 1 a) select * from facts",
    "prepare x as select 1",
    "execute x",
    "select",
    "",
    ";",
    "select 'open",
    "select /* open",
    "select @@version",
    "select 1 from facts qualify true",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_what_is_not_one_plain_select_is_refused(model: CubeModel, sql: str) -> None:
    with pytest.raises(QueryError, match=r"\w"):
        parse(sql, {model.name})


@pytest.mark.parametrize(
    "sql",
    [
        "select " + "(" * 5_000 + "1" + ")" * 5_000,
        "select " + "+".join(["1"] * 30_000),
        "select " + "- " * 20_000 + "1",
        "select " + "not " * 20_000 + "true",
        "select * from facts where " + " or ".join(["job = 'a'"] * 9_000),
        "select job || " * 70 + "'x' from facts",
        "select " + "'x' || " * 70 + "'x'",
        "select 1 " + " union all select 1" * 5_000,
        "x" * 200_000,
    ],
)
def test_oversized_statement_is_refused_without_a_crash(model: CubeModel, sql: str) -> None:
    with pytest.raises(QueryError):
        parse(sql, {model.name})


def test_deep_subqueries_cannot_double_a_text_without_end(model: CubeModel) -> None:
    sql = "select 'xxxxxxxx' a"
    for _ in range(40):
        sql = f"select a || a a from ({sql}) t"
    with pytest.raises(QueryError, match="nested"):
        parse(sql, {model.name})


def test_refusal_tells_the_position(model: CubeModel) -> None:
    with pytest.raises(QueryError) as caught:
        parse("select job\nfrom nope", {model.name})
    assert caught.value.position == 17
    assert "Object 'nope' not found" in str(caught.value)


@given(st.text(max_size=60), st.sampled_from(["", "select ", "select * from facts where ", "with a as ("]))
def test_any_text_is_parsed_or_refused_but_never_crashes(text: str, start: str) -> None:
    with suppress(QueryError):
        assert isinstance(parse(start + text, {"FACTS"}), exp.Query)


@pytest.mark.parametrize("sql", STATEMENTS, ids=range(len(STATEMENTS)))
def test_hostile_statement_is_refused(sql: str) -> None:
    with pytest.raises(QueryError):
        parse(filled(sql, "/etc/passwd", "/store/x.parquet", "/store/y"), frozenset({"FACTS"}))


def test_every_one_of_400_drawn_hostile_statements_is_refused() -> None:
    through = []
    for sql in drawn(400, seed=1):
        with suppress(QueryError):
            through.append(
                parse(filled(sql, "/etc/passwd", "/store/x.parquet", "/store/y"), frozenset({"FACTS"})).sql()
            )
    assert through == []


@pytest.mark.parametrize(
    "sql",
    [
        "select f.job, count(*) from facts f join findings g on f.job = g.job group by f.job order by 2 desc",
        'with a as (select job from "DEFAULT".findings) select * from a union all select job from facts',
        "select 'read_csv(''/etc/passwd'')', '; drop table facts', '/* -- */' from facts where job like '%copy%'",
    ],
)
def test_plain_question_over_several_cubes_is_answered(sql: str) -> None:
    assert isinstance(parse(sql, frozenset({"FACTS", "FINDINGS"})), exp.Query)


def test_cube_that_is_not_granted_does_not_exist() -> None:
    with pytest.raises(QueryError, match="Object 'findings' not found"):
        parse("select * from facts, findings", frozenset({"FACTS"}))
