"""What is already written: the tail of a partition of facts and of findings, read before the first new record.

Facts carry the state of their job's windows in a header of the last one of each closing, so that the tail tells
both where to go on and which facts of a half-written closing must not be written again.
"""

import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from gradcube.diagnosis import Finding, from_record
from gradcube.errors import SchemaError
from gradcube.events import decode, decode_fact
from gradcube.settings import KafkaSettings
from gradcube_metrics.kafka_access import client_options
from gradcube_metrics.merge import Recovered
from gradcube_metrics.settings import GROUP

PARTIALS = "gradcube.partials"
FACTS = "gradcube.facts"
FINDINGS = "gradcube.findings"
STATE_HEADER = "gradcube.state"

log = structlog.get_logger(__name__)


async def recover(settings: KafkaSettings, partition: int, lookback_seconds: float) -> tuple[dict[str, Recovered], int]:
    """What partition `partition` of facts and findings says of each job, up to its end at this moment.

    Also the offset up to which partials must be heard again before a window may close, 0 for none.
    """
    since_millis = int((time.time() - lookback_seconds) * 1000)
    jobs: dict[str, Recovered] = {}
    read_facts(jobs, await read_tail(settings, FACTS, partition, since_millis))
    read_findings(jobs, await read_tail(settings, FINDINGS, partition, since_millis))
    return jobs, await replay_end(settings, partition)


def read_facts(jobs: dict[str, Recovered], records: Iterable[Any]) -> None:
    """The last state of each job, and the ids of the facts after it."""
    for record in records:
        found = jobs.setdefault((record.key or b"").decode(), Recovered())
        state = next((value for name, value in record.headers if name == STATE_HEADER), None)
        if state is not None:
            found.state = json.loads(state)
            found.fact_ids.clear()
            continue
        try:
            found.fact_ids.add(decode_fact(record.value)["FACT_ID"])
        except SchemaError as error:
            log.warning("foreign record in own output", topic=FACTS, offset=record.offset, error=str(error))


def read_findings(jobs: dict[str, Recovered], records: Iterable[Any]) -> None:
    """Every finding of the tail, in the order in which it was raised."""
    for record in records:
        try:
            finding: Finding = from_record(decode(record.value)[1])
        except SchemaError as error:
            log.warning("foreign record in own output", topic=FINDINGS, offset=record.offset, error=str(error))
            continue
        jobs.setdefault(finding.job, Recovered()).findings.append(finding)


async def replay_end(settings: KafkaSettings, partition: int) -> int:
    """The end of a partition of partials at this moment; 0 when the group has committed all of it."""
    place = TopicPartition(PARTIALS, partition)
    async with _reader(settings, place, group=GROUP) as consumer:
        end = int((await consumer.end_offsets([place]))[place])
        return end if (await consumer.committed(place) or 0) < end else 0


async def read_tail(settings: KafkaSettings, topic: str, partition: int, since_millis: int) -> list[Any]:
    """The records of one partition from a time on, up to the end at the moment of the call."""
    place = TopicPartition(topic, partition)
    async with _reader(settings, place) as consumer:
        end = (await consumer.end_offsets([place]))[place]
        start = (await consumer.offsets_for_times({place: since_millis}))[place]
        consumer.seek(place, start.offset if start else end)
        records: list[Any] = []
        while await consumer.position(place) < end:
            records += (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
        return [record for record in records if record.offset < end]


@asynccontextmanager
async def _reader(
    settings: KafkaSettings, place: TopicPartition, group: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of its own at one place; with a group it may ask for commits, and joins nothing."""
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([place])
        yield consumer
    finally:
        await consumer.stop()
