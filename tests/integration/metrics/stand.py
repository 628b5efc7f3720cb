"""A stand for the metrics service: records to feed, the service as a process, and what it should have written."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from tests.waiting import wait_until

from gradcube.events import Fact, StepIdentity, StepSyncEncoder, decode_batch, decode_fact
from gradcube.settings import KafkaSettings
from gradcube.windows import JobDescription, JobWindows, StepRows, WindowSettings

SETTINGS = {
    "PANE_SECONDS": "1", "JOB_WINDOW_SECONDS": "1", "SUBJECT_WINDOW_SECONDS": "5",
    "IDLE_SECONDS": "2", "DIAGNOSIS_IDLE_SECONDS": "4", "GRACE_SECONDS": "2",
    "TICK_SECONDS": "0.1", "SESSION_SECONDS": "6",
}  # fmt: skip
WINDOWS = WindowSettings(pane_seconds=1, job_window_seconds=1, subject_window_seconds=5)
BUCKETS = np.ones((8, 4), np.float32)


class Fleet:
    """The ranks of one job: `records(step)` is what they say at the end of a step."""

    def __init__(self, job: str, ranks: int = 4, step_seconds: float = 0.25) -> None:
        self.job = job
        self.start_micros = int((time.time() - 120) * 1e6)  # a backlog: no clock of a pod may be ahead
        self.step_micros = int(step_seconds * 1e6)
        self._encoders = [StepSyncEncoder(StepIdentity(job, 0, rank, f"node-{rank // 2}")) for rank in range(ranks)]

    def record(self, rank: int, step: int, *, slow: float = 1.0, ended_at_micros: int | None = None) -> bytes:
        compute = 0.1 * slow
        wait = 0.02 + (0.0 if slow > 1 else 0.06)
        floats = [0.25, 0.01, compute / 3, compute, wait, 0.01, 0.1, 2.0 + rank, 1.0, 1.0, 0.1, 10.0, 1e-4]
        return self._encoders[rank].encode(
            step=step, seq=step, dropped=0, counts=[0, step, 0, 40 + rank, 100, 512, 4, 16], floats=floats,
            ended_at_micros=ended_at_micros or self.start_micros + step * self.step_micros + rank * 1000,
            buckets=BUCKETS,
        )  # fmt: skip

    def records(self, step: int, slow: Mapping[int, float] | None = None) -> list[tuple[bytes, bytes]]:
        return [
            (f"{self.job}/{rank}".encode(), self.record(rank, step, slow=(slow or {}).get(rank, 1.0)))
            for rank in range(len(self._encoders))
        ]


@contextmanager
def producer(kafka: KafkaSettings) -> Iterator[KafkaProducer]:
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5, max_request_size=20 << 20)
    try:
        yield client
    finally:
        client.flush()
        client.close()


class Worker:
    """The service as a process of its own."""

    def __init__(self, kafka: KafkaSettings, directory: Path, **settings: str) -> None:
        self._environment = {
            **os.environ, "OMP_NUM_THREADS": "1",
            "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap, "GRADCUBE_LOG_FORMAT": "json",
            **{f"GRADCUBE_METRICS_{name}": value for name, value in (SETTINGS | settings).items()},
        }  # fmt: skip
        self.directory = directory
        self.log = directory / "metrics.log"
        self.port = 0

    def start(self) -> None:
        already = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gradcube_metrics"],
                env=self._environment,
                stderr=log,
                stdout=log,
                cwd=self.directory,
            )

        def port() -> int:
            lines = self.log.read_bytes()[already:].splitlines()
            return next((json.loads(line)["port"] for line in lines if b'"serving"' in line), 0)

        self.port = wait_until(port, 30, "the service's pages")

    def get(self, path: str) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def wait_ready(self, timeout_seconds: float = 60) -> None:
        wait_until(lambda: self.get("/ready")[0] == 200, timeout_seconds, f"readiness, see {self.log.read_text()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def worker(kafka: KafkaSettings, directory: Path, **settings: str) -> Iterator[Worker]:
    service = Worker(kafka, directory, **settings)
    service.start()
    try:
        service.wait_ready()
        yield service
    finally:
        if service.process.poll() is None:
            service.kill()


def read_all(kafka: KafkaSettings, topic: str) -> list[Any]:
    """Every record of a topic, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        places = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        ends, found = consumer.end_offsets(places), []
        while any(consumer.position(place) < ends[place] for place in places):
            found += [record for chunk in consumer.poll(500).values() for record in chunk]
        return found
    finally:
        consumer.close()


def facts_of(kafka: KafkaSettings, job: str) -> list[Fact]:
    return [decode_fact(record.value) for record in read_all(kafka, "gradcube.facts") if record.key == job.encode()]


def expected_facts(job: str, values: Sequence[bytes]) -> list[Fact]:
    """The facts of these step records, computed in one go by the pure code."""
    batch, bad = decode_batch(values)
    assert not bad
    offsets = np.arange(len(batch))
    windows = JobWindows(WINDOWS, job)
    order = np.argsort(batch.ended_at_micros, kind="stable")
    rows = StepRows.from_batch(batch, job, order, offsets, batch.ended_at_micros)
    windows.add(StepRows(**{**vars(rows), "offset": offsets}), ("gradcube.steps", 0))
    return windows.facts(windows.close(1 << 62), JobDescription(job))


def wait_for_facts(kafka: KafkaSettings, job: str, count: int, timeout_seconds: float = 60) -> list[Fact]:
    """The job's facts, as soon as there are at least `count`."""
    return wait_until(
        lambda: facts if len(facts := facts_of(kafka, job)) >= count else None,
        timeout_seconds,
        f"{count} facts of {job}",
        0.5,
    )


MEASURES = ("METRIC_VALUE", "METRIC_SUM", "METRIC_MIN", "METRIC_MAX")


def assert_same_facts(found: Sequence[Fact], expected: Sequence[Fact]) -> None:
    """The same facts, each once; measures equal but for the order in which floats were added.

    What goes by the broker's clock is only there or not: the computation has other times of arrival.
    """
    assert Counter(fact["FACT_ID"] for fact in found) == Counter(fact["FACT_ID"] for fact in expected)
    by_id: dict[str, Mapping[str, Any]] = {fact["FACT_ID"]: fact for fact in expected}
    for fact in found:
        wanted = by_id[fact["FACT_ID"]]
        for column, value in fact.items():
            if column in MEASURES and fact["FAMILY"] == "dependency":
                continue
            assert value == (pytest.approx(wanted[column], rel=1e-6) if column in MEASURES else wanted[column]), fact
