"""One recorded run through all three ways in: diagnosed offline, replayed live, recorded from the topic."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.metrics.stand import Fleet, producer, worker
from tests.unit.diagnosis.simulating import noise
from tests.unit.traces.making import write
from tests.waiting import wait_until

from gradcube.settings import KafkaSettings
from gradcube.traces import read_trace
from gradcube.traces.writer import ROWS_HELD

STEPS, RANKS = 400, 6
PAST_SECONDS = 1_700_000_000.0
SAME = ("kind", "state", "rank", "node", "stage", "onset_step", "detected_step", "end_step", "onset_at", "detected_at")


def gradcube(kafka: KafkaSettings, *arguments: object) -> list[dict[str, Any]]:
    """The JSON lines that the command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gradcube.cli.main", *map(str, arguments)],
        env={**os.environ, "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap}, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def two_episodes(path: Path) -> Path:
    """Rank 4 is slow for a while, later rank 1 until the end."""
    compute = 0.1 * noise(STEPS, RANKS, 0.03, 0.3, 5)
    compute[90:170, 4] *= 1.6
    compute[300:, 1] *= 1.4
    step, rank = np.divmod(np.arange(STEPS * RANKS), RANKS)
    ended = PAST_SECONDS + 0.3 * (step + 1) + 0.002 * rank
    node = [f"node-{each // 2}" for each in rank]
    return write(path, step=step, rank=rank, node=node, metric="backward_seconds", value=compute.ravel(), time=ended)


def assert_same(found: list[dict[str, Any]], wanted: list[dict[str, Any]], *, named_alike: bool = True) -> None:
    def told(findings: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
        names = (*SAME, "id", "job") if named_alike else SAME
        return [{name: finding[name] for name in names} for finding in findings]

    assert told(found) == told(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one["magnitude"] == pytest.approx(other["magnitude"], rel=1e-6)


def test_offline_replayed_and_recorded_runs_have_the_same_findings(kafka: KafkaSettings, tmp_path: Path) -> None:
    job = f"three-ways-{uuid.uuid4().hex[:8]}"
    trace, recorded = two_episodes(tmp_path / "run.parquet"), tmp_path / "recorded.parquet"
    offline = gradcube(kafka, "diagnose", trace, "--job", job)
    states = [(finding["rank"], finding["state"]) for finding in offline]
    assert {(4, "OPENED"), (4, "CLOSED"), (1, "OPENED")} <= set(states)
    assert (1, "CLOSED") not in states
    with worker(kafka, tmp_path, IDLE_SECONDS="4"):
        live = ("--speed", "max", "--findings", "--wait", 10)
        replayed = gradcube(kafka, "replay", trace, "--as", job, *live)
        again = gradcube(kafka, "replay", "--topic", "gradcube.steps", "--job", job, "--as", f"{job}-again", *live)
    gradcube(kafka, "record", recorded, "--job", job)
    assert_same(replayed, offline)
    assert_same(gradcube(kafka, "diagnose", recorded), offline)
    assert_same(again, offline, named_alike=False)
    assert {finding["job"] for finding in again} == {f"{job}-again"}


def test_recording_ends_in_order_when_asked_to(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet, path = Fleet(f"recorded-{uuid.uuid4().hex[:8]}"), tmp_path / "run.parquet"
    with producer(kafka) as client:
        for step in range(ROWS_HELD // 4 + 500):
            for key, value in fleet.records(step):
                client.send("gradcube.steps", key=key, value=value)
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcube.cli.main", "record", str(path), "--job", fleet.job, "--follow"],
        env={**os.environ, "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    draft = tmp_path / f".run.parquet.{process.pid}"
    wait_until(lambda: draft.exists() and draft.stat().st_size > 1000, 60, "a row group in the draft")
    assert not path.exists()
    process.send_signal(signal.SIGINT)
    assert f"records of {fleet.job}" in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert len(read_trace(path).rows) >= ROWS_HELD
    assert list(tmp_path.iterdir()) == [path]


def test_a_job_without_records_leaves_no_file(kafka: KafkaSettings, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gradcube.cli.main", "record", str(tmp_path / "run.parquet"), "--job", "nobody"],
        env={**os.environ, "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 65
    assert "no record of 'nobody'" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
