"""Everything that the service writes to Kafka, through the app's one idempotent producer."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from gradcube.bus.consumer import Record
from gradcube.bus.dead_letters import dead_letter_headers
from gradcube.diagnosis import Finding, to_record
from gradcube.errors import BusError, GradcubeError, SchemaError
from gradcube.events import encode
from gradcube_metrics.merge import Closing
from gradcube_metrics.partials import Partial, encode_partial
from gradcube_metrics.read_back import FACTS, FINDINGS, PARTIALS, STATE_HEADER

DLQ = "dlq."
Headers = Sequence[tuple[str, bytes]]


class Output:
    """Sends now; each method returns the acknowledgements to wait for, with `written`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def partial(self, partial: Partial) -> Awaitable[Any]:
        """To the partition that the job's name picks."""
        return await self._send(PARTIALS, partial.job.encode(), encode_partial(partial))

    async def facts(self, closing: Closing, partition: int) -> list[Awaitable[Any]]:
        """The facts of one closing in order; the last one carries the state of the windows.

        They go as whole batches: a quarter of a million of them, one by one, would cost Faust and aiokafka 10 s.
        """
        key, sends = closing.job.encode(), list[Awaitable[Any]]()
        producer = self._app.producer._ensure_producer()
        batch = producer.create_batch()
        for fact in closing.facts:
            headers = [(STATE_HEADER, closing.state)] if fact is closing.facts[-1] else []
            if batch.append(key=key, value=fact.value, timestamp=None, headers=headers) is None:
                sends.append(await producer.send_batch(batch, FACTS, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=fact.value, timestamp=None, headers=headers)
        if batch.record_count():
            sends.append(await producer.send_batch(batch, FACTS, partition=partition))
        return sends

    async def findings(self, findings: Sequence[Finding], partition: int) -> list[Awaitable[Any]]:
        """Findings, in the order in which they were raised."""
        return [
            await self._send(FINDINGS, found.job.encode(), encode("Finding", to_record(found)), partition)
            for found in findings
        ]

    async def dead_letter(self, record: Any, error: GradcubeError, stage: str) -> Awaitable[Any]:
        """The record as it came, with why it is here."""
        headers = dead_letter_headers(_bus_record(record), error, stage)
        return await self._send(DLQ + record.topic, record.key, record.value, 0, headers)

    async def late(self, record: Any, late: Partial) -> Awaitable[Any]:
        """The rows of a partial that came after their window was written, as a partial of their own."""
        error = SchemaError(f"{len(late.rows)} records came after their window was written")
        headers = dead_letter_headers(_bus_record(record), error, "late")
        return await self._send(DLQ + PARTIALS, late.job.encode(), encode_partial(late), 0, headers)

    async def _send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None, headers: Headers = ()
    ) -> Awaitable[Any]:
        sent: Awaitable[Any] = await self._app.producer.send(topic, key, value, partition, None, list(headers))
        return sent


async def written(sends: Sequence[Awaitable[Any]]) -> None:
    """Returns when Kafka has acknowledged all. Raises BusError when it refused one."""
    if not sends:
        return
    # aiokafka retries for as long as `producer_request_timeout`; what gets here is final.
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failed:
        raise BusError(f"{len(failed)} of {len(sends)} records were not acknowledged: {failed[0]!r}") from failed[0]


def _bus_record(record: Any) -> Record:
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_millis=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )
