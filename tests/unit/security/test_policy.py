"""Exactly the granted rows are seen, and no masked cell, whatever jobs are called: shown on DuckDB."""

from dataclasses import replace
from fnmatch import fnmatchcase

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradcube.cube.model import CubeModel, load_catalog
from gradcube.errors import ConfigError, Forbidden
from gradcube.security.patterns import check_pattern, condition, matches
from gradcube.security.policy import Principal
from gradcube.security.roles import Role

HOSTILE = [
    "a", "A", "'", "''", "a'b", "%", "_", "\\", "a\\", "\\%", "a%b", "a_b", "axb", "[a]", "a*", "?", "--", "/*", "é",
    "e\u0301", "日本", "😀", "\n", "", " ", "x' OR 1=1 --", "x') OR ('1'='1", "$$", "null", "\x00", "a\x00b", '"', ";",
]  # fmt: skip
ALPHABET = "ab%_\\'\"*?[]-/$;é😀 \n"
JOBS = st.one_of(st.sampled_from(HOSTILE), st.text(ALPHABET, max_size=6), st.text(max_size=6))
PATTERNS = st.one_of(st.sampled_from(HOSTILE), st.text(ALPHABET, min_size=1, max_size=6)).filter(
    lambda text: text and "\0" not in text
)
COLUMNS = [("JOB", "VARCHAR"), ("LOSS", "DOUBLE")]
CATALOG = load_catalog()


@pytest.fixture(scope="module")
def duck() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def model(name: str = "FACTS") -> CubeModel:
    return CATALOG.cubes[name]


def principal(*jobs: str, role: Role = Role.analyst, masked: tuple[str, ...] = ()) -> Principal:
    return Principal("ann", role, jobs, masked)


def reference(pattern: str, job: str) -> bool:
    """Independent of the code: fnmatch, with what is special to it alone taken out."""
    return fnmatchcase(job, pattern.replace("[", "[[]"))


def seen(duck: duckdb.DuckDBPyConnection, who: Principal, jobs: list[str | None]) -> list[str | None]:
    duck.register("source", pa.table({"JOB": pa.array(jobs, pa.string()), "LOSS": [1.0] * len(jobs)}))
    text = who.restricted(model(), COLUMNS, "SELECT * FROM source")
    return [row[0] for row in duck.execute(f"SELECT JOB FROM ({text})").fetchall()]


@settings(deadline=None)
@given(
    jobs=st.lists(JOBS, max_size=12),
    granted=st.lists(PATTERNS, max_size=4),
)
@example(jobs=HOSTILE, granted=["a_b"])
@example(jobs=HOSTILE, granted=["%"])
@example(jobs=HOSTILE, granted=["*\\*"])
@example(jobs=HOSTILE, granted=["?"])
@example(jobs=HOSTILE, granted=["x' OR 1=1 --", "x') OR ('1'='1*"])
def test_exactly_the_granted_rows_are_seen(
    duck: duckdb.DuckDBPyConnection, jobs: list[str], granted: list[str]
) -> None:
    jobs = [job for job in jobs if not any("\ud800" <= one <= "\udfff" for one in job)]
    expected = [job for job in jobs if any(reference(pattern, job) for pattern in granted)]
    assert seen(duck, principal(*granted), list(jobs)) == expected
    assert [job for job in jobs if matches(granted, job)] == expected


@pytest.mark.parametrize("job", [job for job in HOSTILE if job and "\0" not in job and not {"*", "?"} & set(job)])
def test_a_job_of_any_name_can_be_granted_alone(duck: duckdb.DuckDBPyConnection, job: str) -> None:
    assert seen(duck, principal(job), list(HOSTILE)) == [job]


def test_nothing_granted_shows_nothing_and_a_null_job_belongs_to_who_sees_all(duck: duckdb.DuckDBPyConnection) -> None:
    assert seen(duck, principal(), ["a", None]) == []
    assert seen(duck, principal("a*"), ["a", None]) == ["a"]
    assert seen(duck, principal("*"), ["a", None]) == ["a", None]
    assert condition("JOB", []) == "false"


@pytest.mark.parametrize("pattern", ["", "\0", "a\0' OR true", "\ud800", "x" * 257])
def test_a_pattern_that_no_text_can_carry_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError):
        check_pattern(pattern)
    with pytest.raises(ConfigError):
        condition("JOB", ["a", pattern])


THROWING = [
    "SELECT count(*) FROM v WHERE CAST(JOB AS INTEGER) >= 0",
    "SELECT sum(CAST(JOB AS INTEGER)) FROM v",
    "SELECT count(*) FROM v WHERE LOSS > 0 AND CAST(JOB AS INTEGER) >= 0 AND JOB <> 'x'",
    "SELECT CASE WHEN JOB LIKE 's%' THEN CAST(JOB AS INTEGER) ELSE 0 END FROM v",
    "SELECT count(*) FROM v WHERE CASE WHEN JOB LIKE 's%' THEN CAST(JOB AS INTEGER) > 0 ELSE true END",
    "SELECT count(*) FILTER (WHERE CAST(JOB AS INTEGER) > 0) FROM v",
    "SELECT CAST(JOB AS INTEGER) AS k, count(*) FROM v GROUP BY k HAVING max(CAST(JOB AS INTEGER)) >= 0 ORDER BY k",
    "SELECT count(*) FROM v JOIN (VALUES (1), (2)) AS r(k) ON CAST(v.JOB AS INTEGER) = r.k",
    "SELECT count(*) FROM v AS a JOIN v AS b ON CAST(a.JOB AS INTEGER) = CAST(b.JOB AS INTEGER) WHERE a.LOSS < 9",
    "SELECT max(CAST(JOB AS INTEGER)) OVER (ORDER BY LOSS) FROM v",
    "SELECT CAST(JOB AS INTEGER) FROM v UNION SELECT 1",
]


@pytest.mark.parametrize("statement", THROWING)
@pytest.mark.parametrize("granted", [("?",), ("1", "2", "3"), ("1*", "2*", "?")])
def test_an_error_does_not_tell_of_a_hidden_row(
    duck: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory, statement: str, granted: tuple[str, ...]
) -> None:
    """Row rules come before whatever of the statement can fail: also over Parquet, into which filters are pushed."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    duck.execute(
        "COPY (SELECT CASE WHEN i % 3 = 0 THEN 'secret-' || i ELSE '' || (1 + i % 3) END AS JOB, i % 5 + 0.5 AS LOSS"
        f" FROM range(6000) AS t(i)) TO '{path}' (ROW_GROUP_SIZE 2048)"
    )
    text = principal(*granted).restricted(model(), COLUMNS, f"SELECT JOB, LOSS FROM read_parquet('{path}')")
    duck.execute(f"CREATE OR REPLACE TEMP VIEW v AS {text}")
    assert duck.execute(statement).fetchall()  # a hidden row would be a conversion error with its name


def test_masked_columns_are_constants_of_their_type(duck: duckdb.DuckDBPyConnection) -> None:
    duck.register("source", pa.table({"JOB": ["a", "b"], "LOSS": [1.5, 2.5]}))
    for masked in (("JOB", "LOSS"), ("FACTS.JOB", "FACTS.LOSS")):
        who = principal("a", masked=masked)
        text = who.restricted(with_loss(), COLUMNS, "SELECT * FROM source")
        rows = duck.execute(f"SELECT *, typeof(JOB), typeof(LOSS) FROM ({text})").fetchall()
        assert rows == [("***", None, "VARCHAR", "DOUBLE")]  # and the row rule still goes by the true job


def with_loss() -> CubeModel:
    facts = model()
    loss = replace(facts.of_kind("measure")[0], name="LOSS")
    return replace(facts, columns=(*facts.columns, loss))


def test_a_mask_holds_in_rollups_and_for_times_derived_from_it(duck: duckdb.DuckDBPyConnection) -> None:
    columns = [("JOB", "VARCHAR"), ("ROWS_COUNT", "BIGINT"), ("LOSS__SUM", "DOUBLE"), ("LOSS__MAX", "DOUBLE")]
    source = "SELECT 'a' AS JOB, 2 AS ROWS_COUNT, 7.0 AS LOSS__SUM, 5.0 AS LOSS__MAX"
    text = principal("*", masked=("LOSS",)).restricted(with_loss(), columns, source)
    assert duck.execute(text).fetchall() == [("a", 2, None, None)]
    hidden = principal("*", masked=(model().time,)).masked_columns(model())
    assert {column.name for column in model().of_kind("derived")} < hidden
    assert principal("*", masked=("OTHER.JOB",)).masked_columns(model()) == frozenset()


def test_rows_that_cannot_be_told_apart_are_for_who_may_see_all() -> None:
    facts = model()
    without = [column.name for column in facts.columns if column.name != "JOB"]
    assert not principal("a*").may_read(facts, without)
    assert principal("*").may_read(facts, without)
    jobless = replace(facts, columns=tuple(column for column in facts.columns if column.name != "JOB"))
    for role in Role:
        assert principal("*", role=role).may_read(jobless, without) == (role >= Role.operator)
    with pytest.raises(Forbidden, match="ann may not read FACTS"):
        principal("*").restricted(jobless, [(name, "VARCHAR") for name in without], "SELECT 1")


def test_who_sees_everything_reads_the_relation_itself() -> None:
    assert principal("*").restricted(model(), COLUMNS, "SELECT 1") == "SELECT 1"


def test_projects_are_granted_by_pattern_without_regard_to_case() -> None:
    assert Principal("ann", Role.viewer, projects=("grad*",)).may_enter("GRADCUBE")
    assert not Principal("ann", Role.viewer, projects=("other",)).may_enter("gradcube")
    assert not Principal("ann", Role.viewer, projects=()).may_enter("gradcube")
