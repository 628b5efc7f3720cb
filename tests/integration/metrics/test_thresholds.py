"""Thresholds of a running job changed through gradcube.control, and a detector of one's own that fails."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.metrics.stand import Fleet, Worker, producer, read_all, worker
from tests.waiting import wait_until
from typer.testing import CliRunner

from gradcube.cli import thresholds as command_line
from gradcube.cli.main import app
from gradcube.events import decode, encode
from gradcube.settings import KafkaSettings

ILL = "tests.unit.diagnosis.ill_detectors:Ill"


@pytest.fixture
def run(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(command_line, "kafka", lambda: kafka)
    return lambda *arguments: CliRunner().invoke(app, arguments, catch_exceptions=True)


def findings_of(kafka: KafkaSettings, job: str) -> list[dict[str, Any]]:
    raw = [each for each in read_all(kafka, "gradcube.findings") if each.key == job.encode()]
    return [decode(each.value)[1] for each in raw]


def feed(kafka: KafkaSettings, fleet: Fleet, steps: range, slow: dict[int, float] | None = None) -> None:
    with producer(kafka) as client:
        for step in steps:
            for key, value in fleet.records(step, slow):
                client.send("gradcube.steps", key=key, value=value)


def in_force(service: Worker, job: str) -> dict[str, str]:
    return service.get("/status")[1]["thresholds"].get(job, {})


def test_thresholds_change_live_are_kept_over_a_restart_and_wrong_ones_are_refused(
    kafka: KafkaSettings, tmp_path: Path, run: Any
) -> None:
    fleet = Fleet(f"set-{uuid.uuid4().hex[:8]}")
    with worker(kafka, tmp_path) as service:
        feed(kafka, fleet, range(60))
        wait_until(lambda: fleet.job in service.get("/status")[1]["jobs"], 60, "the job")
        assert run("set", fleet.job, "straggler.enabled=false", "hang.factor=20").exit_code == 0
        wait_until(lambda: in_force(service, fleet.job), 30, "the change")
        assert type(run("set", fleet.job, "straggler.min_ration=2").exception).__name__ == "ConfigError"
        record = command_line.command(fleet.job, {"straggler.enabled": "perhaps"})
        with producer(kafka) as client:  # past the command, which would not send it
            client.send("gradcube.control", key=fleet.job.encode(), value=encode("Command", record))
        wait_until(lambda: b"thresholds refused" in service.log.read_bytes(), 30, "the refusal in the log")
        assert service.stop() == 0
    with worker(kafka, tmp_path) as service:
        wanted = {"straggler.enabled": "false", "hang.factor": "20"}
        wait_until(lambda: in_force(service, fleet.job) == wanted, 30, "the change, after a restart")
        feed(kafka, fleet, range(60, 200), {2: 1.8})
        feed(kafka, fleet, range(200, 240))
        wait_until(lambda: service.get("/status")[1]["open_windows"] == 0, 60, "the end")
    assert findings_of(kafka, fleet.job) == []
    shown = json.loads(run("thresholds", fleet.job, "--json").output)
    assert shown["in_force"] == {fleet.job: wanted}
    assert [bool(entry["refused"]) for entry in shown["commands"]] == [False, True]
    assert "straggler.enabled is 'perhaps'" in shown["commands"][1]["refused"]
    assert "20.0" in run("thresholds", fleet.job).output


def test_a_failing_detector_is_switched_off_with_a_finding_and_the_straggler_is_still_named(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(f"ill-{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]), prepend=":")
    with worker(kafka, tmp_path, DETECTORS=ILL) as service:
        feed(kafka, fleet, range(60))
        feed(kafka, fleet, range(60, 120), {2: 1.8})
        wanted = {"STRAGGLER", "OTHER"}
        wait_until(lambda: wanted <= {e["kind"] for e in findings_of(kafka, fleet.job)}, 60, "both findings", 0.5)
        assert service.get("/ready")[0] == 200
    found = findings_of(kafka, fleet.job)
    [off] = [each for each in found if each["kind"] == "OTHER"]
    assert "ZeroDivisionError: of its own making" in off["verdict"]
    assert {each["rank"] for each in found if each["kind"] == "STRAGGLER"} == {2}
