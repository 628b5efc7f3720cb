"""Records that could not be read: kept as sent in `dlq.<topic>`, listed, and sent back once the cause is mended.

Value and key are the original bytes. Headers follow Kafka Connect's convention, `__connect.errors.topic`, `.partition`,
`.offset`, `.exception.class.name`, `.exception.message`, `.stage` and `.timestamp`, so that its tools read them.
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import kafka.errors
from kafka import KafkaProducer

from gradcube.bus.client import bus_errors, connect
from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.topics import load_topics
from gradcube.errors import BusError, DataError
from gradcube.settings import KafkaSettings

PREFIX = "dlq."
HEADER = "__connect.errors."
REPLAYED = "gradcube.replayed.from"
MAX_RECORD_BYTES = 16 * 2**20
"""As dlq topics allow; a record of 10 MB and its headers fit."""
MAX_MESSAGE_CHARACTERS = 1000
BLOCK_SECONDS = 10


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter as it lies in its topic (`record`), and what its headers say about where it came from.

    `topic`, `partition`, `offset` are the source's, `error` is the exception's class and message.
    """

    record: Record
    topic: str
    partition: int
    offset: int
    stage: str
    error: str
    timestamp_millis: int

    @property
    def dlq_topic(self) -> str:
        """Where it lies."""
        return self.record.topic

    @property
    def dlq_offset(self) -> int:
        """Where it lies: dead-letter topics have one partition."""
        return self.record.offset

    @property
    def value(self) -> bytes:
        """The original bytes; empty for a record without a value."""
        return self.record.value or b""


def dead_letter_headers(record: Record, error: Exception, stage: str) -> list[tuple[str, bytes]]:
    """The record's own headers and those that say why it was put aside; `stage` names what failed (`decode`)."""
    reasons = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": str(error)[:MAX_MESSAGE_CHARACTERS],
        "stage": stage,
        "timestamp": record.timestamp_millis,
    }
    own = [header for header in record.headers if not header[0].startswith(HEADER)]
    return own + [(HEADER + name, str(value).encode("utf-8", "replace")) for name, value in reasons.items()]


class DeadLetterWriter:
    """`writer.write(record, error, "decode")`, then `flush` before the input's offset is committed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = _producer(settings)
        self._sent: list[Any] = []

    def write(self, record: Record, error: Exception, stage: str) -> None:
        """Hands the record to the client. Raises BusError when its dead-letter topic is missing."""
        with bus_errors(self._settings):
            headers = dead_letter_headers(record, error, stage)
            self._sent.append(_send(self._producer, PREFIX + record.topic, record, headers))

    def flush(self, timeout_seconds: float = 30) -> None:
        """Returns when every record written so far is acknowledged; else raises BusError, and none is forgotten."""
        with bus_errors(self._settings):
            self._producer.flush(timeout_seconds)
            for future in self._sent:
                future.get(timeout=timeout_seconds)
            self._sent.clear()

    def close(self) -> None:
        """Flushes and ends the client."""
        try:
            self.flush()
        finally:
            _close(self._producer)


def list_dead_letters(settings: KafkaSettings, topic: str | None = None) -> Iterator[DeadLetter]:
    """Dead letters of one source topic (or of all), oldest first per topic; `topic` may carry the prefix or not."""
    with BatchConsumer(settings, _dead_letter_topics(topic)) as consumer:
        ends = {place: end for place, end in consumer.end_offsets().items() if end > 0}
        while any(consumer.positions().get(place, 0) < end for place, end in ends.items()):
            for record in consumer.poll(1.0):
                if record.offset < ends.get((record.topic, record.partition), 0):
                    yield _dead_letter(record)


def replay(settings: KafkaSettings, dlq_topic: str, offsets: Collection[int] | None = None) -> int:
    """Sends dead letters back to where they came from, key and value as they were, and returns how many.

    `offsets` are those in the dead-letter topic; None means all. Each gets a header `gradcube.replayed.from` with
    `topic/partition/offset` of the dead letter, which stays where it is. Raises DataError for an offset not there.
    """
    letters = list(list_dead_letters(settings, dlq_topic))
    absent = set(offsets or ()) - {letter.record.offset for letter in letters}
    if absent:
        raise DataError(f"{dlq_topic} has no offsets {sorted(absent)}; `gradcube dlq list` shows those it has")
    chosen = [letter for letter in letters if offsets is None or letter.record.offset in offsets]
    with bus_errors(settings), closing(_producer(settings)) as producer:
        futures = [_send_back(producer, letter) for letter in chosen]
        producer.flush(30)
        for future in futures:
            future.get(timeout=1)
    return len(futures)


def _dead_letter_topics(topic: str | None) -> list[str]:
    if topic is None:
        return [name for name in load_topics() if name.startswith(PREFIX)]
    return [topic if topic.startswith(PREFIX) else PREFIX + topic]


def _dead_letter(record: Record) -> DeadLetter:
    reasons = {
        name.removeprefix(HEADER): value.decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith(HEADER)
    }
    return DeadLetter(
        record=record,
        topic=reasons.get("topic", record.topic.removeprefix(PREFIX)),
        partition=_number(reasons.get("partition")),
        offset=_number(reasons.get("offset")),
        stage=reasons.get("stage", ""),
        error=f"{reasons.get('exception.class.name', 'unknown')}: {reasons.get('exception.message', '')}",
        timestamp_millis=_number(reasons.get("timestamp")),
    )


def _number(text: str | None) -> int:
    """-1 where a foreign writer left the header out or put something else into it."""
    return int(text) if text and text.isascii() and text.isdigit() else -1


def _send_back(producer: Any, letter: DeadLetter) -> Any:
    record = letter.record
    own = [header for header in record.headers if not header[0].startswith(HEADER)]
    source = f"{record.topic}/{record.partition}/{record.offset}".encode()
    return _send(producer, letter.topic, record, [*own, (REPLAYED, source)])


def _send(producer: Any, topic: str, record: Record, headers: list[tuple[str, bytes]]) -> Any:
    # An empty key makes kafka-python accept a record that has neither key nor value.
    key = b"" if record.key is None and record.value is None else record.key
    try:
        return producer.send(topic, record.value, key, headers=headers)
    except kafka.errors.KafkaTimeoutError as error:
        raise BusError(
            f"topic {topic} is missing, or its broker does not answer; look with `gradcube topics check`"
        ) from error


def _producer(settings: KafkaSettings) -> Any:
    with bus_errors(settings):
        return connect(
            KafkaProducer,
            settings,
            client_id="gradcube-dead-letters",
            acks="all",
            linger_ms=5,
            max_request_size=MAX_RECORD_BYTES,
            max_block_ms=BLOCK_SECONDS * 1000,
            bootstrap_timeout_ms=15_000,
            allow_auto_create_topics=False,
        )


def _close(producer: Any) -> None:
    try:
        producer.close(timeout=5)
    except kafka.errors.KafkaError:
        producer._sender.force_close()
