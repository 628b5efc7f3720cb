"""Dead letters on a real broker: as sent, listed with their reasons, sent back byte for byte."""

import random
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from tests.integration.bus.conftest import spec
from tests.waiting import wait_until

from gradcube.bus.client import connect
from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.dead_letters import DeadLetterWriter, list_dead_letters, replay
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.errors import BusError, DataError, SchemaError
from gradcube.settings import KafkaSettings

TEN_MEGABYTES = 10 * 2**20


@pytest.fixture
def source(kafka: KafkaSettings) -> str:
    """A topic that takes 16 MiB records, with its dead letters as topics.yaml declares them."""
    name = f"test.{uuid4().hex}"
    letters = load_topics()["dlq.gradcube.steps"]
    large = {"max.message.bytes": letters.config["max.message.bytes"]}
    apply_topics(kafka, {name: spec(name, 1, **large), f"dlq.{name}": spec(f"dlq.{name}", 1, **letters.config)})
    return name


@pytest.fixture
def writer(kafka: KafkaSettings) -> Iterator[DeadLetterWriter]:
    writer = DeadLetterWriter(kafka)
    yield writer
    writer.close()


def _produce(kafka: KafkaSettings, topic: str, values: list[bytes | None]) -> None:
    producer = connect(KafkaProducer, kafka, max_request_size=2 * TEN_MEGABYTES)
    futures = [producer.send(topic, value, b"bert/%d" % n, headers=[("trace", b"t")]) for n, value in enumerate(values)]
    for future in futures:
        future.get(timeout=60)
    producer.close(timeout=5)


def _read(kafka: KafkaSettings, topic: str, count: int) -> list[Record]:
    records: list[Record] = []
    with BatchConsumer(kafka, [topic]) as consumer:
        wait_until(lambda: records.extend(consumer.poll(0.5)) or len(records) >= count, 60, f"{count} records")
    return records


def test_ten_megabyte_record_amid_a_batch_is_kept_as_sent_and_goes_back(
    kafka: KafkaSettings, source: str, writer: DeadLetterWriter
) -> None:
    poison = random.Random(1).randbytes(TEN_MEGABYTES)
    _produce(kafka, source, [b"good", poison, b"good too"])
    records = _read(kafka, source, 3)
    assert [record.value for record in records] == [b"good", poison, b"good too"]
    writer.write(records[1], SchemaError("no framing byte"), "decode")
    writer.flush()

    (letter,) = list_dead_letters(kafka, source)
    assert (letter.dlq_topic, letter.dlq_offset) == (f"dlq.{source}", 0)
    assert (letter.topic, letter.partition, letter.offset, letter.stage) == (source, 0, 1, "decode")
    assert letter.error == "gradcube.errors.SchemaError: no framing byte"
    assert letter.timestamp_millis == records[1].timestamp_millis
    assert (letter.record.key, letter.value == poison) == (b"bert/1", True)

    assert replay(kafka, letter.dlq_topic, [0]) == 1
    back = _read(kafka, source, 4)[3]
    assert (back.key, back.value == poison) == (b"bert/1", True)
    assert back.headers == (("trace", b"t"), ("gradcube.replayed.from", f"dlq.{source}/0/0".encode()))


def test_all_or_chosen_letters_are_sent_back(kafka: KafkaSettings, source: str, writer: DeadLetterWriter) -> None:
    _produce(kafka, source, [b"a", b"b", None])
    for record in _read(kafka, source, 3):
        writer.write(record, SchemaError("bad"), "decode")
    writer.flush()
    assert replay(kafka, f"dlq.{source}", [1]) == 1
    assert replay(kafka, f"dlq.{source}") == 3
    assert [record.value for record in _read(kafka, source, 7)[3:]] == [b"b", b"a", b"b", None]
    assert len(list(list_dead_letters(kafka, f"dlq.{source}"))) == 3
    with pytest.raises(DataError, match=r"has no offsets \[7\]"):
        replay(kafka, f"dlq.{source}", [0, 7])


def test_record_without_key_and_value_is_kept_too(kafka: KafkaSettings, source: str, writer: DeadLetterWriter) -> None:
    writer.write(Record(source, 0, 5, 1, None, None, ()), SchemaError("empty"), "decode")
    writer.flush()
    (letter,) = list_dead_letters(kafka, source)
    assert (letter.offset, letter.record.value, letter.value) == (5, None, b"")


def test_foreign_record_among_the_letters_is_listed_as_unknown(kafka: KafkaSettings, source: str) -> None:
    _produce(kafka, f"dlq.{source}", [b"by hand"])
    (letter,) = list_dead_letters(kafka, source)
    assert (letter.topic, letter.partition, letter.offset, letter.error) == (source, -1, -1, "unknown: ")


def test_missing_dead_letter_topic_is_told(
    kafka: KafkaSettings, new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradcube.bus.dead_letters.BLOCK_SECONDS", 1)
    topic = new_topic(1)
    writer = DeadLetterWriter(kafka)
    with pytest.raises(BusError, match=f"topic dlq.{topic} is missing"):
        writer.write(Record(topic, 0, 0, 0, b"k", b"v", ()), SchemaError("bad"), "decode")
    writer.close()
