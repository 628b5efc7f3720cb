"""The stock kylinpy against a real gateway over a real broker."""

import datetime
import warnings
from collections.abc import Iterator

import httpx
import pytest
from kylinpy.kylindb import Connection
from tests.integration.cube.conftest import running_with
from tests.integration.cube.gateway_process import GatewayProcess
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.cube.client import query
from gradcube.errors import QueryError


@pytest.fixture(scope="module")
def filled(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One for all tests, which only read."""
    yield from running_with(broker, tmp_path_factory.mktemp("filled"), [value(number) for number in range(100)])


def test_everything_that_kylinpy_asks_is_answered(filled: GatewayProcess) -> None:
    kylin = filled.kylin()
    assert [project["name"] for project in kylin.projects()] == ["gradcube"]
    assert kylin.get_all_schemas() == ["DEFAULT"]
    assert kylin.get_all_tables() == ["FACTS"]
    assert kylin.get_all_tables("DEFAULT") == ["FACTS"]
    columns = {column.name: column.datatype for column in kylin.get_table_source("FACTS", "DEFAULT").columns}
    assert (columns["TS"], columns["SAMPLES"], columns["METRIC_VALUE"]) == ("TIMESTAMP(0)", "BIGINT", "DOUBLE")
    assert kylin.list_datasources() == ["facts_cube"]
    assert kylin.list_job() == []
    assert kylin.service.get_authentication()["username"] == "ADMIN"
    assert [table["name"] for table in kylin.service.tables_in_hive().values()] == ["FACTS"]


def test_all_other_reads_of_kylinpy_are_answered(filled: GatewayProcess) -> None:
    kylin = filled.kylin()
    assert [cube["name"] for cube in kylin.service.cubes()] == ["facts_cube"]
    description = kylin.service.cube_desc("facts_cube")
    assert (description["name"], description["model_name"]) == ("facts_cube", "facts_model")
    assert [model["fact_table"] for model in kylin.service.models()] == ["DEFAULT.FACTS"]
    assert kylin.service.jobs() == []
    assert kylin.service.tables_and_columns().keys() >= {"DEFAULT.FACTS"}


def test_db_api_of_kylinpy_gives_typed_rows(filled: GatewayProcess) -> None:
    connection = Connection.connect(
        username="ADMIN", password=filled.password, host="127.0.0.1", port=filled.port, project="gradcube", version="v1"
    )
    cursor = connection.cursor()
    cursor.execute("select TS, DAY_START, SAMPLES, METRIC_VALUE, SAMPLES = 5, JOB from FACTS where METRIC_VALUE < 2")
    moment = datetime.datetime(2026, 11, 24, 4)
    assert sorted(cursor.fetchall()) == [
        (moment, moment.date(), 5, 0.0, True, "bert"),
        (moment.replace(second=10), moment.date(), 5, 1.0, True, "bert"),
    ]
    assert [column[0] for column in cursor.description][:2] == ["TS", "DAY_START"]


@pytest.mark.parametrize(("limit", "rows"), [(7, 7), (1, 1), (0, 100)])
def test_limit_and_offset_of_the_request_are_kept(filled: GatewayProcess, limit: int, rows: int) -> None:
    body = {"sql": "select METRIC_VALUE from FACTS order by TS", "project": "gradcube", "limit": limit, "offset": 0}
    answers = []
    for offset in (0, 50):
        request = body | {"offset": offset, "acceptPartial": True}
        answer = httpx.post(f"{filled.url}/kylin/api/query", json=request, auth=("ADMIN", filled.password)).json()
        answers.append([row[0] for row in answer["results"]])
        assert answer["partial"] is False
    assert (len(answers[0]), answers[1][0]) == (rows, "50.0")


def test_cube_source_names_dimensions_and_measures(filled: GatewayProcess) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # kylinpy calls its own method deprecated
        source = filled.kylin().get_cube_source("facts_cube")
    assert "FACTS.JOB" in [dimension.name for dimension in source.dimensions]
    assert {dimension.datatype for dimension in source.dimensions} >= {"TIMESTAMP", "BIGINT"}
    assert "SUM (FACTS.METRIC_SUM)" in [measure.expression for measure in source.measures]


def test_answer_has_kylin_s_shape(filled: GatewayProcess) -> None:
    answer = filled.kylin().query("select job, ts, metric_sum * 99900000 from facts where metric_value = 1")
    assert answer["results"] == [["bert", "2026-11-24 04:00:10", "1.998E8"]]
    assert [meta["label"] for meta in answer["columnMetas"]] == ["JOB", "TS", "EXPR$2"]
    assert [meta["columnTypeName"] for meta in answer["columnMetas"]] == ["VARCHAR", "TIMESTAMP", "DOUBLE"]
    assert [meta["tableName"] for meta in answer["columnMetas"]] == ["FACTS", "FACTS", None]
    assert (answer["isException"], answer["exceptionMessage"], answer["partial"]) == (False, None, False)


def test_client_gives_typed_rows(filled: GatewayProcess) -> None:
    rows = query(filled.kylin(), "select ts, day_start, samples, metric_value, node from facts order by ts limit 1")
    moment = datetime.datetime(2026, 11, 24, 4)
    assert rows.rows == [(moment, moment.date(), 5, 0.0, "")]
    assert rows.columns == ("TS", "DAY_START", "SAMPLES", "METRIC_VALUE", "NODE")


@pytest.mark.parametrize("sql", ["drop table facts", "select 1; select 2", "select * from read_csv('/etc/passwd')"])
def test_what_is_not_a_select_is_refused_in_kylin_s_form(filled: GatewayProcess, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        filled.ask(sql)
    assert str(caught.value) not in ("", "None")
    body = {"sql": sql, "project": "gradcube"}
    answer = httpx.post(f"{filled.url}/kylin/api/query", json=body, auth=("ADMIN", filled.password))
    assert answer.status_code == 500
    assert answer.json()["exception"] == answer.json()["msg"]
    assert answer.json()["stacktrace"] is None
    assert filled.ask("select count(*) from facts") == [(100,)]


def test_wrong_password_is_401_and_never_logged(filled: GatewayProcess) -> None:
    with pytest.raises(QueryError, match="Wrong user name or password"):
        query(filled.kylin("canary-password"), "select 1")
    answer = httpx.get(f"{filled.url}/kylin/api/projects")
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    log = filled.log.read_text()
    assert "canary-password" not in log
    assert filled.password not in log


@pytest.mark.parametrize(
    "path",
    ["query", "projects", "tables_and_columns?project=gradcube", "tables?project=gradcube", "cubes", "models", "jobs",
     "cube_desc/facts_cube/desc", "user/authentication"],
)  # fmt: skip
def test_every_path_of_kylin_s_wants_the_password(filled: GatewayProcess, path: str) -> None:
    for method in ("GET", "POST"):
        assert httpx.request(method, f"{filled.url}/kylin/api/{path}").status_code in (401, 405)


def test_unknown_project_is_400_in_kylin_s_words(filled: GatewayProcess) -> None:
    with pytest.raises(QueryError, match="Cannot find project 'nope'"):
        query(filled.kylin(project="nope"), "select 1")


def test_jdbc_s_prepared_statement_is_bound(filled: GatewayProcess) -> None:
    body = {
        "sql": "select count(*) from facts where samples = ? and metric = ?", "project": "gradcube",
        "backdoorToggles": {"ATTR_STATEMENT_MAX_ROWS": "0"}, "acceptPartial": False,
        "params": [{"className": "java.lang.Integer", "value": "5"},
                   {"className": "java.lang.String", "value": "loss"}],
    }  # fmt: skip
    answer = httpx.post(f"{filled.url}/kylin/api/query", json=body, auth=("ADMIN", filled.password))
    assert answer.json()["results"] == [["100"]]


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[]", 400), (b"{}", 400), (b'{"project":"gradcube"}', 400), (b"x" * 1_100_000, 413),
     (b'{"project":"gradcube","sql":"select 1","limit":"x"}', 400),
     (b'{"project":"gradcube","sql":"select 1","params":3}', 400)],
)  # fmt: skip
def test_odd_request_is_refused_clearly(filled: GatewayProcess, content: bytes, status: int) -> None:
    answer = httpx.post(f"{filled.url}/kylin/api/query", content=content, auth=("ADMIN", filled.password))
    assert answer.status_code == status
    assert answer.json()["msg"]


def test_health_is_open_and_tells_counts(filled: GatewayProcess) -> None:
    assert httpx.get(f"{filled.url}/ready").status_code == 200
    assert 'gradcube_cube_rows{cube="FACTS"} 100.0' in httpx.get(f"{filled.url}/metrics").text
    wait_until(lambda: filled.status()["lag"] == 0, 30, "the lag is measured anew")
    status = filled.status()
    assert (status["facts"], status["lag"], status["stale"], status["reason"]) == (100, 0, None, None)
    whole = filled.whole_status()
    assert (whole["ingest"], whole["reason"], whole["compaction"]) == ("running", None, None)
    assert set(whole["queries"]["walls"]) >= {"seccomp", "landlock"}
