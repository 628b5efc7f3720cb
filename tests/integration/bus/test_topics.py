"""Topics on a real broker: created once, compared, never altered."""

import time
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from tests.integration.bus.conftest import spec
from tests.waiting import wait_until

from gradcube.bus.client import connect
from gradcube.bus.consumer import BatchConsumer
from gradcube.bus.topics import apply_topics, check_topics, load_topics
from gradcube.errors import BrokerUnavailable, BusError, TopicMismatch
from gradcube.ports import free_port
from gradcube.settings import KafkaSettings


def test_declared_topics_are_there_and_applying_again_creates_nothing(kafka: KafkaSettings) -> None:
    check_topics(kafka, load_topics())
    assert apply_topics(kafka, load_topics(), replication=1) == []


def test_steps_carry_the_brokers_clock(kafka: KafkaSettings) -> None:
    began_millis = time.time_ns() // 10**6
    producer = connect(KafkaProducer, kafka)
    try:
        sent = producer.send("gradcube.steps", b"x", b"clock", timestamp_ms=1000).get(timeout=30)
    finally:
        producer.close(timeout=5)
    with BatchConsumer(kafka, ["gradcube.steps"], start={("gradcube.steps", sent.partition): sent.offset}) as consumer:
        records = wait_until(lambda: [r for r in consumer.poll(0.5) if r.key == b"clock"], 30, "the record")
    assert records[0].timestamp_millis >= began_millis


def test_only_what_is_missing_is_created(kafka: KafkaSettings) -> None:
    first, second = f"test.{uuid4().hex}", f"test.{uuid4().hex}"
    assert apply_topics(kafka, {first: spec(first, 3)}) == [first]
    assert apply_topics(kafka, {first: spec(first, 3), second: spec(second)}) == [second]
    check_topics(kafka, {first: spec(first, 3), second: spec(second)})


def test_other_partition_count_is_reported_and_left_alone(kafka: KafkaSettings) -> None:
    name, absent = f"test.{uuid4().hex}", f"test.{uuid4().hex}"
    apply_topics(kafka, {name: spec(name, 3)})
    wanted = {name: spec(name, 5), absent: spec(absent)}
    with pytest.raises(TopicMismatch) as mismatch:
        check_topics(kafka, wanted)
    message = str(mismatch.value)
    assert f"topic {name} has 3 partitions, schemas/topics.yaml wants 5" in message
    assert f"topic {absent} is missing; create it with `gradcube topics apply`" in message
    assert apply_topics(kafka, wanted) == [absent]
    check_topics(kafka, {name: spec(name, 3)})


def test_impossible_topic_is_refused_with_its_name(kafka: KafkaSettings) -> None:
    name = f"test.{uuid4().hex}"
    with pytest.raises(BusError, match=f"topic {name} cannot be created"):
        apply_topics(kafka, {name: spec(name)}, replication=3)
    with pytest.raises(BusError, match=f"topic {name} cannot be created"):
        apply_topics(kafka, {name: spec(name, **{"retention.ms": "soon"})})


def test_absent_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradcube.bus.topics.ANSWER_SECONDS", 1.0)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailable, match=address):
        check_topics(KafkaSettings(bootstrap=address), load_topics())
