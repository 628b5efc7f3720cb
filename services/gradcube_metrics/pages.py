"""/live, /ready, /status and /metrics of the metrics service, from before the broker answers until the end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from gradcube.health import HealthServer
from gradcube_metrics.app import MetricsApp
from gradcube_metrics.counters import CounterCollector
from gradcube_metrics.settings import MetricsSettings

STUCK_SECONDS = 60.0
BEAT_SECONDS = 1.0


class Pages:
    """What the pages say about an app that may not be there yet; they are asked from a thread of their own."""

    def __init__(self, stuck_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.app: MetricsApp | None = None
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._beat_at = clock()

    async def beat(self) -> None:
        """Shows for ever that the event loop comes round."""
        while True:
            self._beat_at = self._clock()
            await asyncio.sleep(BEAT_SECONDS)

    def live(self) -> bool:
        """False when the event loop has been stuck for so long that only a restart helps."""
        return self._clock() - self._beat_at < self._stuck_seconds

    def checks(self) -> Mapping[str, bool]:
        """Readiness: partitions are assigned, own output is read back, the producer is up, records move."""
        app = self.app
        producer = app and app.faust._producer
        return {
            "broker": app is not None,
            "assigned": app is not None and app.assigned,
            "recovered": app is not None and app.assigned and app.merging.recovered,
            "producer": bool(producer and getattr(producer, "_producer", None)),
            "moving": not self.stuck(),
        }

    def stuck(self) -> bool:
        """Whether records wait and none was taken for a minute."""
        gauges = self.app and self.app.gauges
        return bool(gauges and gauges.lag and time.monotonic() - gauges.moved_at_seconds > STUCK_SECONDS)

    def status(self) -> Mapping[str, Any]:
        """The counters, in all and by job."""
        if self.app is None:
            return {"records_read": 0, "facts_written": 0, "findings_written": 0, "lag": 0, "jobs": {}}
        totals = self.app.counters.totals() | self.app.gauges.as_dict()
        return totals | {"jobs": dict(self.app.counters.jobs), **self.app.merging.controls.status()}


def serve(settings: MetricsSettings, pages: Pages, registry: CollectorRegistry) -> HealthServer:
    """The server, to be entered. Raises ConfigError when the port is taken."""
    return HealthServer(
        settings.host, settings.port, checks=pages.checks, status=pages.status, registry=registry, live=pages.live
    )


def publish(pages: Pages, app: MetricsApp, registry: CollectorRegistry) -> None:
    """From now on the pages speak of `app`."""
    registry.register(CounterCollector(app.counters, app.gauges))
    pages.app = app
