"""Kylin's own JDBC driver 3.1.3 on Java 17 against a real gateway: jdbc/Ask.java asks, each test reads its part."""

import shutil
import subprocess

import pytest
from tests.integration.cube.foreign_clients import JDBC, cannot, jdbc_jars
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.cube.sqlalchemy_checks import ODD_JOB

from gradcube.bus.broker_files import java_command
from gradcube.cube.model import load_cube


@pytest.fixture(scope="module")
def lines(served: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What Ask.java printed."""
    classes, jars = tmp_path_factory.mktemp("classes"), jdbc_jars()
    compiler = shutil.which("javac") or cannot("there is no javac; install a JDK 17")
    path = f"{classes}:{jars}/*"
    subprocess.run([compiler, "-encoding", "UTF-8", "-cp", path, "-d", str(classes), JDBC / "Ask.java"], check=True)
    utf8 = [f"-D{name}=UTF-8" for name in ("file.encoding", "stdout.encoding", "sun.stdout.encoding")]
    java = [java_command(), "-Xmx128m", "-Duser.timezone=UTC", *utf8, "-cp", path, "Ask"]
    url = f"jdbc:kylin://127.0.0.1:{served.port}/gradcube"
    done = subprocess.run([*java, url], input=served.password, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout.splitlines()


def of(lines: list[str], topic: str) -> list[str]:
    """The lines of a topic, without its name."""
    return [line.removeprefix(f"{topic}:").strip(" |") for line in lines if line.startswith(f"{topic}:")]


def test_every_type_arrives_as_java_s(lines: list[str]) -> None:
    row, count = of(lines, "types")
    assert row.split(" | ") == [
        "JOB VARCHAR String bert", "TS TIMESTAMP Timestamp 2026-11-24 04:00:30.0", "DAY_START DATE Date 2026-11-24",
        "WINDOW_SECONDS INTEGER Integer 10", "SAMPLES BIGINT Long 5", "METRIC_VALUE DOUBLE Double 3.0",
        "EXPR$6 BOOLEAN Boolean true", "EXACT DECIMAL BigDecimal 1.50", "EXPR$8 VARCHAR null",
    ]  # fmt: skip
    assert count == "1 rows"


def test_getters_read_by_name_and_place(lines: list[str]) -> None:
    assert of(lines, "getters") == ["2026-11-24 04:00:30.0 2026-11-24 5 5 3.0 bert false false"]


def test_unicode_large_doubles_empty_answers_and_groups(lines: list[str]) -> None:
    assert of(lines, "odd") == [f"JOB VARCHAR String {ODD_JOB} | METRIC_VALUE DOUBLE Double 1.0E12", "1 rows"]
    assert of(lines, "empty") == ["0 rows"]
    group = "METRIC VARCHAR String loss | N BIGINT Long 101 | M TIMESTAMP Timestamp 2026-11-24 04:16:00.0"
    assert of(lines, "group") == [group, "1 rows"]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("int", 101), ("long", 101), ("short", 101), ("byte", 101), ("double", 10), ("float", 10), ("decimal", 10),
     ("string", 100), ("odd string", 1), ("boolean", 10), ("timestamp", 6), ("date", 101), ("object", 10)],
)  # fmt: skip
def test_prepared_statement_binds(lines: list[str], kind: str, rows: int) -> None:
    assert of(lines, f"bound {kind}") == [f"EXPR$0 BIGINT Long {rows}", "1 rows"]


def test_prepared_statement_is_asked_again_with_other_values(lines: list[str]) -> None:
    assert [line for line in of(lines, "again") if "Long" in line] == ["EXPR$0 BIGINT Long 10", "EXPR$0 BIGINT Long 20"]


def test_metadata_names_schemas_tables_and_columns(lines: list[str]) -> None:
    for topic in ("tables", "tables of schema"):
        [table] = [line for line in of(lines, topic) if "TABLE_NAME VARCHAR String FACTS" in line]
        assert "TABLE_SCHEM VARCHAR String DEFAULT" in table
        assert "TABLE_TYPE VARCHAR String TABLE" in table
    assert "TABLE_SCHEM VARCHAR String DEFAULT" in of(lines, "schemas")[0]
    assert of(lines, "catalogs")[0] == "TABLE_CAT VARCHAR String defaultCatalog"
    columns = of(lines, "column")
    model = load_cube()
    expected = [(str(place), one.name, str(one.type.jdbc_code)) for place, one in enumerate(model.columns, 1)]
    assert [tuple(column.split(" ")[:3]) for column in columns] == expected


def test_set_max_rows_limits_the_answer(lines: list[str]) -> None:
    assert (of(lines, "all rows"), of(lines, "most rows")) == (["101"], ["5"])


@pytest.mark.parametrize(
    ("what", "words"),
    [("select NOPE from FACTS", "Column 'NOPE' not found in any table"),
     ("select * from NOWHERE", "Object 'NOWHERE' not found"),
     ("drop table FACTS", "Not Supported SQL."), ("select count( from FACTS", "at line 1, column 24"),
     ("wrong password", "Wrong user name or password."), ("unknown project", "Cannot find project 'gradcubex'")],
)  # fmt: skip
def test_refusal_is_an_sql_exception_with_the_server_s_words(lines: list[str], what: str, words: str) -> None:
    [line] = of(lines, f"refused {what}")
    assert words in line
    assert "canary" not in line
