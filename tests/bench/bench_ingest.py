"""Facts from a real broker into the store with rollups and merges, beside what one writes first: executemany."""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
from kafka import KafkaProducer

from gradcube.bus.consumer import BatchConsumer
from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.ingest import IngestSettings
from gradcube.cube.model import CubeModel, load_cube
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store_ingest import StoreIngest
from gradcube.settings import KafkaSettings
from tests.bench.figure import Figure
from tests.unit.cube.facts import value
from tests.waiting import wait_until

GOAL_PER_SECOND = 200_000
BATCH = IngestSettings(max_records=50_000)
ROWS_OF_A_JOB = 2000


def run(quick: bool) -> list[Figure]:
    """Every row is one metric of one job in one window, of 400 bytes; the topic of 8 partitions is filled before."""
    count, sample = (60_000, 500) if quick else (400_000, 2_000)
    model = load_cube()
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        _fill(kafka, count)
        ours, cpu, slowest = _ours(kafka, model, Path(name) / "store", count)
        naive = _naive(kafka, model, sample)
    rate = count / ours
    details = {"rows": float(count), "rows_per_cpu_second": count / cpu, "executemany_rows_per_second": naive}
    note = f"{len(model.rollups)} rollups, offsets, merges on; {naive:,.0f} rows/s with json.loads and executemany"
    goal = f">= {GOAL_PER_SECOND}"
    return [
        Figure("facts from Kafka into the store", rate, "rows/s", goal, rate >= GOAL_PER_SECOND, note, details),
        Figure("facts into the store against json and executemany", rate / naive, "x", "> 1", rate > naive),
        Figure(
            "slowest snapshot meanwhile", slowest * 1000, "ms", "<= 5", slowest <= 0.005, "of a reader, all counted"
        ),
    ]


def _fill(kafka: KafkaSettings, count: int) -> None:
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=50, batch_size=1 << 18)
    for row in range(count):
        job, place = divmod(row, ROWS_OF_A_JOB)
        fact = value(place // 10, job=f"job-{job}", metric=f"metric_{place % 10}", METRIC_SUM=row / 7)
        client.send("gradcube.facts", key=b"job-%d" % job, value=fact)
    client.flush()
    client.close()


def _ours(kafka: KafkaSettings, model: CubeModel, directory: Path, count: int) -> tuple[float, float, float]:
    """Seconds and CPU seconds from connecting to the last row that a reader sees; of the slowest snapshot."""
    with closing(Store(directory, [model])) as store:
        ingest, compactor = StoreIngest(store, model.name, kafka, BATCH), Compactor(store)
        cpu, began = time.process_time(), time.monotonic()
        compactor.start()
        ingest.start()
        waits = [0.0]
        wait_until(lambda: _rows_seen(store, model, waits) >= count, 300, f"{count} rows", 0.02)
        taken = time.monotonic() - began, time.process_time() - cpu, max(waits)
        ingest.stop()
        compactor.stop()
        assert store.counters(model.name)["facts"] == count
    return taken


def _rows_seen(store: Store, model: CubeModel, waits: list[float]) -> int:
    began = time.monotonic()
    with store.snapshot() as snapshot:
        waits.append(time.monotonic() - began)
        return sum(one.num_rows for one in snapshot.segments(model.name))


def _naive(kafka: KafkaSettings, model: CubeModel, count: int) -> float:
    """Rows a second of so many; no rollup, no duplicate looked for, nothing on the disk."""
    names = [column.name for column in model.wire]
    with BatchConsumer(kafka, [model.topic], max_records=count) as consumer, duckdb.connect() as connection:
        kinds = {"TIMESTAMP": "BIGINT"}
        columns = ", ".join(f"{one.name} {kinds.get(one.type.name, one.type.name)}" for one in model.wire)
        connection.execute(f"CREATE TABLE facts ({columns})")
        insert = f"INSERT INTO facts VALUES ({', '.join('?' * len(names))})"
        values = _read(consumer.poll, count)
        began = time.monotonic()
        rows = [[fact[name] for name in names] for fact in map(json.loads, values)]
        connection.begin()
        connection.executemany(insert, rows)
        connection.commit()
        return count / (time.monotonic() - began)


def _read(poll: Callable[[float], Sequence[object]], count: int) -> list[bytes]:
    values: list[bytes] = []
    while len(values) < count:
        values += [record.value for record in poll(1.0)]  # type: ignore[attr-defined]
    return values[:count]
