"""One job of 8 192 ranks through the metrics service on 2 cores, everything on; and what a record costs at 64 ranks."""

import itertools
import os
import tempfile
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
from tests.integration.metrics.stand import Worker, read_all
from tests.waiting import wait_until

RANKS, FEW_RANKS = 8192, 64
RECORDS_PER_SECOND = RANKS / 5
"""The load: one step of 8 192 ranks in 5 s."""
STAGES, RANKS_OF_NODE, BUCKETS = 8, 8, np.ones((8, 64), np.float32)
SLOW_RANK, SLOWDOWN = 5000, 1.3
GOAL_HEADROOM = 3.0
SAMPLES_SECONDS = 0.05
WINDOWS = {"PANE_SECONDS": "10", "JOB_WINDOW_SECONDS": "10", "SUBJECT_WINDOW_SECONDS": "60", "IDLE_SECONDS": "5"}


def run(quick: bool) -> list[Figure]:
    """Each size from a topic of its own; the service and the broker share the 2 cores."""
    records = RANKS * (48 if quick else 72)
    few, many = _measured(FEW_RANKS, records), _measured(RANKS, records)
    headroom = many["records_per_second"] / RECORDS_PER_SECOND
    by_cpu = 1e6 / many["cpu_us_per_record"] / RECORDS_PER_SECOND
    cost = many["cpu_us_per_record"] / few["cpu_us_per_record"]
    name = f"{RANKS} ranks"
    note = f"{many['records_per_second']:,.0f} records/s from the first record until all facts are in Kafka, 2 cores"
    return [
        Figure(
            f"{name}, a step in 5 s: speed over need", headroom, "x", f">= {GOAL_HEADROOM}",
            headroom >= GOAL_HEADROOM, note, many,
        ),
        Figure(
            f"{name}: one core's time over the service's need", by_cpu, "x", f">= {GOAL_HEADROOM}",
            by_cpu >= GOAL_HEADROOM, f"{many['cpu_us_per_record']:.0f} us of CPU a record, whoever else is there",
        ),
        Figure(
            f"CPU of a record, {name} over {FEW_RANKS}", cost, "x", "flat", None,
            f"{many['cpu_us_per_record']:.0f} over {few['cpu_us_per_record']:.0f} us; {many['facts_per_record']:.2f} "
            f"over {few['facts_per_record']:.2f} facts a record are part of it", few,
        ),
        Figure(
            f"metrics service, {name}: peak memory", many["peak_mib"], "MiB", "stated", None,
            f"{few['peak_mib']:.0f} MiB with {FEW_RANKS} ranks; the slow rank "
            + ("was named" if many["named"] else "WAS NOT NAMED"),
        ),
    ]  # fmt: skip


def _measured(ranks: int, records: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        _backlog(kafka, ranks, records // ranks)
        return _served(kafka, Path(name), records)


def _backlog(kafka: KafkaSettings, ranks: int, steps: int) -> None:
    """Records of one job, as many a second of event time at any size, produced before anybody reads."""
    rng = np.random.default_rng(1)
    step_micros = round(ranks / RECORDS_PER_SECOND * 1e6)
    start = int(time.time() * 1e6) - 3600 * 1_000_000
    encoders = [_encoder(rank) for rank in range(ranks)]
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=50, batch_size=1 << 18)
    for step in range(steps):
        compute = step_micros / 1e6 * 0.6 * rng.lognormal(0, 0.02, ranks)
        if step >= steps * 2 // 3:
            compute[SLOW_RANK % ranks] *= SLOWDOWN
        ended = start + step * step_micros + rng.integers(0, step_micros // 20, ranks)
        for rank, encoder in enumerate(encoders):
            client.send("gradcube.steps", key=b"scale/%d" % rank,
                        value=_record(encoder, step, int(ended[rank]), step_micros / 1e6, compute[rank]))  # fmt: skip
    client.flush()
    client.close()


def _encoder(rank: int) -> StepSyncEncoder:
    place = {"stage": rank // RANKS_OF_NODE % STAGES, "replica": rank // RANKS_OF_NODE // STAGES}
    return StepSyncEncoder(StepIdentity("scale", 0, rank, f"node-{rank // RANKS_OF_NODE}", **place))


def _record(encoder: StepSyncEncoder, step: int, ended_at_micros: int, seconds: float, compute: float) -> bytes:
    floats = [
        seconds, 0.01 * seconds, compute / 3, compute * 2 / 3, max(seconds - compute, 0.0), 0.02 * seconds,
        0.5 * seconds, 2.0, 1.0, 1.0, 0.1, 10.0, 1e-4,
    ]  # fmt: skip
    return encoder.encode(
        step=step, seq=step, dropped=0, ended_at_micros=ended_at_micros, floats=floats, buckets=BUCKETS,
        counts=[0, step, 0, 40, 100, 512, 4, 16],
    )  # fmt: skip


def _served(kafka: KafkaSettings, directory: Path, records: int) -> dict[str, float]:
    service = Worker(kafka, directory, **WINDOWS)
    service.start()
    process = psutil.Process(service.process.pid)
    process.cpu_affinity(list(range(os.cpu_count() or 1))[-2:])
    try:
        wait_until(lambda: service.get("/status")[1]["records_read"], 120, "the first record", 0.01)
        begun, cpu = time.monotonic(), _cpu_seconds(process)
        already = service.get("/status")[1]["records_read"]
        peak = 0
        for status in _statuses(service):
            peak = max(peak, process.memory_info().rss)
            heard = status["records_read"] == records and status["partials_read"] == status["partials_written"]
            if heard and status["facts_written"] and status["open_windows"] == 0:
                break
        # What is left at the end waits for nobody but the clock: a partition is idle, then a grace passes.
        wall = time.monotonic() - begun - float(WINDOWS["IDLE_SECONDS"])
        share = records / (records - already)
        found = [decode(each.value)[1] for each in read_all(kafka, "gradcube.findings")]
        return {
            "records_per_second": (records - already) / wall,
            "cpu_us_per_record": (_cpu_seconds(process) - cpu) * share / records * 1e6,
            "facts_per_record": status["facts_written"] / records,
            "peak_mib": peak / 2**20,
            "named": float(any(each["kind"] == "STRAGGLER" and each["rank"] == SLOW_RANK for each in found)),
            "findings": float(len({each["id"] for each in found})),
        }
    finally:
        service.kill()


def _statuses(service: Worker) -> Iterator[dict[str, float]]:
    deadline = time.monotonic() + 600
    for _ in itertools.takewhile(lambda _: time.monotonic() < deadline, itertools.count()):
        time.sleep(SAMPLES_SECONDS)
        yield service.get("/status")[1]
    raise AssertionError("not within 600 s: all records in facts")


def _cpu_seconds(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])
