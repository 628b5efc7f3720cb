"""One contract, two engines: what the embedded engine answers, Kylin answers through the gateway, by three clients.

GRADCUBE_TEST_STATEMENTS makes it more, or fewer, drawn statements.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from tests.integration.cube.foreign_clients import cannot, jdbc_jars
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.questions.page import Question, questions
from tests.kylin.both import Both, ask, assert_same, both_engines, counted, is_same
from tests.kylin.conftest import nodes
from tests.kylin.statements import Drawn, statements
from tests.waiting import wait_until

from gradcube.bus.broker_files import java_command
from gradcube.security.passwords import Cost, hash_password
from gradcube.security.roles import Role
from gradcube.security.users_file import User, edit_users

STATEMENTS = int(os.environ.get("GRADCUBE_TEST_STATEMENTS", "500"))
QUESTIONS = questions()
pytestmark = pytest.mark.timeout(1500)  # with its share of two cores, when other tests run beside it
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=[str(one.number) for one in QUESTIONS])


@pytest.fixture(scope="module")
def both(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with both_engines(folder, tmp_path_factory.mktemp("both")) as both:
        yield both


def test_there_are_facts_enough_each_counted_once(both: Both) -> None:
    assert both.facts >= 200_000
    assert counted(both.kylin) == both.facts
    assert both.embedded.status()["duplicate_fact_ids"] > 500


@each_question
def test_question_of_the_page(both: Both, question: Question) -> None:
    assert_same(ask(both.kylin, question.sql), ask(both.embedded, question.sql), question.sql)


def test_drawn_aggregations(both: Both) -> None:
    asked = []

    @settings(max_examples=STATEMENTS, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(statements())
    def check(drawn: Drawn) -> None:
        asked.append(drawn.sql)
        assert_same(ask(both.kylin, drawn.sql), ask(both.embedded, drawn.sql), drawn.sql, drawn.groups)

    check()
    assert len(asked) >= STATEMENTS


@pytest.mark.parametrize("metric", ["loss", "step_seconds"])
@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.95, 0.99])
def test_percentile_is_within_the_sketches_error(both: Both, metric: str, quantile: float) -> None:
    sql = f"select percentile_approx(METRIC_VALUE, {quantile}) from FACTS where METRIC = '{metric}' and JOB = 'bert'"
    [[found]], [[expected]] = (ask(one, sql)["results"] for one in (both.kylin, both.embedded))
    assert is_same(found, expected, relative=0.03)


def test_answers_by_sqlalchemy(both: Both) -> None:
    answers = []
    for gateway in (both.kylin, both.embedded):
        url = f"kylin+compat://ADMIN@127.0.0.1:{gateway.port}/gradcube"
        engine = sa.create_engine(url, connect_args={"password_file": str(gateway.directory / "password")})
        with engine.connect() as connection:
            facts = sa.Table("FACTS", sa.MetaData(), autoload_with=connection)
            total = sa.func.sum(facts.c.METRIC_SUM) / sa.func.sum(facts.c.SAMPLES)
            statement = sa.select(facts.c.JOB, facts.c.STAGE, total, sa.func.max(facts.c.DAY_START))
            statement = statement.where(facts.c.METRIC.in_(["loss", "step_seconds"]), facts.c.STAGE >= 9)
            statement = statement.group_by(facts.c.JOB, facts.c.STAGE).order_by(facts.c.JOB, facts.c.STAGE)
            answers.append([tuple(row) for row in connection.execute(statement)])
        engine.dispose()
    assert len(answers[0]) == len(answers[1]) > 10
    for row, other in zip(*answers, strict=True):
        assert all(map(is_same, map(str, row), map(str, other)))


def test_answers_by_kylins_jdbc_driver(both: Both, tmp_path: Path) -> None:
    jars, compiler = jdbc_jars(), shutil.which("javac") or cannot("there is no javac; install a JDK 17")
    path = f"{tmp_path}:{jars}/*"
    source = Path(__file__).parent / "jdbc" / "AskAll.java"
    subprocess.run([compiler, "-encoding", "UTF-8", "-cp", path, "-d", str(tmp_path), str(source)], check=True)
    (tmp_path / "all.sql").write_text("\n;\n".join(one.sql for one in QUESTIONS))
    lines = [by_jdbc(gateway, path, tmp_path / "all.sql") for gateway in (both.kylin, both.embedded)]
    assert len(lines[0]) == len(lines[1]) > 100
    for line, other in zip(*lines, strict=True):
        assert all(map(is_same, line.split("\t"), other.split("\t"))), f"{line}\n{other}"


def by_jdbc(gateway: GatewayProcess, path: str, statements: Path) -> list[str]:
    utf8 = [f"-D{name}=UTF-8" for name in ("file.encoding", "stdout.encoding", "sun.stdout.encoding")]
    java = [java_command(), "-Xmx128m", "-Duser.timezone=UTC", *utf8, "-cp", path, "AskAll"]
    url = f"jdbc:kylin://127.0.0.1:{gateway.port}/gradcube"
    done = subprocess.run(
        [*java, url, str(statements)], input=gateway.password, capture_output=True, encoding="utf-8", timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


def test_views_and_metadata(both: Both) -> None:
    for name in ("SLOWEST_RANKS", "STRAGGLER_COST", "STABILITY_BY_MODEL_SIZE"):
        sql = f"select * from {name} limit 1000"
        assert_same(ask(both.kylin, sql), ask(both.embedded, sql), sql, groups=3)
    path = "/kylin/api/tables_and_columns?project=gradcube"
    told = [httpx.get(f"{one.url}{path}", auth=("ADMIN", one.password)).json() for one in (both.kylin, both.embedded)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "sql",
    [
        "select JOB, count(*), sum(SAMPLES) from FACTS group by JOB order by JOB",
        "select count(*) from FACTS where STAGE > 9 or JOB = 'bert'",
        "select METRIC, sum(METRIC_SUM) from FACTS where ATTEMPT > 0 group by METRIC order by METRIC",
        "select count(*) from (select JOB from FACTS where JOB <> 'it''s') as F",
        "select count(*) from FACTS where JOB in (select JOB from FACTS group by JOB)",
        "select F.JOB, F.N, (select count(*) from JOBS) from (select JOB, count(*) as N from FACTS group by JOB) F",
    ],
)
def test_somebody_sees_his_jobs_alone(both: Both, sql: str) -> None:
    user = User(
        role=Role.analyst, password=hash_password("correct horse", Cost(4)), jobs=("b*", "it's"), masked=("NODE",)
    )
    for gateway in (both.kylin, both.embedded):
        edit_users(gateway.directory / "users.json", lambda file: file.with_user("ann", user))
        wait_until(lambda g=gateway: seen_by_ann(g, "select 1").status_code == 200, 20, "users are read")
    answers = [seen_by_ann(gateway, sql).json() for gateway in (both.kylin, both.embedded)]
    assert_same(answers[0], answers[1], sql, groups=1)
    assert "gpt-9b" not in str(answers[0]["results"])


def test_masked_column_is_refused(both: Both) -> None:
    answer = seen_by_ann(both.kylin, "select NODE, count(*) from FACTS group by NODE")
    assert answer.status_code == 500
    assert "NODE is masked" in answer.json()["exception"]


def seen_by_ann(gateway: GatewayProcess, sql: str) -> httpx.Response:
    body = {"sql": sql, "project": "gradcube"}
    return httpx.post(f"{gateway.url}/kylin/api/query", json=body, auth=("ann", "correct horse"), timeout=60)


@pytest.mark.parametrize(
    "sql",
    [
        "select F.JOB, F.N, W.K from (select JOB, count(*) as N from FACTS group by JOB) F "
        "join (select JOB, count(*) as K from FINDINGS group by JOB) W on F.JOB = W.JOB order by F.JOB",
        "select JOB, KIND, VERDICT from FINDINGS "
        "where JOB in (select JOB from FACTS where METRIC = 'loss' group by JOB) order by JOB, KIND, VERDICT",
        "select 'facts' as WHAT, count(*) as N, max(DAY_START) as D from FACTS "
        "union all select 'findings', count(*), max(DAY_START) from FINDINGS order by WHAT",
        "select J.JOB, J.STATUS, (select sum(SAMPLES) from FACTS) from JOBS J order by J.JOB",
    ],
)
def test_statement_over_both_engines(both: Both, sql: str) -> None:
    found = ask(both.kylin, sql)
    assert_same(found, ask(both.embedded, sql), sql)
    assert found["results"]


@pytest.mark.parametrize("name", ["server", "receiver-0"])
def test_while_a_part_of_kylin_is_away_nothing_wrong_is_said(both: Both, folder: Path, name: str) -> None:
    """An error that says so, or the right number; cubes of the gateway's own are answered all the while."""
    before = nodes(folder)[name]
    os.kill(before["pid"], signal.SIGKILL)
    told = set()

    def is_back() -> bool:
        answer = ask(both.kylin, "select count(*) from FACTS")
        told.add(
            answer["error"] if "error" in answer else answer["results"][0][0] if not answer["partial"] else "partial"
        )
        assert "results" in ask(both.kylin, "select count(*) from JOBS")
        return nodes(folder)[name]["restarts"] > before["restarts"] and counted(both.kylin) == both.facts

    wait_until(is_back, 240, f"{name} is back", 0.5)
    errors = {one for one in told if "Kylin" in one}
    assert errors, "its absence was seen"
    assert told - errors <= {str(both.facts), "partial"}
    wait_until(lambda: httpx.get(f"{both.kylin.url}/ready").status_code == 200, 30, "the gateway is ready again")
