"""Memory of the metrics service over ten minutes of records: it must not grow with what it has seen."""

import tempfile
import time
from pathlib import Path

import psutil
from kafka import KafkaProducer

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.events import StepIdentity, StepSyncEncoder
from gradcube.settings import KafkaSettings
from tests.bench.bench_pipeline import LIVE, _paced, _record
from tests.bench.figure import Figure
from tests.integration.metrics.stand import worker

RANKS, STEPS_PER_TICK = 64, 3
MINUTES, SETTLED_SHARE = 10, 0.2
GOAL_RATIO = 1.10


def run(quick: bool) -> list[Figure]:
    """Resident memory at the end over that after a fifth of the time, when windows open and close as ever."""
    seconds = 30 if quick else MINUTES * 60
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        with worker(kafka, Path(name), **LIVE) as service:
            samples = _feed(kafka, service.process.pid, seconds)
            read = service.get("/status")[1]["records_read"]
    settled, last = samples[int(len(samples) * SETTLED_SHARE)], samples[-1]
    note = f"{read:,} records in {seconds} s; {settled / 2**20:.0f} MiB after {seconds * SETTLED_SHARE:.0f} s"
    ratio = last / settled
    name = "metrics service: memory at the end of the run over that at its fifth"
    goal = f"<= {GOAL_RATIO}"
    return [Figure(name, ratio, "x", goal, ratio <= GOAL_RATIO, note, {"peak_mib": max(samples) / 2**20})]


def _feed(kafka: KafkaSettings, pid: int, seconds: int) -> list[float]:
    """64 ranks at 30 steps/s; resident bytes of the service, once a second."""
    process, samples = psutil.Process(pid), []
    encoders = [StepSyncEncoder(StepIdentity("memory", 0, rank, f"node-{rank // 8}")) for rank in range(RANKS)]
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, batch_size=1 << 18)
    for tick in _paced(seconds * 10):
        for step in range(tick * STEPS_PER_TICK, (tick + 1) * STEPS_PER_TICK):
            now = time.time_ns() // 1000
            for rank, encoder in enumerate(encoders):
                client.send("gradcube.steps", key=b"memory/%d" % rank, value=_record(encoder, step, now))
        if tick % 10 == 9:
            samples.append(float(process.memory_info().rss))
    client.flush()
    client.close()
    return samples
