"""Stage two as its Faust agent calls it: batches of partials in, facts and findings written and marked batches out."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import structlog

from gradcube.diagnosis import Finding
from gradcube.errors import SchemaError
from gradcube.settings import KafkaSettings
from gradcube_metrics.controls import CONTROL, Controls
from gradcube_metrics.counters import Counters, Gauges
from gradcube_metrics.descriptions import LIFECYCLE, Descriptions
from gradcube_metrics.diagnosing import Detectors
from gradcube_metrics.fast_fetch import FetchBatch
from gradcube_metrics.following import Following
from gradcube_metrics.merge import Hold, JobMerge, PartitionMerge
from gradcube_metrics.output import Output, written
from gradcube_metrics.partials import decode_partial
from gradcube_metrics.read_back import PARTIALS, recover, scan
from gradcube_metrics.settings import MetricsSettings

log = structlog.get_logger(__name__)


class _Owned:
    """One partition of partials that this process owns: its merge, after its recovery, for one user at a time."""

    def __init__(self, recovery: asyncio.Task[PartitionMerge]) -> None:
        self.recovery = recovery
        self.lock = asyncio.Lock()
        self.given_up = False

    @property
    def merge(self) -> PartitionMerge | None:
        return self.recovery.result() if self.recovery.done() else None


class MergeStage:
    """Stage two: a batch of partials is done once all windows and findings that it takes part in are written."""

    def __init__(
        self,
        settings: MetricsSettings,
        kafka: KafkaSettings,
        output: Output,
        counters: Counters,
        gauges: Gauges,
        detectors: Detectors,
    ) -> None:
        self.descriptions = Descriptions()
        self.controls = Controls(detectors.known)
        self.following = Following(
            {(LIFECYCLE, "Lifecycle"): self.descriptions.learn, (CONTROL, "Command"): self.controls.learn}
        )
        self._detectors = detectors
        self._settings = settings
        self._kafka = kafka
        self._output = output
        self._counters = counters
        self._gauges = gauges
        self._owned: dict[int, _Owned] = {}

    def assign(self, partitions: Iterable[int]) -> None:
        """Starts to read back what is written of each partition."""
        for partition in partitions:
            self._owned[partition] = _Owned(asyncio.create_task(self._recover(partition)))

    async def revoke(self) -> None:
        """Returns when nothing more will be written to any partition owned so far."""
        owned, self._owned = self._owned, {}
        for each in owned.values():
            each.recovery.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([each.recovery])
            async with each.lock:
                each.given_up = True

    @property
    def recovered(self) -> bool:
        """Whether all that was written before is known again."""
        return all(each.recovery.done() for each in self._owned.values())

    async def take(self, batch: FetchBatch) -> None:
        """Hears the partials of a batch, raises findings, closes what is due."""
        owned = self._owned.get(batch.partition)
        if owned is None:
            return  # revoked: it will come again, to whoever owns it then
        merge = await asyncio.shield(owned.recovery)
        async with owned.lock:
            if not owned.given_up:
                await self._hear(merge, batch)
                await self._close(merge, batch.partition)

    async def tick(self) -> None:
        """Closes by the clock what no record closes."""
        for partition, owned in list(self._owned.items()):
            if owned.merge is not None:
                async with owned.lock:
                    if not owned.given_up:
                        await self._close(owned.merge, partition)
        merges = [owned.merge for owned in self._owned.values() if owned.merge is not None]
        jobs = [job for merge in merges for job in merge.jobs.values()]
        self._gauges.open_windows = sum(job.open_windows for job in jobs)
        for job in jobs:
            self._counters.of_job(job.job)["open_windows"] = job.open_windows

    async def _recover(self, partition: int) -> PartitionMerge:
        recovered, replay = await recover(self._kafka, partition, self._settings.lookback_seconds)
        await self.following.caught_up.wait()
        log.info("recovered", partition=partition, jobs=len(recovered), replay_until=replay.until)
        merge = PartitionMerge(self._settings, recovered, replay.until, self._detectors)
        await self._remember(merge, partition, replay.committed)
        return merge

    async def _remember(self, merge: PartitionMerge, partition: int, committed: int) -> None:
        """The detectors' memory: what was committed before this process came."""
        findings: list[Finding] = []

        def take(records: list[Any]) -> None:
            for record in records:
                with suppress(SchemaError):  # it is among the dead letters since it was read first
                    partial = decode_partial(record.value or b"")
                    now = self._now_micros()
                    job = merge.job(partial.job, now)
                    findings.extend(self._follow(job) + job.remember(partial, now))

        await scan(self._kafka, PARTIALS, partition, self._settings.diagnosis_lookback_seconds, take, until=committed)
        findings += [found for job in merge.jobs.values() for found in job.remembered(self._now_micros())]
        await written(await self._output.findings(findings, partition))
        self._counters.findings_written += len(findings)

    async def _hear(self, merge: PartitionMerge, batch: FetchBatch) -> None:
        hold, sends = Hold(batch), list[Any]()
        for record in batch.records:
            try:
                partial = decode_partial(record.value or b"")
            except SchemaError as error:
                self._counters.records_bad += 1
                sends.append(await self._output.dead_letter(record, error, "merge"))
                continue
            now = self._now_micros()
            job = merge.job(partial.job, now)
            findings = self._follow(job)
            heard = job.hear(partial, hold, now)
            findings += heard.findings
            self._counters.partials_read += 1
            self._counters.records_duplicate += heard.duplicates
            self._counters.findings_written += len(findings)
            sends += await self._output.findings(findings, batch.partition)
            if heard.late is not None:
                self._counters.records_late += len(heard.late.rows)
                sends.append(await self._output.late(record, heard.late))
        await written(sends)
        merge.reached(batch.last_offset)
        batch.records = ()
        hold.release()

    async def _close(self, merge: PartitionMerge, partition: int) -> None:
        for job in merge.jobs.values() if merge.replayed else ():
            await self._close_job(job, partition)

    async def _close_job(self, job: JobMerge, partition: int) -> None:
        now = self._now_micros()
        findings = self._follow(job) + job.advance(now)
        await written(await self._output.findings(findings, partition))
        self._counters.findings_written += len(findings)
        closing = job.close(now, self.descriptions.of(job.job))
        if closing is not None:
            await written(await self._output.facts(closing, partition))
            job.settle()
            self._counters.wrote_facts(job.job, len(closing.facts))

    def _follow(self, job: JobMerge) -> list[Finding]:
        """What operators and the coordinator have said since the last look."""
        job.windows.clip(self.descriptions.clipping(job.job))
        findings = job.diagnoses.configure(self.controls.of(job.job))
        news = self.descriptions.events_after(job.job, job.heard_events)
        if news:
            job.heard_events = news[-1][0]
            findings += job.diagnoses.add_lifecycle(event for _, event in news)
        return findings

    def _now_micros(self) -> int:
        return self.following.clock.now(time.time_ns() // 1000)
