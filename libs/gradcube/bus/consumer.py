"""The one consumer loop: batches of raw records out of Kafka, by group or from explicit offsets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import kafka.errors
import structlog
from kafka import KafkaConsumer, TopicPartition
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from gradcube.bus.client import bus_errors, kafka_options, quiet_client_log
from gradcube.errors import BrokerUnavailable, TopicMismatch
from gradcube.settings import KafkaSettings

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 20
MAX_FETCH_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the broker gave it."""

    topic: str
    partition: int
    offset: int
    timestamp_millis: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class BatchConsumer:
    """`with BatchConsumer(kafka, ["gradcube.facts"], start={("gradcube.facts", 0): 17}) as consumer`.

    With `group`, partitions are shared and offsets kept by Kafka (call `commit`). Without, all partitions are read:
    from `start` where it says so, else from the beginning or from now. Raises BrokerUnavailable when no broker
    answers at the start, TopicMismatch for a topic that is not there. A broker that goes away later is waited for.
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
        quiet_client_log()
        self._settings = settings
        self._topics = list(topics)
        options = {
            **kafka_options(settings),
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if from_beginning else "latest",
            "max_poll_records": max_records,
            "fetch_max_bytes": MAX_FETCH_BYTES,
            "max_partition_fetch_bytes": MAX_FETCH_BYTES,
            "bootstrap_timeout_ms": 5000,
        }
        self._consumer = _connect(settings, options)
        if group is not None:
            self._consumer.subscribe(self._topics)
        else:
            self._assign(from_beginning, start or {})

    def poll(self, timeout_seconds: float) -> list[Record]:
        """What has arrived, in the order of each partition; waits up to `timeout_seconds` for the first record."""
        try:
            answer = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
        except (kafka.errors.KafkaTimeoutError, kafka.errors.KafkaConnectionError) as error:
            log.warning("broker does not answer", bootstrap=self._settings.bootstrap, reason=type(error).__name__)
            return []
        return [_record(raw) for records in answer.values() for raw in records]

    def commit(self) -> None:
        """Commits the position of the last poll. Only with a group."""
        with bus_errors(self._settings):
            self._consumer.commit()

    def positions(self) -> dict[tuple[str, int], int]:
        """The next offset of each partition."""
        with bus_errors(self._settings):
            return {(p.topic, p.partition): self._consumer.position(p) for p in self._consumer.assignment()}

    def beginning_offsets(self) -> dict[tuple[str, int], int]:
        """The oldest offset that each partition still has."""
        with bus_errors(self._settings):
            offsets = self._consumer.beginning_offsets(list(self._consumer.assignment()))
        return {(p.topic, p.partition): offset for p, offset in offsets.items()}

    def end_offsets(self) -> dict[tuple[str, int], int]:
        """One past the last offset of each partition."""
        with bus_errors(self._settings):
            offsets = self._consumer.end_offsets(list(self._consumer.assignment()))
        return {(p.topic, p.partition): offset for p, offset in offsets.items()}

    def close(self) -> None:
        """Leaves the group and closes the connections."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _assign(self, from_beginning: bool, start: Mapping[tuple[str, int], int]) -> None:
        with bus_errors(self._settings):
            partitions = [TopicPartition(t, p) for t in self._topics for p in self._partitions(t)]
            self._consumer.assign(partitions)
            for partition in partitions:
                offset = start.get((partition.topic, partition.partition))
                if offset is not None:
                    self._consumer.seek(partition, offset)
                elif from_beginning:
                    self._consumer.seek_to_beginning(partition)
                else:
                    self._consumer.seek_to_end(partition)
                    # Asked now: a record that comes after this call belongs to us.
                    self._consumer.position(partition)

    def _partitions(self, topic: str) -> list[int]:
        partitions = self._consumer.partitions_for_topic(topic)
        if not partitions:
            self._consumer.close()
            raise TopicMismatch(f"topic {topic} is missing; create it with `gradcube topics apply`")
        return sorted(partitions)


@retry(
    retry=retry_if_exception_type(BrokerUnavailable),
    stop=stop_after_delay(CONNECT_SECONDS),
    wait=wait_exponential(multiplier=0.2, max=3),
    reraise=True,
)
def _connect(settings: KafkaSettings, options: Mapping[str, Any]) -> Any:
    with bus_errors(settings):
        return KafkaConsumer(**options)


def _record(raw: Any) -> Record:
    headers = tuple((name, bytes(value or b"")) for name, value in raw.headers or ())
    return Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, headers)
