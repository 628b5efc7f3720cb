"""The command on services that it started itself, as a person types it. One `up` serves all tests but the last."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer
from tests.waiting import wait_until

TIMEOUT_SECONDS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    started = gradcube(folder, "up")
    assert started.returncode == 0, started.stderr
    yield folder
    stopped = gradcube(folder, "down")
    assert "stopped" in stopped.stdout


def gradcube(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradcube.cli.main", *arguments],
        env={**os.environ, "GRADCUBE_HOME": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_status_lists_every_service_as_ready(folder: Path) -> None:
    rows = json.loads(gradcube(folder, "status", "--json").stdout)
    assert [row["name"] for row in rows] == ["broker", "coordinator", "agent", "metrics", "cube"]
    assert {row["health"] for row in rows} == {"ready"}
    assert all(row["pid"] > 0 and row["address"].startswith("127.0.0.1:") for row in rows)


def test_second_up_is_refused_with_the_way_out(folder: Path) -> None:
    again = gradcube(folder, "up")
    assert again.returncode == 78
    assert "gradcube down" in again.stderr


def test_doctor_finds_nothing_wrong(folder: Path) -> None:
    answer = gradcube(folder, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(answer.stdout)}
    assert answer.returncode == 0, checks
    assert {"java", "schemas", "broker", "clock", "lag", "gateway"} <= checks.keys()
    assert "FACTS" in checks["cubes"]["found"]
    assert checks["walls"]["ok"] is True or "inactive" in checks["walls"]["found"]


def test_doctor_finds_a_secret_that_others_may_read(folder: Path) -> None:
    password = folder / "password"
    password.chmod(0o644)
    try:
        answer = gradcube(folder, "doctor", "--json")
    finally:
        password.chmod(0o600)
    secrets = {check["name"]: check for check in json.loads(answer.stdout)}["secrets"]
    assert (answer.returncode, secrets["ok"], secrets["mend"]) == (1, False, f"chmod 600 {password}")


def test_cubes_of_the_running_gateway_are_listed(folder: Path) -> None:
    cubes = json.loads(gradcube(folder, "cube", "status", "--json").stdout)["cubes"]
    assert [cube["cube"] for cube in cubes] == ["EVALUATIONS", "FACTS", "FINDINGS", "JOBS", "RESOURCES"]
    assert {(cube["version"], cube["switched"], cube["held_back"]) for cube in cubes} == {(1, True, None)}
    refused = gradcube(folder, "cube", "deploy")
    assert refused.returncode == 78
    assert "a running gateway deploys what is declared when it starts" in " ".join(refused.stderr.split())


def test_topics_are_as_declared(folder: Path) -> None:
    assert "as declared" in gradcube(folder, "topics", "check").stdout
    assert gradcube(folder, "topics", "apply").stdout.strip() == "all topics exist"


def test_sql_answers_and_refuses_what_is_not_a_select(folder: Path) -> None:
    answer = gradcube(folder, "sql", "--json", "select count(*) as N from FACTS")
    assert json.loads(answer.stdout)[0]["N"] >= 0
    refused = gradcube(folder, "sql", "drop table FACTS")
    assert refused.returncode == 65
    assert "Traceback" not in refused.stderr


def test_poisonous_record_is_listed_shown_and_sent_again_as_it_was(folder: Path) -> None:
    poison = b"\x00\x00\x00\x00\x01not avro"
    bootstrap = json.loads((folder / "state.json").read_text())["bootstrap"]
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send("gradcube.steps", poison).get(30)
    producer.close()

    def letters() -> list[dict[str, object]]:
        return json.loads(gradcube(folder, "dlq", "list", "--topic", "gradcube.steps", "--json").stdout)

    (letter,) = wait_until(letters, 60, "the dead letter", every_seconds=1)
    assert letter["source"] == "gradcube.steps"
    shown = gradcube(folder, "dlq", "show", "gradcube.steps", str(letter["offset"]))
    assert poison.hex(" ") in shown.stdout
    assert "1 sent again" in gradcube(folder, "dlq", "replay", "gradcube.steps", str(letter["offset"])).stdout
    wait_until(lambda: len(letters()) == 2, 60, "the record comes back as a dead letter", every_seconds=1)


def test_killed_service_is_told_and_status_fails(folder: Path) -> None:
    rows = json.loads(gradcube(folder, "status", "--json").stdout)
    os.kill(next(row["pid"] for row in rows if row["name"] == "agent"), signal.SIGKILL)
    answer = gradcube(folder, "status", "--json")
    health = {row["name"]: row["health"] for row in json.loads(answer.stdout)}
    assert answer.returncode == 1
    assert health["agent"] == "stopped"
    assert health["metrics"] == "ready"


def test_commands_without_services_say_how_to_start_them(tmp_path: Path) -> None:
    answer = gradcube(tmp_path, "sql", "select 1")
    assert answer.returncode == 78
    assert "gradcube up" in answer.stderr
