"""Who sees what of a real gateway: roles, jobs granted, masks, tokens, others' queries, and the audit chain."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta

import httpx
import pytest
from tests.integration.cube.conftest import running_with
from tests.integration.cube.gateway_process import GatewayProcess
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.security.passwords import Cost, hash_password
from gradcube.security.roles import OPEN, ROUTES, Role
from gradcube.security.users import new_token, token_hash
from gradcube.security.users_file import Token, User, edit_users

WORD = "correct horse battery"
TOKEN = new_token()


@pytest.fixture(scope="module")
def gateway(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """60 facts of three jobs; one user of each role, of whom the analyst sees one job, without its nodes."""
    facts = [value(number, job=("ann-1", "ann-2", "bob-1")[number % 3], NODE="n7") for number in range(60)]
    for process in running_with(broker, tmp_path_factory.mktemp("access"), facts):
        hashed = hash_password(WORD, Cost(4))
        token = Token(name="t", sha256=token_hash(TOKEN), expires=date.today() + timedelta(days=2))
        made = {
            "vic": User(role=Role.viewer, password=hashed),
            "ann": User(role=Role.analyst, password=hashed, jobs=("ann-*",), masked=("NODE",), tokens=(token,)),
            "eve": User(role=Role.analyst, password=hashed),
            "olga": User(role=Role.operator, password=hashed, jobs=("*",)),
        }
        for name, user in made.items():
            edit_users(process.directory / "users.json", lambda file, n=name, u=user: file.with_user(n, u))
        wait_for_users(process)
        yield process


def wait_for_users(gateway: GatewayProcess) -> None:
    wait_until(lambda: call(gateway, "olga", "GET", "/kylin/api/projects").status_code == 200, 20, "users are read")


def call(gateway: GatewayProcess, who: str, method: str, path: str, **more: object) -> httpx.Response:
    return httpx.request(method, f"{gateway.url}{path}", auth=(who, WORD), timeout=30, **more)  # type: ignore[arg-type]


def ask(gateway: GatewayProcess, who: str, sql: str) -> httpx.Response:
    return call(gateway, who, "POST", "/gradcube/v1/query", json={"sql": sql})


def test_viewer_sees_tables_and_asks_nothing(gateway: GatewayProcess) -> None:
    assert call(gateway, "vic", "GET", "/kylin/api/tables_and_columns?project=gradcube").status_code == 200
    assert ask(gateway, "vic", "select 1").status_code == 403


@pytest.mark.parametrize(
    ("sql", "rows"),
    [("select count(*) from FACTS", [[40]]), ("select count(*) from FACTS where JOB = 'bob-1'", [[0]]),
     ("select JOB, count(*) from FACTS group by JOB order by JOB", [["ann-1", 20], ["ann-2", 20]]),
     ("select HOUR_START, count(*) from FACTS group by HOUR_START", [["2026-11-24 04:00:00", 40]]),
     ("select distinct NODE from FACTS", [["***"]]), ("select count(*) from FACTS where NODE = 'n7'", [[0]])],
)  # fmt: skip
def test_analyst_sees_the_jobs_granted_without_what_is_masked(
    gateway: GatewayProcess, sql: str, rows: list[object]
) -> None:
    assert ask(gateway, "ann", sql).json()["rows"] == rows


def test_nobody_sees_more_than_is_granted_and_an_operator_sees_all(gateway: GatewayProcess) -> None:
    assert ask(gateway, "eve", "select count(*) from FACTS").json()["rows"] == [[0]]
    assert ask(gateway, "olga", "select count(*), max(NODE) from FACTS").json()["rows"] == [[60, "n7"]]
    kylin = {"sql": "select count(*) from FACTS", "project": "gradcube"}
    assert call(gateway, "ann", "POST", "/kylin/api/query", json=kylin).json()["results"] == [["40"]]


@pytest.mark.parametrize(
    "sql",
    [
        "select distinct JOB, NODE from FACTS",
        "select f.JOB, g.JOB, g.NODE from FACTS f join FACTS g on f.TS = g.TS or f.JOB <> g.JOB limit 9000",
        "with a as (select * from FACTS) select distinct JOB, NODE from a union all select JOB, NODE from FACTS",
        "select JOB from (select JOB, NODE as JOBS from FACTS) FACTS where exists (select 1 from FACTS)",
        "select JOB, count(*), max(NODE), min(NODE) from FACTS group by JOB having max(JOB) > 'a' order by max(NODE)",
        "select max(case when JOB = 'bob-1' then JOB end), max(upper(NODE)), max(NODE || JOB) from FACTS",
        "select JOB, lag(JOB) over (order by TS), first_value(NODE) over (order by TS) from FACTS",
        "select JOB from FACTS where JOB not in (select JOB from FACTS where JOB like 'ann%')",
        "select percentile_approx(METRIC_VALUE, 0.5), JOB from FACTS group by grouping sets ((JOB), ())",
        "select * from SLOWEST_RANKS",
        "select * from LEMON_NODES",
        "select NODE, JOB from RESOURCES union select NODE, JOB from FINDINGS union select JOB, MODEL from JOBS",
        "select cast(NODE as int) from FACTS",
        "select cast(JOB || NODE as timestamp) from FACTS",
        "select 1 / (case when max(JOB) = 'bob-1' then 0 else 1 end) from FACTS",
        "select * from FACTS__SUBJECT_DAY",
        'select * from "DEFAULT"."FACTS__SUBJECT_DAY"',
        "select * from (values (1)) FACTS",
    ],
)
def test_no_turn_of_phrase_shows_what_is_not_granted(gateway: GatewayProcess, sql: str) -> None:
    for path in ("/gradcube/v1/query", "/kylin/api/query"):
        body = {"sql": sql, "project": "gradcube", "limit": 10_000}
        answer = call(gateway, "ann", "POST", path, json=body)
        shown = answer.text.replace(sql, "")
        assert "bob" not in shown.lower(), shown[:500]
        assert "n7" not in shown.lower(), shown[:500]


def test_every_route_answers_every_role_as_the_table_says(gateway: GatewayProcess) -> None:
    roles = {"nobody": None, "vic": Role.viewer, "ann": Role.analyst, "olga": Role.operator}
    for (method, template), least in ROUTES.items():
        path = template.replace("{name}", "facts_cube").replace("{query_id}", "f00")
        for who, role in roles.items():
            auth = None if role is None else (who, WORD)  # wrong passwords would soon be 429
            status = httpx.request(method, f"{gateway.url}{path}", auth=auth, json={}, timeout=30).status_code
            if least is OPEN:
                assert status in (200, 503), (who, method, path)
            elif role is None:
                assert status == 401, (who, method, path)
            else:
                assert (status == 403) == (role < least), (who, method, path, status)
                assert status != 401, (who, method, path)


def test_token_is_as_good_as_the_password(gateway: GatewayProcess) -> None:
    body, headers = {"sql": "select count(*) from FACTS"}, {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{gateway.url}/gradcube/v1/query", json=body, headers=headers).json()["rows"] == [[40]]


def test_queries_are_their_owner_s_and_an_operator_may_end_them(gateway: GatewayProcess) -> None:
    made = call(gateway, "ann", "POST", "/gradcube/v1/queries", json={"sql": "select count(*) from FACTS"})
    path = made.headers["Location"]
    for method, where in (("GET", path), ("GET", f"{path}/result"), ("DELETE", path)):
        assert call(gateway, "eve", method, where).status_code == 404
    assert call(gateway, "olga", "GET", f"{path}/result").status_code == 404
    assert call(gateway, "olga", "DELETE", path).status_code == 204
    assert call(gateway, "ann", "GET", path).status_code == 404


def test_every_statement_is_in_the_chain_without_its_secrets(gateway: GatewayProcess) -> None:
    ask(gateway, "ann", "select count(*) from FACTS where JOB = /*secret*/'canary-19'")
    ask(gateway, "ann", "drop table FACTS")
    file = gateway.directory / "audit" / "audit.jsonl"
    wait_until(lambda: "drop table FACTS" in file.read_text(), 20, "the chain has the statement")
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    last = [(one["who"], one["verdict"], one["rows"]) for one in entries if one.get("who") == "ann"][-2:]
    assert last == [("ann", "ok", 1), ("ann", "refused", None)]
    assert "canary-19" not in file.read_text()
    assert "canary-19" not in gateway.log.read_text()
    command = [sys.executable, "-c", "from gradcube.cli.main import main; main()", "audit", "verify"]
    given = [str(file), "--key-file", str(gateway.directory / "audit.key")]
    done = subprocess.run([*command, *given], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


KYLINS_FLAWS = [
    ("CVE-2020-1956", "POST", "/kylin/api/cubes/FACTS/gradcube/migrate"),
    ("CVE-2020-13925", "GET", "/kylin/api/diag/project/gradcube/download"),
    ("CVE-2020-13925", "GET", "/kylin/api/diag/job/%60id%60/download"),
    ("CVE-2020-13926", "POST", "/kylin/api/cubes"),
    ("CVE-2020-13926", "PUT", "/kylin/api/cubes/FACTS/rebuild"),
    ("CVE-2020-13937", "GET", "/kylin/api/admin/config"),
    ("CVE-2021-27738", "PUT", "/kylin/api/streaming_coordinator/cluster/state"),
    ("CVE-2021-27738", "GET", "/kylin/api/streaming_coordinator/balance/recommend"),
    ("CVE-2021-31522", "POST", "/kylin/api/streaming/kafka"),
    ("CVE-2021-31522", "POST", "/kylin/api/streaming_v2"),
    ("CVE-2021-45456", "GET", "/kylin/api/diag/project/%7C%7Ctouch%20x/download"),
    ("CVE-2022-24697", "PUT", "/kylin/api/projects"),
    ("CVE-2022-43396", "PUT", "/kylin/api/models"),
    ("CVE-2022-44621", "GET", "/kylin/api/diag/sql/1/download"),
    ("cache", "PUT", "/kylin/api/cache/all/all/update"),
    ("receiver", "DELETE", "/kylin/api/admin/data/facts_v1"),
]
"""Where the published flaws of Kylin 3.x are reached (docs/security.md)."""


@pytest.mark.parametrize(("flaw", "method", "path"), KYLINS_FLAWS)
def test_gateway_has_no_way_to_kylins_published_flaws(
    gateway: GatewayProcess, flaw: str, method: str, path: str
) -> None:
    """Not even for its administrator: what is not in the table of routes is refused, and nothing is passed on."""
    sent = (
        {"json": {"override_kylin_properties": {"kylin.engine.spark-cmd": "touch /tmp/x"}}} if method != "GET" else {}
    )
    for who, word in (("olga", WORD), ("ADMIN", gateway.password)):
        answer = httpx.request(method, f"{gateway.url}{path}", auth=(who, word), timeout=30, **sent)  # type: ignore[arg-type]
        assert answer.status_code in (403, 404, 405), f"{flaw}: {answer.text}"


@pytest.mark.parametrize("project", ["gradcube' or '1'='1", "gradcube;drop table FACTS", "../gradcube", "`id`"])
def test_project_is_compared_and_not_put_into_anything(gateway: GatewayProcess, project: str) -> None:
    """CVE-2020-1937: SQL through the parameters of REST."""
    for path in ("/kylin/api/tables_and_columns", "/kylin/api/tables"):
        answer = httpx.get(f"{gateway.url}{path}", params={"project": project}, auth=("olga", WORD), timeout=30)
        assert answer.status_code == 400
        assert "Cannot find project" in answer.json()["exception"]
