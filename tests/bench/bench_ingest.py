"""Facts from a real broker into the store with rollups and merges, beside plain DuckDB that is given the same rows."""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
from kafka import KafkaProducer

from gradcube.bus.bulk import BulkConsumer
from gradcube.bus.consumer import BatchConsumer
from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.columns import decode_facts
from gradcube.cube.ingest import IngestSettings
from gradcube.cube.model import CubeModel, load_cube
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store_ingest import StoreIngest
from gradcube.settings import KafkaSettings
from tests.bench.figure import Figure
from tests.unit.cube.facts import FIRST_MILLIS
from tests.waiting import wait_until

GOAL_PER_SECOND = 200_000
BATCH = IngestSettings(max_records=50_000)
ROWS_OF_A_JOB = 2000
PASSES = 5
"""Each into a store of its own; in the first one the broker's own code is not compiled yet."""
PATTERN = (
    b'{"TS":%d,"WINDOW_SECONDS":10,"JOB":"job-%d","ATTEMPT":1,"MODEL":"bert","MODEL_PARAMETERS":1000000,"HARDWARE":"cpu",'
    b'"DATASET":"stdlib","SUBJECT_KIND":"job","SUBJECT":"job-%d","NODE":"","STAGE":0,"FAMILY":"quality",'
    b'"METRIC":"metric_%d","FACT_ID":"%032x","METRIC_VALUE":1.0,"METRIC_SUM":%r,"METRIC_MIN":0.0,"METRIC_MAX":1.0,'
    b'"SAMPLES":5}'
)


def run(quick: bool) -> list[Figure]:
    """Every row is one metric of one job in one window, of 400 bytes; the topic of 8 partitions is filled before."""
    count, sample = (60_000, 500) if quick else (800_000, 2_000)
    model = load_cube()
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        fill(kafka, count)
        passes = [_ours(kafka, model, Path(name) / f"store-{number}", count) for number in range(PASSES)]
        naive = _naive(kafka, model, sample)
        tables = _decoded(kafka, model, count)
        store, duck = _written(model, Path(name) / "alone", tables), _appended(Path(name) / "facts.duckdb", tables)
    ours, cpu, _ = sorted(passes)[PASSES // 2]
    rate, slowest = count / ours, max(longest for _, _, longest in passes)
    details = {
        "rows": float(count), "first_rows_per_second": count / passes[0][0],
        "most_rows_per_second": count / min(passes)[0],
        "rows_per_cpu_second": count / cpu, "executemany_rows_per_second": naive,
        "store_alone_rows_per_second": count / store, "duckdb_rows_per_second": count / duck,
    }  # fmt: skip
    note = f"median of {PASSES}; {len(model.rollups)} rollups, offsets, merges on; "
    note += f"{naive:,.0f} rows/s with json.loads and executemany"
    goal = f">= {GOAL_PER_SECOND}"
    beside = (
        f"DuckDB appends {count / duck:,.0f} rows/s that are decoded already, into one table without rollups or keys; "
        f"the store alone writes {count / store:,.0f}"
    )
    return [
        Figure("facts from Kafka into the store", rate, "rows/s", goal, rate >= GOAL_PER_SECOND, note, details),
        Figure("facts into the store against json and executemany", rate / naive, "x", "> 1", rate > naive),
        Figure("the whole way against plain DuckDB's append", rate * duck / count, "x", "stated", None, beside),
        Figure(
            "slowest snapshot meanwhile", slowest * 1000, "ms", "<= 5", slowest <= 0.005, "of a reader, all counted"
        ),
    ]


def fill(kafka: KafkaSettings, count: int) -> None:
    """So many facts into the topic."""
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=50, batch_size=1 << 18)
    for row in range(count):
        client.send("gradcube.facts", key=b"job-%d" % (row // ROWS_OF_A_JOB), value=_fact(row))
    client.flush()
    client.close()


def _fact(row: int) -> bytes:
    """As `encode_fact` writes it, but sooner: one pattern, filled in."""
    job, place = divmod(row, ROWS_OF_A_JOB)
    window, metric = divmod(place, 10)
    return PATTERN % (FIRST_MILLIS + 10_000 * window, job, job, metric, row, row / 7)


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


def _decoded(kafka: KafkaSettings, model: CubeModel, count: int) -> list[pa.Table]:
    """The same rows as tables of one batch each."""
    with BulkConsumer(kafka, [model.topic], max_records=BATCH.max_records) as consumer:
        values = _read(consumer.poll, count)
    starts = range(0, count, BATCH.max_records)
    return [decode_facts(values[start : start + BATCH.max_records], model)[0] for start in starts]


def _written(model: CubeModel, directory: Path, tables: Sequence[pa.Table]) -> float:
    """Seconds of the store for these tables, a transaction each."""
    with closing(Store(directory, [model])) as store:
        began = time.monotonic()
        for table in tables:
            store.write(model.name, table, {})
        return time.monotonic() - began


def _appended(file: Path, tables: Sequence[pa.Table]) -> float:
    """Seconds of DuckDB for these tables, a transaction each, and its checkpoint."""
    with duckdb.connect(str(file)) as connection:
        connection.register("batch", tables[0])
        connection.execute("CREATE TABLE facts AS SELECT * FROM batch LIMIT 0")
        began = time.monotonic()
        for table in tables:
            connection.register("batch", table)
            connection.execute("INSERT INTO facts SELECT * FROM batch")
        connection.execute("CHECKPOINT")
        return time.monotonic() - began


def _read(poll: Callable[[float], Sequence[object]], count: int) -> list[bytes]:
    values: list[bytes] = []
    while len(values) < count:
        values += [record.value for record in poll(1.0)]  # type: ignore[attr-defined]
    return values[:count]
