"""What is already written: the tail of a partition of facts and of findings, read before the first new record.

Facts carry the state of their job's windows in a header of the last one of each closing, so that the tail tells
both where to go on and which facts of a half-written closing must not be written again.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Replay:
    """Offsets of a partition of partials: what is committed, and up to where they were read or might have been."""

    committed: int
    until: int
    """No window may close before these are heard again; 0 for none."""


async def recover(
    settings: KafkaSettings, partition: int, lookback_seconds: float
) -> tuple[dict[str, Recovered], Replay]:
    """What partition `partition` of facts and findings says of each job, up to its end at this moment."""
    jobs: dict[str, Recovered] = {}
    facts = FactTail(jobs)
    await scan(settings, FACTS, partition, lookback_seconds, facts.take)
    facts.end()
    await scan(settings, FINDINGS, partition, lookback_seconds, lambda records: read_findings(jobs, records))
    return jobs, await replay_range(settings, partition)


class FactTail:
    """The last state of each job, and the ids of the facts after it; holds no more than one closing a job."""

    def __init__(self, jobs: dict[str, Recovered]) -> None:
        self._jobs = jobs
        self._after: dict[str, list[Any]] = {}

    def take(self, records: Iterable[Any]) -> None:
        """Facts in the order of their offsets."""
        for record in records:
            job = (record.key or b"").decode()
            found = self._jobs.setdefault(job, Recovered())
            state = next((value for name, value in record.headers if name == STATE_HEADER), None)
            if state is None:
                self._after.setdefault(job, []).append(record)
            else:
                found.state = json.loads(state)
                self._after.pop(job, None)

    def end(self) -> None:
        """Looks into those that no state covers."""
        for job, records in self._after.items():
            for record in records:
                try:
                    self._jobs[job].fact_ids.add(decode_fact(record.value)["FACT_ID"])
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


async def replay_range(settings: KafkaSettings, partition: int) -> Replay:
    """Where the group stands in a partition of partials at this moment."""
    place = TopicPartition(PARTIALS, partition)
    async with _reader(settings, place, group=GROUP) as consumer:
        end = int((await consumer.end_offsets([place]))[place])
        committed = int(await consumer.committed(place) or 0)
        return Replay(committed, end if committed < end else 0)


async def scan(
    settings: KafkaSettings,
    topic: str,
    partition: int,
    lookback_seconds: float,
    take: Callable[[list[Any]], None],
    until: int | None = None,
) -> None:
    """Hands `take` the records of one partition since then, up to `until`, or to the end at the moment of the call."""
    place = TopicPartition(topic, partition)
    async with _reader(settings, place) as consumer:
        end = (await consumer.end_offsets([place]))[place] if until is None else until
        since_millis = int((time.time() - lookback_seconds) * 1000)
        start = (await consumer.offsets_for_times({place: since_millis}))[place]
        consumer.seek(place, start.offset if start else end)
        while await consumer.position(place) < end:
            found = (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
            take([record for record in found if record.offset < end])


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
