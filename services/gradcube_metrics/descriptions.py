"""What each job is, from gradcube.lifecycle: every worker reads all of it, outside the group."""

import asyncio
import time
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gradcube.errors import SchemaError
from gradcube.events import decode
from gradcube.settings import KafkaSettings
from gradcube.windows import JobDescription
from gradcube_metrics.kafka_access import client_options
from gradcube_metrics.listening import ListeningClock

LIFECYCLE = "gradcube.lifecycle"
PLACE = TopicPartition(LIFECYCLE, 0)

log = structlog.get_logger(__name__)


class Descriptions:
    """Job descriptions, kept up to date by `follow`; `caught_up` is set once the past is read.

    Since it asks the broker several times a second, it also keeps the clock that an outage stops.
    """

    def __init__(self) -> None:
        self.caught_up = asyncio.Event()
        self.clock = ListeningClock()
        self._jobs: dict[str, JobDescription] = {}

    def of(self, job: str) -> JobDescription:
        """The description, empty for a job that never was announced."""
        return self._jobs.get(job) or JobDescription(job)

    async def follow(self, settings: KafkaSettings) -> None:
        """Reads for ever, through outages."""
        consumer = AIOKafkaConsumer(
            **client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest", request_timeout_ms=5000
        )
        await consumer.start()
        try:
            consumer.assign([PLACE])
            await consumer.seek_to_beginning(PLACE)
            while True:
                try:
                    await self._read(consumer)
                except KafkaError as error:
                    log.warning("broker does not answer", error=repr(error))
                await asyncio.sleep(0.25)
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        end = (await consumer.end_offsets([PLACE]))[PLACE]
        self.clock.answered(time.time_ns() // 1000)
        while await consumer.position(PLACE) < end:
            for record in (await consumer.getmany(PLACE, timeout_ms=500)).get(PLACE, []):
                self.learn(record)
        self.caught_up.set()

    def learn(self, record: Any) -> None:
        """Takes one record in; one that cannot be read is logged and passed over."""
        if record.value is None:
            return  # compaction's tombstone
        try:
            name, event = decode(record.value)
            if name != "Lifecycle":
                raise SchemaError(f"a {name} where a Lifecycle belongs")
        except SchemaError as error:
            log.warning("unreadable lifecycle record", offset=record.offset, error=str(error))
            return
        self._jobs[event["job"]] = JobDescription(
            event["job"], event["model"], event["model_parameters"], event["hardware"], event["dataset"]
        )
