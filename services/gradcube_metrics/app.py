"""The Faust app: agents, timers and rebalances, put together from the settings."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import structlog

from gradcube.diagnosis import plugins
from gradcube.diagnosis.stopwatch import Budget
from gradcube.settings import KafkaSettings
from gradcube_metrics.counters import Counters, Gauges
from gradcube_metrics.diagnosing import Detectors
from gradcube_metrics.fast_fetch import BatchApp, check_faust_version
from gradcube_metrics.kafka_access import broker_url, credentials
from gradcube_metrics.merge_stage import MergeStage
from gradcube_metrics.output import Output
from gradcube_metrics.partials import EVALUATIONS, RESOURCES, SERVER_SYNCS, STEPS
from gradcube_metrics.read_back import PARTIALS
from gradcube_metrics.reduce_stage import ReduceStage
from gradcube_metrics.settings import GROUP, MetricsSettings

LARGEST_RECORD_BYTES = 17 << 20
"""What the dead-letter topics take, and a little more."""
QUEUED_BATCHES = 32
STOP_SECONDS = 10.0
"""What is being written may take so long to end when the process is to stop."""

log = structlog.get_logger(__name__)


class MetricsApp:
    """The app and what its pages tell; one life: build, start `faust`, stop it."""

    def __init__(self, settings: MetricsSettings, kafka: KafkaSettings, datadir: str) -> None:
        check_faust_version()
        names = [name.strip() for name in settings.detectors.split(",") if name.strip()]
        known = plugins.load(names, refused=lambda reason: log.error("detector refused", reason=reason))
        log.info("detectors", names=[kind.name for kind in known])
        self.settings = settings
        self.kafka = kafka
        self.counters = Counters()
        self.gauges = Gauges(moved_at_seconds=time.monotonic())
        self.assigned = False
        self.faust = BatchApp(**_options(settings, kafka, datadir))
        output = Output(self.faust)
        detectors = Detectors(known, Budget(time.perf_counter, settings.detector_share))
        self.merging = MergeStage(settings, kafka, output, self.counters, self.gauges, detectors)
        self._reducing = ReduceStage(output, self.counters)
        self._declare()

    async def stop(self) -> None:
        """Ends: first what is being written, since Faust closes the producer before it ends our clock's task."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.merging.revoke()
        await self.faust.stop()

    def _declare(self) -> None:
        for topic, take in (
            (STEPS, self._reducing.take),
            (RESOURCES, self._reducing.take),
            (SERVER_SYNCS, self._reducing.take),
            (EVALUATIONS, self._reducing.take),
            (PARTIALS, self.merging.take),
        ):
            self._agent(topic, take)
        self.faust.task(self._tick)
        self.faust.task(self._follow)
        self.faust.on_partitions_assigned.connect(self._on_assigned, weak=False)
        self.faust.on_partitions_revoked.connect(self._on_revoked, weak=False)

    def _agent(self, topic: str, take: Any) -> None:
        channel = self.faust.topic(topic, key_serializer="raw", value_serializer="raw")

        async def agent(stream: Any) -> None:
            async for batch in stream.noack():
                self.gauges.moved_at_seconds = time.monotonic()
                await self._or_crash(take(batch))

        self.faust.agent(channel, name=f"gradcube_metrics.{topic}")(agent)

    async def _or_crash(self, work: Any) -> None:
        """Faust restarts an agent that failed and goes on behind the failed batch; we start again as a whole."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it is: ends the process, for a restart from what is committed
            log.error("stage failed", error=repr(error), exc_info=True)
            await self.faust.crash(error)

    async def _tick(self) -> None:
        while not self.faust.should_stop:
            await asyncio.sleep(self.settings.tick_seconds)
            if not self.faust.rebalancing:
                await self._or_crash(self.merging.tick())
                self.gauges.lag = self._lag()

    async def _follow(self) -> None:
        await self._or_crash(self.merging.following.follow(self.kafka))

    async def _on_assigned(self, _app: Any, assigned: set[Any], **_: Any) -> None:
        self.merging.assign(tp.partition for tp in assigned if tp.topic == PARTIALS)
        self.assigned = bool(assigned)

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self.assigned = False
        await self.merging.revoke()

    def _lag(self) -> int:
        consumer = self.faust.consumer
        ends = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
        return sum(max(0, end - 1 - (consumer._read_offset[tp] or 0)) for tp, end in ends.items() if end is not None)


def _options(settings: MetricsSettings, kafka: KafkaSettings, datadir: str) -> dict[str, Any]:
    return {
        "id": GROUP,
        "broker": broker_url(kafka),
        "broker_credentials": credentials(kafka),
        "broker_commit_interval": 1.0,
        "broker_commit_livelock_soft_timeout": 3600.0,  # partials stay uncommitted for a subject window and longer
        "broker_session_timeout": settings.session_seconds,
        "broker_heartbeat_interval": settings.session_seconds / 5,
        "broker_max_poll_interval": 600.0,
        "consumer_max_fetch_size": settings.fetch_bytes,
        "consumer_auto_offset_reset": "earliest",
        "producer_max_request_size": LARGEST_RECORD_BYTES,
        "producer_max_batch_size": 1 << 18,
        "stream_buffer_maxsize": QUEUED_BATCHES,
        "stream_wait_empty": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,  # a thread of our own answers also while the broker is away and the loop is stuck
        "datadir": datadir,
        "store": "memory://",
    }
