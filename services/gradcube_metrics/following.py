"""Topics that every worker reads whole, outside the group: what jobs are, and what operators ask."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gradcube.errors import SchemaError
from gradcube.events import decode
from gradcube.settings import KafkaSettings
from gradcube_metrics.kafka_access import client_options
from gradcube_metrics.listening import ListeningClock

PAUSE_SECONDS = 0.25

Learner = Callable[[dict[str, Any]], None]

log = structlog.get_logger(__name__)


class Following:
    """Hands every record of some topics of one partition to its learner: `Following({("topic", "Schema"): learn})`.

    `caught_up` is set once the past is read. Since it asks the broker several times a second, it also keeps the clock
    that an outage stops.
    """

    def __init__(self, learners: Mapping[tuple[str, str], Learner]) -> None:
        self.caught_up = asyncio.Event()
        self.clock = ListeningClock()
        self._learners = {topic: (schema, learn) for (topic, schema), learn in learners.items()}
        self._places = [TopicPartition(topic, 0) for topic in self._learners]

    async def follow(self, settings: KafkaSettings) -> None:
        """Reads for ever, through outages."""
        consumer = AIOKafkaConsumer(
            **client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest", request_timeout_ms=5000
        )
        await consumer.start()
        try:
            consumer.assign(self._places)
            placed = False
            while True:
                try:
                    placed = placed or await self._place(consumer)
                    await self._read(consumer)
                except KafkaError as error:
                    log.warning("broker does not answer", error=repr(error))
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await consumer.stop()

    async def _place(self, consumer: AIOKafkaConsumer) -> bool:
        await consumer.seek_to_beginning(*self._places)
        return True

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(self._places)
        self.clock.answered(time.time_ns() // 1000)
        while [place for place in self._places if await consumer.position(place) < ends[place]]:
            for records in (await consumer.getmany(*self._places, timeout_ms=500)).values():
                for record in records:
                    self.learn(record)
        self.caught_up.set()

    def learn(self, record: Any) -> None:
        """Takes one record in; one that cannot be read is logged and passed over."""
        if record.value is None:
            return  # compaction's tombstone
        wanted, learn = self._learners[record.topic]
        try:
            name, event = decode(record.value)
            if name != wanted:
                raise SchemaError(f"a {name} where a {wanted} belongs")
        except SchemaError as error:
            log.warning("unreadable record", topic=record.topic, offset=record.offset, error=str(error))
            return
        learn(event)
