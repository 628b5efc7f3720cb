"""Reads topics in batches of raw records, by group or from given offsets; decoding is the caller's."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from gradcube.bus.client import UNREACHABLE, bus_errors, connect
from gradcube.errors import TopicMismatch
from gradcube.settings import KafkaSettings

T = TypeVar("T")

ANSWER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in Kafka. `timestamp_millis` is the broker's or the sender's, as the topic says."""

    topic: str
    partition: int
    offset: int
    timestamp_millis: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class BatchConsumer:
    """`with BatchConsumer(settings, ["gradcube.facts"], group="cube") as consumer: consumer.poll(1.0)`.

    With `group`, partitions are shared with the group's other members and `commit` stores how far `poll` has come.
    Without, every partition of the topics is read, from `start[topic, partition]` where given, else from the beginning
    or the end as `from_beginning` says. A broker that goes away and comes back is ridden out within `poll`.
    Raises BrokerUnavailable when nobody answers for 15 s, TopicMismatch for a missing topic.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        group: str | None = None,
        from_beginning: bool = True,
        start: Mapping[tuple[str, int], int] | None = None,
        max_records: int = 2000,
    ) -> None:
        if group is not None and start is not None:
            raise ValueError(f"group {group!r} keeps its own offsets; give either group or start")
        self._settings = settings
        self._topics = list(topics)
        self._max_records = max_records
        self._consumer = self._answer(lambda: self._new_consumer(group, from_beginning))
        try:
            if group is None:
                self._assign(start or {})
            else:
                self._consumer.subscribe(self._topics)
        except BaseException:
            self.close()
            raise

    def poll(self, timeout_seconds: float) -> list[Record]:
        """Up to `max_records` records, in offset order per partition; empty when none came in time."""
        with bus_errors(self._settings):
            batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000), max_records=self._max_records)
        return [_record(message) for batch in batches.values() for message in batch]

    def commit(self) -> None:
        """Stores the group's position after the last `poll`. Raises BusError when the partitions have moved on."""
        positions = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for (topic, partition), offset in self.positions().items()
        }
        if positions:
            self._answer(lambda: self._consumer.commit(positions))

    def positions(self) -> dict[tuple[str, int], int]:
        """The offset of the next record of each partition that is ours now and whose position is known."""
        found = {}
        for partition in self._consumer.assignment():
            offset = self._answer(partial(self._consumer.position, partition, timeout_ms=5000))
            if offset is not None:
                found[partition.topic, partition.partition] = offset
        return found

    def end_offsets(self) -> dict[tuple[str, int], int]:
        """The offset that the next record of each of the topics' partitions will get."""
        offsets = self._answer(lambda: self._consumer.end_offsets(self._partitions()))
        return {(partition.topic, partition.partition): offset for partition, offset in offsets.items()}

    def close(self) -> None:
        """Leaves the group without committing."""
        self._consumer.close(autocommit=False, timeout_ms=2000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _new_consumer(self, group: str | None, from_beginning: bool) -> Any:
        return connect(
            KafkaConsumer,
            self._settings,
            client_id="gradcube-consumer",
            group_id=group,
            auto_offset_reset="earliest" if from_beginning else "latest",
            enable_auto_commit=False,
            max_poll_records=self._max_records,
            bootstrap_timeout_ms=5000,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
        )

    def _assign(self, start: Mapping[tuple[str, int], int]) -> None:
        partitions = self._partitions()
        self._consumer.assign(partitions)
        for partition in partitions:
            offset = start.get((partition.topic, partition.partition))
            if offset is not None:
                self._consumer.seek(partition, offset)

    def _partitions(self) -> list[Any]:
        found = []
        for topic in self._topics:
            numbers = self._answer(partial(self._consumer.partitions_for_topic, topic))
            if not numbers:
                raise TopicMismatch(f"topic {topic} is missing; create it with `gradcube topics apply`")
            found += [TopicPartition(topic, number) for number in sorted(numbers)]
        return found

    def _answer(self, ask: Callable[[], T]) -> T:
        """Asks again, with growing pauses, while nobody answers."""
        retrying = Retrying(
            retry=retry_if_exception_type(UNREACHABLE),
            stop=stop_after_delay(ANSWER_SECONDS),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0),
            reraise=True,
            sleep=time.sleep,
        )
        with bus_errors(self._settings):
            return retrying(ask)


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_millis=message.timestamp,
        key=message.key,
        value=message.value,
        headers=tuple((name, bytes(value or b"")) for name, value in message.headers),
    )
