"""Records that could not be read: kept in dlq.<topic> as their original bytes, with where and why in headers.

The headers follow Kafka Connect's names, so that tools that know dead letters know ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import KafkaProducer

from gradcube.bus.client import bus_errors, kafka_options, quiet_client_log
from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.topics import load_topics
from gradcube.errors import DataError
from gradcube.settings import KafkaSettings

log = structlog.get_logger(__name__)

PREFIX = "dlq."
HEADER = "__connect.errors."
REPLAYED = "gradcube.replayed-from"
MAX_RECORD_BYTES = 16 * 2**20
FLUSH_SECONDS = 30


@dataclass(frozen=True)
class DeadLetter:
    """One record of a dead-letter topic: where it lies, where it came from, what was wrong."""

    dlq_topic: str
    dlq_offset: int
    topic: str
    partition: int
    offset: int
    stage: str
    error: str
    key: bytes | None
    value: bytes


def dead_letter_headers(record: Record, error: BaseException, stage: str) -> list[tuple[str, bytes]]:
    """Where the record came from, what was wrong with it, and at which stage that was seen."""
    return [
        (HEADER + "topic", record.topic.encode()),
        (HEADER + "partition", str(record.partition).encode()),
        (HEADER + "offset", str(record.offset).encode()),
        (HEADER + "exception.class.name", type(error).__name__.encode()),
        (HEADER + "exception.message", str(error)[:1000].encode()),
        (HEADER + "stage", stage.encode()),
    ]


class DeadLetterWriter:
    """`writer.write(record, error, "decode")`; `flush` before the source's offset is committed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._pending: list[Any] = []

    def write(self, record: Record, error: BaseException, stage: str) -> None:
        """Queues the record's original bytes for dlq.<topic>."""
        if self._producer is None:
            self._producer = _producer(self._settings)
        future = self._producer.send(
            PREFIX + record.topic,
            key=record.key,
            value=record.value,
            headers=[*record.headers, *dead_letter_headers(record, error, stage)],
        )
        self._pending.append(future)
        log.warning(
            "dead letter", topic=record.topic, partition=record.partition, offset=record.offset, reason=str(error)
        )

    def flush(self) -> None:
        """Waits until all are acknowledged. Raises BusError when one is not."""
        with bus_errors(self._settings):
            for future in self._pending:
                future.get(timeout=FLUSH_SECONDS)
        self._pending.clear()

    def close(self) -> None:
        """Flushes and closes."""
        if self._producer is not None:
            self.flush()
            self._producer.close()


def list_dead_letters(settings: KafkaSettings, topic: str | None = None) -> list[DeadLetter]:
    """All dead letters, or those of one source topic, oldest first. Raises DataError for a topic that has none."""
    names = [name for name in load_topics() if name.startswith(PREFIX)]
    if topic is not None:
        wanted = PREFIX + topic.removeprefix(PREFIX)
        if wanted not in names:
            raise DataError(f"topic {topic} has no dead letters; those that can: {', '.join(names)}")
        names = [wanted]
    return [letter for name in names for letter in _read(settings, name)]


def replay(settings: KafkaSettings, dlq_topic: str, offsets: Sequence[int]) -> int:
    """Sends dead letters to their source topic again, byte for byte; returns how many.

    Raises DataError when there is none at one of the offsets; then nothing is sent.
    """
    letters = {letter.dlq_offset: letter for letter in list_dead_letters(settings, dlq_topic)}
    missing = [offset for offset in offsets if offset not in letters]
    if missing:
        raise DataError(f"{dlq_topic} has nothing at offset {missing[0]}; see: gradcube dlq list")
    producer = _producer(settings)
    try:
        for offset in offsets:
            letter = letters[offset]
            headers = [(REPLAYED, f"{dlq_topic}/{offset}".encode())]
            with bus_errors(settings):
                producer.send(letter.topic, key=letter.key, value=letter.value, headers=headers).get(FLUSH_SECONDS)
    finally:
        producer.close()
    return len(offsets)


def _read(settings: KafkaSettings, name: str) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    with BatchConsumer(settings, [name]) as consumer:
        end = sum(consumer.end_offsets().values())
        while sum(consumer.positions().values()) < end:
            letters += [_letter(record) for record in consumer.poll(1.0)]
    return letters


def _letter(record: Record) -> DeadLetter:
    headers = {name: value.decode(errors="replace") for name, value in record.headers if name.startswith(HEADER)}

    def header(name: str, default: str) -> str:
        return headers.get(HEADER + name, default)

    return DeadLetter(
        dlq_topic=record.topic,
        dlq_offset=record.offset,
        topic=header("topic", record.topic.removeprefix(PREFIX)),
        partition=int(header("partition", "-1")),
        offset=int(header("offset", "-1")),
        stage=header("stage", ""),
        error=f"{header('exception.class.name', '')}: {header('exception.message', '')}",
        key=record.key,
        value=record.value or b"",
    )


def _producer(settings: KafkaSettings) -> Any:
    quiet_client_log()
    with bus_errors(settings):
        return KafkaProducer(**kafka_options(settings), max_request_size=MAX_RECORD_BYTES, bootstrap_timeout_ms=5000)
