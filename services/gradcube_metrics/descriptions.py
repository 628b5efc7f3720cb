"""What each job is, from gradcube.lifecycle: every worker reads all of it, outside the group."""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from gradcube.errors import SchemaError
from gradcube.events import decode
from gradcube.settings import KafkaSettings
from gradcube.windows import JobDescription
from gradcube_metrics.kafka_access import client_options

LIFECYCLE = "gradcube.lifecycle"
PLACE = TopicPartition(LIFECYCLE, 0)

log = structlog.get_logger(__name__)


class Descriptions:
    """Job descriptions, kept up to date by `follow`; `caught_up` is set once the past is read."""

    def __init__(self) -> None:
        self.caught_up = asyncio.Event()
        self._jobs: dict[str, JobDescription] = {}

    def of(self, job: str) -> JobDescription:
        """The description, empty for a job that never was announced."""
        return self._jobs.get(job) or JobDescription(job)

    async def follow(self, settings: KafkaSettings) -> None:
        """Reads for ever."""
        consumer = AIOKafkaConsumer(**client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([PLACE])
            await consumer.seek_to_beginning(PLACE)
            end = (await consumer.end_offsets([PLACE]))[PLACE]
            while True:
                if await consumer.position(PLACE) >= end:
                    self.caught_up.set()
                for record in (await consumer.getmany(PLACE, timeout_ms=500)).get(PLACE, []):
                    self.learn(record)
        finally:
            await consumer.stop()

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
