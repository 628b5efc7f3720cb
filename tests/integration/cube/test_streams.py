"""Our own routes on a real gateway: Arrow, CSV and JSON, asynchronous queries, cancels, many clients, killed parts."""

import csv
import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.integration.cube.conftest import cubes_folder, running_with
from tests.integration.cube.gateway_process import GatewayProcess, produce
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import TopicSpec
from gradcube.clients.connection import connect
from gradcube.settings import KafkaSettings

ARROW = "application/vnd.apache.arrow.stream"
ROWS = 30_000
# Minutes of work that no index helps with; cancelled or cut by its timeout.
SLOW = "select count(*) from FACTS a, FACTS b, FACTS c where a.METRIC_VALUE + b.METRIC_VALUE > c.METRIC_VALUE"


@pytest.fixture(scope="module")
def large(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Only read by most of the tests."""
    yield from running_with(broker, tmp_path_factory.mktemp("large"), [value(number) for number in range(ROWS)])


@pytest.fixture
def http(large: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{large.url}/gradcube/v1", auth=("ADMIN", large.password), timeout=60) as client:
        yield client


def ask(http: httpx.Client, sql: str, accept: str, **body: Any) -> httpx.Response:
    return http.post("/query", json={"sql": sql, **body}, headers={"Accept": accept})


def test_arrow_holds_all_rows_in_the_engine_s_types(http: httpx.Client) -> None:
    answer = ask(http, "select TS, METRIC_VALUE, SAMPLES, JOB from FACTS order by TS", ARROW)
    assert answer.headers["Content-Type"] == ARROW
    with pa.ipc.open_stream(answer.content) as reader:
        table = reader.read_all()
    assert table["METRIC_VALUE"].to_pylist() == [float(number) for number in range(ROWS)]
    assert [str(field.type) for field in table.schema][1:] == ["double", "int64", "string"]
    assert (answer.headers["X-Gradcube-Rows"], answer.headers["X-Gradcube-Partial"]) == (str(ROWS), "false")


def test_csv_and_json_say_the_same(http: httpx.Client) -> None:
    sql = "select METRIC_VALUE, SAMPLES, JOB, TS, nullif(JOB, 'bert') N from FACTS order by TS"
    rows = list(csv.reader(io.StringIO(ask(http, sql, "text/csv").text)))
    assert rows[0] == ["METRIC_VALUE", "SAMPLES", "JOB", "TS", "N"]
    assert len(rows) == ROWS + 1
    found = ask(http, sql, "application/json").json()
    assert [column["type"] for column in found["columns"]] == ["DOUBLE", "BIGINT", "VARCHAR", "TIMESTAMP", "VARCHAR"]
    assert found["rows"][7] == [7.0, 5, "bert", "2026-11-24 04:01:10", None]
    assert [(float(row[0]), row[2]) for row in rows[1:]] == [(row[0], row[2]) for row in found["rows"]]


def test_limit_offset_and_parameters_are_kept(http: httpx.Client) -> None:
    sql = "select METRIC_VALUE from FACTS where JOB = ? and METRIC_VALUE >= ? order by TS"
    found = ask(http, sql, "*/*", parameters=["bert", 10], limit=3, offset=2).json()
    assert (found["rows"], found["partial"]) == ([[12.0], [13.0], [14.0]], True)


@pytest.mark.parametrize(
    ("body", "accept", "status"),
    [({"sql": "drop table FACTS"}, "*/*", 500), ({"sql": ""}, "*/*", 400), ({"sql": "select 1"}, "image/png", 406),
     ({"sql": "select 1", "project": "nope"}, "*/*", 400), ({"sql": "select 1", "limit": -1}, "*/*", 400),
     ({"sql": "select ?", "parameters": [[1]]}, "*/*", 400)],
)  # fmt: skip
def test_odd_request_is_refused(http: httpx.Client, body: dict[str, Any], accept: str, status: int) -> None:
    answer = http.post("/query", json=body, headers={"Accept": accept})
    assert (answer.status_code, bool(answer.json()["msg"])) == (status, True)


def test_own_routes_want_the_password(large: GatewayProcess) -> None:
    for method, path in (("POST", "query"), ("POST", "queries"), ("GET", "queries/x"), ("DELETE", "queries/x")):
        assert httpx.request(method, f"{large.url}/gradcube/v1/{path}").status_code == 401


def test_our_client_gets_arrow(large: GatewayProcess) -> None:
    with connect(f"http://ADMIN@127.0.0.1:{large.port}/gradcube", password_file=large.directory / "password") as cube:
        result = cube.query("select METRIC_VALUE from FACTS order by TS", limit=1000)
    assert (len(result.arrow()), result.partial) == (1000, True)


def submit(http: httpx.Client, sql: str, **body: Any) -> str:
    answer = http.post("/queries", json={"sql": sql, **body})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"].endswith(answer.json()["id"])
    return str(answer.json()["id"])


def state(http: httpx.Client, query_id: str) -> dict[str, Any]:
    return dict(http.get(f"/queries/{query_id}").json())


def test_asynchronous_query_ends_and_is_fetched_in_pages(http: httpx.Client) -> None:
    query_id = submit(http, "select METRIC_VALUE from FACTS order by TS")
    wait_until(lambda: state(http, query_id)["state"] == "done", 30, "the query ends")
    assert (state(http, query_id)["rows"], state(http, query_id)["percent"]) == (ROWS, 100.0)
    rows: list[list[float]] = []
    while page := http.get(f"/queries/{query_id}/result", params={"offset": len(rows), "limit": 12_345}).json()["rows"]:
        rows += page
    assert rows == [[float(number)] for number in range(ROWS)]
    table = pa.ipc.open_stream(http.get(f"/queries/{query_id}/result", headers={"Accept": ARROW}).content).read_all()
    assert table.num_rows == ROWS
    assert http.delete(f"/queries/{query_id}").status_code == 204
    assert http.get(f"/queries/{query_id}").status_code == 404


def test_running_query_tells_its_state_and_is_cancelled(large: GatewayProcess, http: httpx.Client) -> None:
    query_id = submit(http, SLOW)
    wait_until(lambda: state(http, query_id)["state"] == "running", 20, "it runs")
    assert http.get(f"/queries/{query_id}/result").status_code == 409
    assert http.delete(f"/queries/{query_id}").status_code == 204
    wait_until(lambda: large.whole_status()["queries"]["running"] == 0, 10, "nothing runs")


def test_failed_query_says_why(http: httpx.Client) -> None:
    query_id = submit(http, "select nope from FACTS")
    wait_until(lambda: state(http, query_id)["state"] == "failed", 20, "it fails")
    assert "'NOPE' not found" in state(http, query_id)["error"]
    assert http.get(f"/queries/{query_id}/result").status_code == 500
    assert http.post("/queries", json={"sql": "drop table FACTS"}).status_code == 500


def test_client_that_hangs_up_ends_its_query(large: GatewayProcess) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{large.url}/gradcube/v1/query", json={"sql": SLOW}, auth=("ADMIN", large.password), timeout=1.0)
    wait_until(lambda: large.whole_status()["queries"]["running"] == 0, 10, "nothing runs")


def test_killed_query_process_costs_one_answer(large: GatewayProcess, http: httpx.Client) -> None:
    query_id = submit(http, SLOW)
    wait_until(lambda: state(http, query_id)["state"] == "running", 20, "it runs")
    for pid in children(large):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: state(http, query_id)["state"] == "failed", 20, "its answer is lost")
    assert "process" in state(http, query_id)["error"]
    assert large.ask("select count(*) from FACTS") == [(ROWS,)]
    assert httpx.get(f"{large.url}/ready").status_code == 200


def children(gateway: GatewayProcess) -> list[int]:
    listed = Path(f"/proc/{gateway.pid}/task").glob("*/children")
    return [int(pid) for path in listed for pid in path.read_text().split()]


@pytest.fixture
def growing(tmp_path: Path, kafka: KafkaSettings, topic: TopicSpec) -> Iterator[GatewayProcess]:
    """With one row, and without a limit on how often one user asks."""
    folder = cubes_folder(tmp_path, topic.name)
    gateway = GatewayProcess(tmp_path, kafka, cubes=str(folder), requests_per_second="100000")
    gateway.start()
    produce(kafka, topic.name, [value(0)])
    gateway.wait_for_rows(1)
    yield gateway
    gateway.stop()


def test_sixty_four_clients_are_served_while_ingest_goes_on(
    growing: GatewayProcess, kafka: KafkaSettings, topic: TopicSpec
) -> None:
    gateway, total = growing, 60_000
    rest = [value(number) for number in range(1, total)]
    writing, ended, answered = Thread(target=produce, args=(kafka, topic.name, rest)), Event(), [0] * 64
    writing.start()

    def keep_asking(number: int) -> None:
        with httpx.Client(base_url=gateway.url, auth=("ADMIN", gateway.password), timeout=60) as client:
            while not ended.is_set() or not answered[number]:
                answer = client.post("/gradcube/v1/query", json={"sql": f"select count(*) + {number} * 0 from FACTS"})
                assert answer.status_code == 200, answer.text
                assert answer.json()["rows"][0][0] >= 1
                answered[number] += 1

    with ThreadPoolExecutor(64) as clients:
        asked = [clients.submit(keep_asking, number) for number in range(64)]
        try:
            gateway.wait_for_rows(total, timeout_seconds=120)
        finally:
            ended.set()
        for one in asked:
            one.result(120)
    writing.join()
    assert min(answered) > 0
    assert gateway.ask("select count(*), count(distinct FACT_ID) from FACTS") == [(total, total)]
