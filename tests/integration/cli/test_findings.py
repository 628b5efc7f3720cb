"""`gradcube findings` on a real topic: of all jobs or one, as it lies there or as it comes in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from tests.waiting import wait_until

from gradcube.bus.client import connect
from gradcube.diagnosis.findings import Finding, Subject, to_record
from gradcube.events import encode
from gradcube.settings import KafkaSettings


@pytest.fixture
def jobs() -> tuple[str, str]:
    return f"bert-{uuid4().hex[:8]}", f"gpt-{uuid4().hex[:8]}"


def finding(job: str, rank: int) -> Finding:
    return Finding(
        f"{job}-{rank}", job, 0, "HANG", "OPENED", Subject(rank=rank), 4, 6, None, 1_000_000, 2_000_000, 3.0, 0.9, (),
        f"rank {rank} of {job} is missing",
    )  # fmt: skip


def send(kafka: KafkaSettings, *values: bytes) -> None:
    producer = connect(KafkaProducer, kafka)
    try:
        for value in values:
            producer.send("gradcube.findings", value).get(30)
    finally:
        producer.close(timeout=5)


def encoded(job: str, rank: int) -> bytes:
    return encode("Finding", to_record(finding(job, rank)))


@contextmanager
def gradcube(kafka: KafkaSettings, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "GRADCUBE_HOME": str(folder), "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        command = [sys.executable, "-m", "gradcube.cli.main", "findings", *arguments]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def told(folder: Path) -> list[tuple[str, int]]:
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    return [(line["job"], line["rank"]) for line in lines]


def test_findings_of_one_job_or_all_are_told_and_what_is_none_is_named(
    kafka: KafkaSettings, jobs: tuple[str, str], tmp_path: Path
) -> None:
    send(kafka, encoded(jobs[0], 1), b"no finding", encoded(jobs[1], 2))
    with gradcube(kafka, tmp_path, "--job", jobs[1]) as process:
        assert process.wait(60) == 0
    assert told(tmp_path) == [(jobs[1], 2)]
    assert "is no finding" in (tmp_path / "err").read_text()
    with gradcube(kafka, tmp_path, "--json") as process:
        assert process.wait(60) == 0
    assert {(jobs[0], 1), (jobs[1], 2)} <= set(told(tmp_path))


def test_followed_findings_are_told_as_they_come(kafka: KafkaSettings, jobs: tuple[str, str], tmp_path: Path) -> None:
    send(kafka, encoded(jobs[0], 1))
    with gradcube(kafka, tmp_path, "--follow", "--job", jobs[0]) as process:
        wait_until(lambda: told(tmp_path) == [(jobs[0], 1)], 60, "what was found before")
        send(kafka, encoded(jobs[1], 5), encoded(jobs[0], 2))
        wait_until(lambda: told(tmp_path) == [(jobs[0], 1), (jobs[0], 2)], 30, "what is found now")
        assert process.poll() is None
