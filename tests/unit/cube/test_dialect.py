"""Kylin's SQL, section by section of its reference: on DuckDB as on Kylin."""

import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from tests.unit.cube.answerer import Answerer

from gradcube.cube.dialect import Kylin
from gradcube.cube.model import Catalog
from gradcube.cube.reserved import RESERVED_WORDS
from gradcube.cube.translate import translate
from gradcube.errors import QueryError

ROOT = Path(__file__).resolve().parents[3]

ANSWERS = [
    ("select ceil(timestamp '2026-11-24 04:00:01' to hour), ceil(timestamp '2026-11-24 04:00:00' to hour)",
     [["2026-11-24 05:00:00", "2026-11-24 04:00:00"]]),
    ("select floor(timestamp '2026-11-24 04:00:01' to quarter)", [["2026-10-01 00:00:00"]]),
    ("select {fn upper({fn concat('a', 'b')})}, {d '2026-11-24'}", [["AB", "2026-11-24"]]),
    ("select timestampadd(month, 1, date '2026-01-31')", [["2026-02-28 00:00:00"]]),
    ("select timestampdiff(SQL_TSI_MONTH, date '2026-01-31', date '2026-03-30')", [["1"]]),
    ("select timestampdiff(day, timestamp '2026-11-25 00:00:00', timestamp '2026-11-24 01:00:00')", [["0"]]),
    ("select avg(samples), sum(samples), sum(samples) / 3, -7 / 2, 7.0 / 2 from facts",
     [["5", "500", "166", "-3", "3.5"]]),
    ("select avg(s), sum(s) / count(*) from (select samples + 1 s from facts where metric_value < 3) t", [["6", "6"]]),
    ("with a as (select count(*) c from facts), b as (select c / 3 c from a) select c / 2 from b", [["16"]]),
    ("select sum(metric_value) / sum(samples) from facts", [["9.9"]]),
    ("select * from (select job, count(*) from facts group by job) t", [["bert", "100"]]),
    ("select job, sum(sum(samples)) over (), rank() over (order by count(*) desc) from facts group by job",
     [["bert", "500", "1"]]),
    ("select job, metric, count(*) from facts group by grouping sets ((job), (metric)) order by job, metric",
     [["bert", None, "100"], [None, "loss", "100"]]),
    ("select job, metric, count(*) from facts group by rollup(job, metric) order by 2, 1",
     [["bert", "loss", "100"], ["bert", None, "100"], [None, None, "100"]]),
    ("select count(distinct job, metric), count(distinct node) from facts", [["1", "1"]]),
    ("select metric_value from facts order by ts offset 3 rows fetch next 2 rows only", [["3.0"], ["4.0"]]),
    ("select x from (select null x union all select 1) t order by x desc nulls last", [["1"], [None]]),
    ('select job "year", count(*) "VALUE" from "DEFAULT"."FACTS" group by job', [["bert", "100"]]),
    ("select cast('2026-11-24 04:00:00' as timestamp), cast(floor(cast(ts as timestamp) to minute) as timestamp)"
     " from facts order by ts fetch first 1 rows only", [["2026-11-24 04:00:00", "2026-11-24 04:00:00"]]),
    ("select year(ts), extract(hour from ts), mod(7, 4), char_length(job) from facts limit 1",
     [["2026", "4", "3", "4"]]),
    ("select count(*) from facts where job similar to '(b|c)%' and job not like 'c%' escape '!'", [["100"]]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "rows"), ANSWERS)
def test_statement_of_the_reference_is_answered_as_kylin_does(answerer: Answerer, sql: str, rows: list[object]) -> None:
    assert answerer.submit(sql, limit=10).result().rows == rows


def test_types_of_whole_numbers_are_kylin_s(answerer: Answerer) -> None:
    sql = "select sum(samples), avg(samples), count(*), sum(samples) / count(*), avg(metric_value) from facts"
    types = [column.type.name for column in answerer.submit(sql, limit=1).result().columns]
    assert types == ["BIGINT", "BIGINT", "BIGINT", "BIGINT", "DOUBLE"]


@pytest.mark.parametrize("word", ["value", "Scope", "rank", "year", "user"])
@pytest.mark.parametrize("form", ["select job {} from facts", "select facts.{} from facts", "select 1 from facts {}"])
def test_reserved_word_needs_quotes(answerer: Answerer, form: str, word: str) -> None:
    assert word.upper() in RESERVED_WORDS
    with pytest.raises(QueryError):
        answerer.submit(form.format(word), limit=1).result()


def test_reserved_word_is_named_with_its_place_and_the_way_out(answerer: Answerer) -> None:
    with pytest.raises(QueryError, match=r'Put it in double quotes: "VALUE"') as caught:
        answerer.submit("select job value from facts", limit=1).result()
    assert caught.value.position == 12


@pytest.mark.parametrize(
    "sql",
    [
        "select {fn upper('a')",
        "select {t '04:00'}",
        "select {x 'a'}",
        "select {ts '2026'",
        "select floor(ts to age) from facts",
    ],
)
def test_what_is_no_escape_or_unit_is_refused(answerer: Answerer, sql: str) -> None:
    with pytest.raises(QueryError):
        answerer.submit(sql, limit=1).result()


@pytest.mark.parametrize(
    "sql",
    ["SELECT PERCENTILE_APPROX(X, 0.95), PERCENTILE(X, 0.5) FROM FACTS", "SELECT FLOOR(TS TO HOUR) FROM FACTS",
     'SELECT COUNT(DISTINCT JOB) FROM "DEFAULT".FACTS GROUP BY ROLLUP (JOB) ORDER BY 1 DESC'],
)  # fmt: skip
def test_statement_is_written_back_as_kylin_reads_it(sql: str) -> None:
    text = sqlglot.parse_one(sql, read=Kylin).sql(dialect=Kylin)
    assert text.replace(" NULLS FIRST", "") == sql


def test_difference_of_times_is_written_back_as_such() -> None:
    text = sqlglot.parse_one("SELECT TIMESTAMPDIFF(MINUTE, A, B)", read=Kylin).sql(dialect=Kylin)
    assert text == "SELECT CAST(TIMESTAMPDIFF(MINUTE, CAST(A AS TIMESTAMP), CAST(B AS TIMESTAMP)) AS INT)"


def test_dialect_is_a_plug_in_of_sqlglot_s(tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["sqlglot.dialects"]
    assert EntryPoint("kylin", declared["kylin"], "sqlglot.dialects").load() is Kylin
    folder = tmp_path / "installed-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(f"[sqlglot.dialects]\nkylin = {declared['kylin']}\n")
    program = (
        f"import sys; sys.path[:0] = {[str(tmp_path), str(ROOT / 'libs')]!r}; import sqlglot;"
        "print(sqlglot.parse_one(\"SELECT {ts '2026-11-24 04:00:00'}\", read='kylin').sql('duckdb'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "SELECT CAST('2026-11-24 04:00:00' AS TIMESTAMP)"


def test_value_of_values_is_looked_at_once(catalog: Catalog) -> None:
    sql = "select samples a from facts"
    for _ in range(10):
        sql = f"select {' + '.join(['a'] * 40)} a from ({sql}) t"
    assert translate(f"select sum(a) from ({sql}) t", catalog, limit=1).relations == ("FACTS",)


@pytest.mark.parametrize("link", [" + 1", " or true", " || 'x'"])
def test_chain_of_thousands_is_answered_or_refused_soon(catalog: Catalog, link: str) -> None:
    with suppress(QueryError):
        translate(f"select sum(samples){link * 6000} from facts", catalog, limit=1)


def test_position_of_a_parameter_is_its_place_in_the_text() -> None:
    tree = sqlglot.parse_one("SELECT ?, ?", read="kylin")
    assert [node.name for node in tree.find_all(exp.Placeholder)] == ["7", "10"]
