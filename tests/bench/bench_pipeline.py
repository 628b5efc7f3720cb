"""Steps to facts through the metrics service, real broker, one core, beside Faust as it ships; event to finding."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from kafka import KafkaProducer

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.events import StepIdentity, StepSyncEncoder, decode
from gradcube.settings import KafkaSettings
from tests.bench.figure import Figure
from tests.integration.metrics.stand import Worker, read_all, worker
from tests.waiting import wait_until

BUCKETS = np.ones((8, 64), np.float32)
GOAL_PER_SECOND, GOAL_FINDING_SECONDS, GOAL_VERDICT_SECONDS = 16_000, 2.0, 5.0
MAX_OPEN_PANES = 8
"""Panes of the last, unfinished minute and the grace: everything before is written."""
LIVE = {"PANE_SECONDS": "5", "JOB_WINDOW_SECONDS": "5", "SUBJECT_WINDOW_SECONDS": "5", "IDLE_SECONDS": "5"}


def run(quick: bool) -> list[Figure]:
    steps, seconds = (1250, 20) if quick else (2500, 40)
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        count = _backlog(kafka, steps)
        ours, stock = _ours(kafka, Path(name), count), _stock(kafka, Path(name), count)
        latency = _finding_seconds(kafka, Path(name), seconds)
    return [*_rates(count, ours, stock), *_latency(latency)]


def _rates(count: int, ours: dict[str, float], stock: dict[str, float]) -> list[Figure]:
    rate, ratio = count / ours["wall"], stock["wall"] / ours["wall"]
    details = {
        "records": float(count),
        "facts": ours["facts"],
        "rss_mib": ours["rss_mib"],
        "records_per_cpu_second": count / ours["cpu"],
        "stock_records_per_second": count / stock["wall"],
        "stock_records_per_cpu_second": count / stock["cpu"],
    }
    note = "the whole service on one core, from the first record until the facts of all windows that ended are written"
    goal = f">= {GOAL_PER_SECOND}"
    other = "the alternative decodes with fastavro and computes nothing"
    return [
        Figure("steps to facts, one core, 64 buckets", rate, "records/s", goal, rate >= GOAL_PER_SECOND, note, details),
        Figure("steps to facts against Faust as it ships", ratio, "x", ">= 1", ratio >= 1, other),
    ]


def _latency(seconds: list[tuple[float, float]]) -> list[Figure]:
    notes = {
        "event to finding": (GOAL_FINDING_SECONDS, "event time of the detecting step to the broker"),
        "injection to verdict": (GOAL_VERDICT_SECONDS, "event time of the first slow step to the broker"),
    }
    figures = []
    for (name, (most, note)), own in zip(notes.items(), np.transpose(seconds), strict=True):
        p99 = float(np.quantile(own, 0.99))
        figures.append(
            Figure(
                f"{name}, 1 600 records/s, p99", p99, "s", f"<= {most}", p99 <= most,
                f"{len(own)} findings, {note}", {"p50": float(np.median(own))},
            )
        )  # fmt: skip
    return figures


def _record(encoder: StepSyncEncoder, step: int, ended_at_micros: int, slow: float = 1.0) -> bytes:
    floats = [
        0.1,
        0.01,
        0.02 * slow,
        0.05 * slow,
        0.02 if slow > 1 else 0.06,
        0.01,
        0.06,
        2.0,
        1.0,
        1.0,
        0.1,
        10.0,
        1e-4,
    ]
    counts = [0, step, 0, 40, 100, 512, 4, 16]
    return encoder.encode(
        step=step, seq=step, dropped=0, ended_at_micros=ended_at_micros, counts=counts, floats=floats, buckets=BUCKETS
    )


def _backlog(kafka: KafkaSettings, steps: int, ranks: int = 64) -> int:
    """Records of one job of 10 steps/s, produced before anybody reads."""
    encoders = [StepSyncEncoder(StepIdentity("backlog", 0, rank, f"node-{rank // 8}")) for rank in range(ranks)]
    start = int((time.time() - 3600) * 1e6)
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=50, batch_size=1 << 18)
    for step, (rank, encoder) in itertools.product(range(steps), enumerate(encoders)):
        client.send("gradcube.steps", key=b"backlog/%d" % rank, value=_record(encoder, step, start + step * 100_000))
    client.flush()
    client.close()
    return steps * ranks


def _ours(kafka: KafkaSettings, directory: Path, count: int) -> dict[str, float]:
    service = Worker(
        kafka, directory, PANE_SECONDS="10", JOB_WINDOW_SECONDS="10", SUBJECT_WINDOW_SECONDS="60", IDLE_SECONDS="1"
    )
    service.start()
    process = psutil.Process(service.process.pid)
    process.cpu_affinity([os.cpu_count() - 1])
    try:
        wait_until(lambda: service.get("/status")[1]["records_read"], 60, "the first record", 0.01)
        begun, cpu = time.monotonic(), sum(process.cpu_times()[:2])
        already = service.get("/status")[1]["records_read"]

        def done() -> dict[str, float] | None:
            status = service.get("/status")[1]
            heard = status["records_read"] == count and status["partials_read"] == status["partials_written"]
            written = status["facts_written"] and status["open_windows"] <= MAX_OPEN_PANES
            return status if heard and written else None

        status = wait_until(done, 300, "all partials and the facts of all windows that ended", 0.02)
        share = count / (count - already)
        return {
            "wall": (time.monotonic() - begun) * share,
            "cpu": (sum(process.cpu_times()[:2]) - cpu) * share,
            "facts": status["facts_written"],
            "rss_mib": process.memory_info().rss / 2**20,
        }
    finally:
        service.kill()


def _stock(kafka: KafkaSettings, directory: Path, count: int) -> dict[str, float]:
    command = ["taskset", "-c", str(os.cpu_count() - 1), sys.executable, "-m", "tests.bench.pipeline_stock"]
    environment = {**os.environ, "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap}
    arguments = ["stock", str(count), str(directory / "stock")]
    answer = subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    return json.loads(answer.stdout[answer.stdout.index("{") :])  # after what Faust tells the terminal


def _finding_seconds(kafka: KafkaSettings, directory: Path, seconds: int) -> list[tuple[float, float]]:
    """16 jobs of 10 ranks at 10 steps/s, a rank slow from the middle on: see `_latencies`."""
    with worker(kafka, directory, **LIVE):
        client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5)
        fleet = {
            (job, rank): StepSyncEncoder(StepIdentity(f"live-{job}", 0, rank, "n"))
            for job in range(16)
            for rank in range(10)
        }
        for step in _paced(seconds * 10):
            for (job, rank), encoder in fleet.items():
                slow = 1.8 if rank == 2 and step >= seconds * 5 else 1.0
                value = _record(encoder, step, time.time_ns() // 1000, slow)
                client.send("gradcube.steps", key=b"live-%d/%d" % (job, rank), value=value)
        client.flush()
        client.close()
        return wait_until(lambda: _latencies(kafka), 30, "a finding", 1)


def _latencies(kafka: KafkaSettings) -> list[tuple[float, float]]:
    """The broker's time of each finding less that of the detecting step, and less that of the first slow one."""
    found = [(record.timestamp, decode(record.value)[1]) for record in read_all(kafka, "gradcube.findings")]
    return [
        (stamp / 1e3 - finding["detected_at"] / 1e6, stamp / 1e3 - finding["onset_at"] / 1e6)
        for stamp, finding in found
        if finding["state"] == "OPENED"
    ]


def _paced(steps: int) -> Iterator[int]:
    begun, never = time.monotonic(), threading.Event()
    for step in range(steps):
        never.wait(max(0.0, begun + step * 0.1 - time.monotonic()))
        yield step
