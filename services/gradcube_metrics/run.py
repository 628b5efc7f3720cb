"""The life of the process: wait for the broker, check the topics, run the app until a signal or a failure."""

import asyncio
import signal
import tempfile
from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry

from gradcube.bus.topics import TopicSpec, check_topics, load_topics
from gradcube.errors import BrokerUnavailable, BusError
from gradcube.settings import KafkaSettings
from gradcube_metrics.app import MetricsApp
from gradcube_metrics.pages import Pages, publish, serve
from gradcube_metrics.settings import MetricsSettings

RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


async def run(settings: MetricsSettings, kafka: KafkaSettings) -> None:
    """Runs until SIGTERM or SIGINT. Raises TopicMismatch, ConfigError, or BusError when the app failed."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pages, registry = Pages(settings.stuck_seconds), CollectorRegistry()
    beating = asyncio.create_task(pages.beat())
    with serve(settings, pages, registry) as health, tempfile.TemporaryDirectory(prefix="gradcube-metrics-") as datadir:
        log.info("serving", port=health.port)
        if await _topics_are_right(kafka, load_topics(), stop):
            app = MetricsApp(settings, kafka, datadir)
            publish(pages, app, registry)
            await _run_app(app, stop)
    beating.cancel()


async def _topics_are_right(kafka: KafkaSettings, specs: Mapping[str, TopicSpec], stop: asyncio.Event) -> bool:
    """True when they are, False when the process is to stop; waits as long as no broker answers."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(check_topics, kafka, specs)
        except BrokerUnavailable as error:
            log.warning("broker unavailable, trying again", error=str(error), seconds=RETRY_SECONDS)
            await _first(stop.wait(), asyncio.sleep(RETRY_SECONDS))
        else:
            return True
    return False


async def _run_app(app: MetricsApp, stop: asyncio.Event) -> None:
    await app.faust.start()
    try:
        await _first(stop.wait(), app.faust._crashed.wait())
    finally:
        await app.stop()
    reason = app.faust.crash_reason
    if reason is not None:
        raise BusError(f"the stream processor failed: {reason!r}; start it again, it goes on where it was") from reason
    log.info("stopped", **app.counters.totals())


async def _first(*waits: object) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
