"""A topic of a real broker into a store: every row once, and what is wrong in the dead letters."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from tests.integration.cube.gateway_process import produce
from tests.unit.cube.facts import value
from tests.unit.cube.store.stand import ask
from tests.unit.cube.test_records import LIFECYCLE
from tests.waiting import wait_until

from gradcube.bus.bulk import BulkConsumer
from gradcube.bus.consumer import BatchConsumer
from gradcube.bus.dead_letters import list_dead_letters
from gradcube.bus.topics import TopicSpec, apply_topics
from gradcube.cube.ingest import IngestSettings
from gradcube.cube.model import CubeModel, Rule, load_catalog, load_cube
from gradcube.cube.store import Store
from gradcube.cube.store_ingest import StoreIngest
from gradcube.events import encode
from gradcube.settings import KafkaSettings

QUICK = IngestSettings(linger_seconds=0.05, max_records=1000, retry_seconds=0.1)


@contextmanager
def ingesting(
    directory: Path, kafka: KafkaSettings, model: CubeModel, settings: IngestSettings = QUICK
) -> Iterator[tuple[Store, StoreIngest]]:
    with closing(Store(directory, [model])) as store:
        ingest = StoreIngest(store, model.name, kafka, settings)
        ingest.start()
        try:
            yield store, ingest
        finally:
            ingest.stop()


def wait_for_counters(store: Store, model: CubeModel, **wanted: int) -> None:
    wait_until(lambda: wanted.items() <= store.counters(model.name).items(), 60, f"{wanted}")


@pytest.fixture
def facts(topic: TopicSpec) -> CubeModel:
    return replace(load_cube(), topic=topic.name)


def test_rows_arrive_once_and_what_is_wrong_lies_in_the_dead_letters(
    tmp_path: Path, kafka: KafkaSettings, facts: CubeModel
) -> None:
    model = replace(facts, rules=(Rule("range", "SAMPLES", "reject", least=0), Rule("required", "JOB", "mark")))
    sent = [value(1), b"junk", value(2), value(2), value(3, SAMPLES=-1), value(4, JOB="")]
    with ingesting(tmp_path, kafka, model) as (store, ingest):
        produce(kafka, facts.topic, sent)
        wait_for_counters(store, model, facts=3, bad_records=2, duplicate_fact_ids=1, marked_rows=1)
        wait_until(lambda: ingest.state.lag == 0, 20, "no lag is left")
        assert ingest.state.reason is None
        assert sum(store.offsets("FACTS").values()) == len(sent)
    letters = {letter.value: letter.error for letter in list_dead_letters(kafka, facts.topic)}
    assert set(letters) == {b"junk", value(3, SAMPLES=-1)}
    assert "SAMPLES must be at least 0" in letters[value(3, SAMPLES=-1)]


def test_ingest_goes_on_where_the_store_is(tmp_path: Path, kafka: KafkaSettings, facts: CubeModel) -> None:
    for first in (0, 3000):
        produce(kafka, facts.topic, [value(number) for number in range(first, first + 3000)])
        with ingesting(tmp_path, kafka, facts) as (store, _):
            wait_for_counters(store, facts, facts=first + 3000, duplicate_fact_ids=0, lost_records=0)
            assert ask(store, "SELECT count(DISTINCT FACT_ID) FROM t") == [(first + 3000,)]


def test_topic_made_anew_is_read_from_its_start_and_lost_records_are_counted(
    tmp_path: Path, kafka: KafkaSettings, topic: TopicSpec, facts: CubeModel
) -> None:
    produce(kafka, topic.name, [value(number) for number in range(30)], partition=0)
    with ingesting(tmp_path, kafka, facts) as (store, _):
        wait_for_counters(store, facts, facts=30)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_topics([topic.name])
    wait_until(lambda: topic.name not in admin.list_topics(), 30, "the topic is gone")
    apply_topics(kafka, {topic.name: topic}, replication=1)
    produce(kafka, topic.name, [value(number) for number in range(25, 35)], partition=0)
    with ingesting(tmp_path, kafka, facts) as (store, _):
        wait_for_counters(store, facts, facts=35, topic_resets=1, duplicate_fact_ids=5)
    produce(kafka, topic.name, [value(number) for number in range(40, 50)], partition=0)
    admin.delete_records({TopicPartition(topic.name, 0): 14})
    admin.close()
    with ingesting(tmp_path, kafka, facts) as (store, _):
        wait_for_counters(store, facts, facts=41, lost_records=4)


def test_changed_cube_is_switched_once_it_has_caught_up(tmp_path: Path, kafka: KafkaSettings, facts: CubeModel) -> None:
    produce(kafka, facts.topic, [value(number) for number in range(20)])
    with ingesting(tmp_path, kafka, replace(facts, rollups=())) as (store, _):
        wait_for_counters(store, facts, facts=20)
    with ingesting(tmp_path, kafka, facts) as (store, _):
        wait_until(lambda: store.is_switched("FACTS"), 30, "readers see the new version")
        rollup = facts.relation(facts.rollups[0])
        assert ask(store, "SELECT sum(ROWS_COUNT) FROM t", rollup) == [(20,)]


def test_new_version_without_the_history_that_the_topic_lost_is_held_back(
    tmp_path: Path, kafka: KafkaSettings, facts: CubeModel
) -> None:
    fewer = tuple(column for column in facts.columns if column.name != "METRIC_SUM")
    produce(kafka, facts.topic, [value(number) for number in range(20)])
    with ingesting(tmp_path, kafka, replace(facts, columns=fewer)) as (store, _):
        wait_for_counters(store, facts, facts=20)
    delete_records(kafka, facts.topic)
    produce(kafka, facts.topic, [value(number) for number in range(20, 25)])
    with ingesting(tmp_path, kafka, facts) as (store, ingest):
        held_back = wait_until(lambda: ingest.held_back, 60, "the new version has read the topic")
        assert held_back.startswith("20 rows")
        assert (store.is_switched("FACTS"), store.rows("FACTS")) == (False, 20)
    with ingesting(tmp_path, kafka, facts, replace(QUICK, forget_history=True)) as (store, ingest):
        wait_until(lambda: store.is_switched("FACTS"), 60, "the new version is seen")
        assert (ingest.held_back, store.rows("FACTS")) == (None, 5)


def delete_records(kafka: KafkaSettings, topic: str) -> None:
    """As the topic's retention does."""
    with closing(BatchConsumer(kafka, [topic])) as consumer:
        ends = {TopicPartition(name, partition): end for (name, partition), end in consumer.end_offsets().items()}
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_records(ends)
    admin.close()


def test_attempts_of_a_job_come_from_its_lifecycle(tmp_path: Path, kafka: KafkaSettings, topic: TopicSpec) -> None:
    model = replace(load_catalog().cubes["JOBS"], topic=topic.name)
    ended = {**LIFECYCLE, "kind": "JOB_FINISHED", "at": LIFECYCLE["at"] + 5_000_000, "step": 9}
    produce(kafka, topic.name, [encode("Lifecycle", LIFECYCLE), encode("Lifecycle", ended)], partition=0)
    with ingesting(tmp_path, kafka, model) as (store, _):
        wait_for_counters(store, model, facts=2)
        assert ask(store, "SELECT STATUS, WORLD_SIZE, END_STEP FROM t", "JOBS") == [("FINISHED", 4, 9)]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_bulk_consumer_reads_what_the_other_one_reads(
    kafka: KafkaSettings, topic: TopicSpec, compression: str | None
) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, compression_type=compression)
    for number in range(500):
        headers = [("name", b"x" * (number % 3)), ("none", b"")] if number % 5 == 0 else None
        key = None if number % 7 == 0 else b"k" * number
        body = None if number % 11 == 0 and key is not None else b"v" * number
        producer.send(topic.name, body, key, headers=headers, timestamp_ms=1_795_492_800_000 + number * 1000)
    producer.flush()
    producer.close()
    read = []
    for kind in (BatchConsumer, BulkConsumer):
        with kind(kafka, [topic.name], max_records=77) as consumer:
            records: list[Any] = []
            wait_until(lambda c=consumer, r=records: r.extend(c.poll(0.2)) or len(r) >= 500, 30, "all records")
        fields = ("topic", "partition", "offset", "timestamp_millis", "key", "value", "headers")
        read.append(
            sorted([tuple(getattr(one, field) for field in fields) for one in records], key=lambda one: one[1:3])
        )
    assert read[0] == read[1]
