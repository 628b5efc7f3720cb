"""Faust's transport with a batch for a message: what one fetch brought of one partition is one event of an agent.

Faust 0.15.3 spends two tasks and a wait on every message (10-13 k messages/s on a core), and its commit can step over
a message that is still in work (its issue 606). Here a `FetchBatch` takes one trip through Faust, and the offset
committed is the end of the longest prefix of batches that the service has marked as written.
"""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from gradcube.errors import ConfigError

WRITTEN_FOR = "0.15.3"
FETCH_WAIT_MILLISECONDS = 100
"""Faust asks the broker to hold an empty fetch for 1.5 s, and partitions that are not part of it wait as long."""
FETCH_MIN_BYTES = 1 << 20
"""Less than this is worth the wait: a batch of one record costs as much as one of fifty."""


def check_faust_version(version: str = faust.__version__) -> None:
    """Raises ConfigError for another Faust than the one whose inner life this module relies on."""
    if version != WRITTEN_FOR:
        raise ConfigError(f"faust-streaming {version} is installed, {WRITTEN_FOR} is needed: install that version")


class FetchBatch:
    """The records of one fetch of one partition; `written` once everything made of them is safe in Kafka."""

    __slots__ = ("last_offset", "partition", "records", "topic", "written")

    def __init__(self, topic: str, partition: int, records: Sequence[Any]) -> None:
        self.topic = topic
        self.partition = partition
        self.records = records
        self.last_offset = int(records[-1].offset)
        self.written = False


class BatchConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread with a shorter wait for new records."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MILLISECONDS
        consumer._fetch_min_bytes = FETCH_MIN_BYTES
        return consumer


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Delivers a FetchBatch a partition and fetch; commits only the prefix that is `written`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._delivered: defaultdict[TP, deque[FetchBatch]] = defaultdict(deque)
        super().__init__(*args, **options)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's
        """One message for each partition that has records."""
        records, _ = await self._wait_next_records(timeout)
        if not self.flow_active:
            await self.perform_seek()
            return
        generation = self.app.consumer_generation_id
        for tp, found in (records or {}).items():
            if self.should_stop or not self.flow_active or generation != self.app.consumer_generation_id:
                return  # a rebalance is under way: it seeks back to what was committed
            if found:
                yield tp, self._deliver(TP(*tp), found)

    def _deliver(self, tp: TP, records: Sequence[Any]) -> ConsumerMessage:
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        batch = FetchBatch(tp.topic, tp.partition, records)
        self._delivered[tp].append(batch)
        last = records[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000, last.timestamp_type, (),
            None, batch, None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._delivered) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        delivered, offset = self._delivered[tp], None
        while delivered and delivered[0].written:
            offset = delivered.popleft().last_offset + 1
        return offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between two batches need no book-keeping: a batch stands for all up to its last."""

    def ack(self, message: Any) -> bool:
        """Faust's acknowledgement, which it also gives to what it skips, says nothing here."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def perform_seek(self) -> None:
        """Back to what is committed; what was delivered since will come again."""
        self._delivered.clear()
        await super().perform_seek()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Whoever gets the partitions starts at what is committed."""
        await super().on_partitions_revoked(revoked)
        self._delivered.clear()


class IdempotentProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer with what it reserves for transactions: acks=all, no doubles, order kept on retries."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport with the two classes above."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer


class BatchApp(faust.App):  # type: ignore[misc]
    """A Faust app on `BatchTransport`."""

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return BatchTransport(self.conf.broker_producer, self)
