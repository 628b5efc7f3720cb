"""Reading on a real broker: groups, explicit offsets, and a broker that goes away and comes back."""

from collections.abc import Callable

import pytest
from kafka import KafkaProducer
from tests.integration.bus.conftest import spec
from tests.waiting import wait_until

from gradcube.bus.client import connect
from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics
from gradcube.errors import BrokerUnavailable, TopicMismatch
from gradcube.ports import free_port
from gradcube.settings import KafkaSettings

NewTopic = Callable[..., str]


def _produce(kafka: KafkaSettings, topic: str, count: int, first: int = 0, partition: int | None = None) -> None:
    producer = connect(KafkaProducer, kafka)
    try:
        for number in range(first, first + count):
            key = b"key-%d" % (number % 5)
            producer.send(topic, b"%d" % number, key, headers=[("n", b"1")], partition=partition)
        producer.flush(30)
    finally:
        producer.close(timeout=5)


def _read(consumer: BatchConsumer, count: int) -> list[Record]:
    records: list[Record] = []
    wait_until(lambda: records.extend(consumer.poll(0.5)) or len(records) >= count, 60, f"{count} records")
    return records


def test_every_record_comes_once_with_its_bytes(kafka: KafkaSettings, new_topic: NewTopic) -> None:
    topic = new_topic()
    _produce(kafka, topic, 50)
    with BatchConsumer(kafka, [topic], max_records=7) as consumer:
        batch = consumer.poll(10)
        assert 0 < len(batch) <= 7
        records = batch + _read(consumer, 50 - len(batch))
        assert consumer.poll(0.2) == []
        assert consumer.positions() == consumer.end_offsets()
    assert sorted(int(record.value or b"") for record in records) == list(range(50))
    assert {record.key for record in records} == {b"key-%d" % number for number in range(5)}
    assert {record.headers for record in records} == {(("n", b"1"),)}
    for partition in (0, 1):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_tombstone_and_bytes_that_are_no_record_arrive_raw(kafka: KafkaSettings, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    producer = connect(KafkaProducer, kafka)
    producer.send(topic, None, b"gone")
    producer.send(topic, b"\x00\xff\xfe", None)
    producer.close(timeout=10)
    with BatchConsumer(kafka, [topic]) as consumer:
        records = _read(consumer, 2)
    assert [(record.key, record.value) for record in records] == [(b"gone", None), (None, b"\x00\xff\xfe")]


def test_group_goes_on_after_its_last_commit(kafka: KafkaSettings, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    _produce(kafka, topic, 10)
    with BatchConsumer(kafka, [topic], group=topic, max_records=4) as consumer:
        first = _read(consumer, 4)
        consumer.commit()
        _read(consumer, 4)  # read, and not committed
    with BatchConsumer(kafka, [topic], group=topic) as consumer:
        assert [record.offset for record in _read(consumer, 10 - len(first))] == list(range(len(first), 10))


def test_given_offsets_are_where_reading_starts(kafka: KafkaSettings, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    _produce(kafka, topic, 6, partition=0)
    _produce(kafka, topic, 3, partition=1)
    with BatchConsumer(kafka, [topic], start={(topic, 0): 4}) as consumer:
        assert consumer.positions()[topic, 0] == 4
        records = _read(consumer, 5)
    assert sorted((record.partition, record.offset) for record in records) == [(0, 4), (0, 5), (1, 0), (1, 1), (1, 2)]


def test_only_new_records_come_when_asked_for(kafka: KafkaSettings, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    _produce(kafka, topic, 3)
    with BatchConsumer(kafka, [topic], from_beginning=False) as consumer:
        assert consumer.positions() == {(topic, 0): 3}
        _produce(kafka, topic, 2, first=3)
        assert [record.value for record in _read(consumer, 2)] == [b"3", b"4"]


def test_missing_topic_is_told_at_once(kafka: KafkaSettings) -> None:
    with pytest.raises(TopicMismatch, match=r"topic test\.absent is missing; create it"):
        BatchConsumer(kafka, ["test.absent"])


def test_group_and_offsets_exclude_each_other(kafka: KafkaSettings) -> None:
    with pytest.raises(ValueError, match="either group or start"):
        BatchConsumer(kafka, ["gradcube.steps"], group="g", start={})


def test_absent_broker_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradcube.bus.consumer.ANSWER_SECONDS", 1.0)
    with pytest.raises(BrokerUnavailable, match="no Kafka broker answers"):
        BatchConsumer(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}"), ["gradcube.steps"])


@pytest.mark.parametrize("group", [None, "readers"])
def test_reading_goes_on_after_the_broker_was_killed(own_broker: LocalBroker, group: str | None) -> None:
    own_broker.start()
    kafka = KafkaSettings(bootstrap=own_broker.bootstrap)
    apply_topics(kafka, {"numbers": spec("numbers")})
    _produce(kafka, "numbers", 10)
    with BatchConsumer(kafka, ["numbers"], group=group) as consumer:
        records = _read(consumer, 10)
        own_broker.kill()
        assert consumer.poll(1.0) == []
        own_broker.start()
        _produce(kafka, "numbers", 10, first=10)
        records += _read(consumer, 10)
        if group:
            consumer.commit()
    assert sorted(int(record.value or b"") for record in records) == list(range(20))
