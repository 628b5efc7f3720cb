"""The node's agent: every interval, one record each for the host, its GPUs and the ranks on it.

In: ResourceSampler, the coordinator's list of ranks, and what a Prober found of the node's dependencies. Out:
ResourceSample records, offered to an emitter, and health.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, Gauge

from gradcube.events.codec import encode
from gradcube.health import HealthServer
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.telemetry.sampler import ResourceSampler, resource_key
from gradcube_agent.probing import Prober
from gradcube_agent.ranks import RankWatcher
from gradcube_agent.settings import AgentSettings
from gradcube_agent.targets import Target

TOPIC = "gradcube.resources"
STALE_INTERVALS = 5
"""Without a sample for so many intervals (and 2 s) the agent is not ready."""

log = structlog.get_logger(__name__)


class SampleEmitter(Protocol):
    """What the agent needs of `gradcube.bus.emitter.Emitter`."""

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        """Takes the record or counts it as dropped; never blocks."""

    def stats(self) -> Any:
        """EmitterStats."""


class Agent:
    """Samples from `run` until its event is set. `sampler` and `emitter` stay the caller's.

    `brokers` are reached for beside what the settings name.
    """

    def __init__(
        self,
        settings: AgentSettings,
        emitter: SampleEmitter,
        sampler: ResourceSampler,
        *,
        brokers: Sequence[Target] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._emitter = emitter
        self._sampler = sampler
        self._clock = clock
        self._samples = 0
        self._sampled_at = float("-inf")
        self._watcher = _watcher(settings)
        self._named = (*brokers, *settings.targets)
        self._prober = Prober(
            self._targets,
            interval_seconds=settings.probe_seconds,
            timeout_seconds=settings.probe_timeout_seconds,
        )
        self._health = HealthServer(
            settings.host, settings.port, checks=self._checks, status=self.status, registry=self._metrics()
        )

    @property
    def port(self) -> int:
        """The port of the health interface."""
        return self._health.port

    def run(self, stopped: threading.Event) -> None:
        """Samples every interval; a sample that took longer than one is not made up for."""
        interval = self._settings.interval_seconds
        if self._watcher is not None:
            self._watcher.start()
        self._prober.start()
        with self._health:
            log.info("sampling", node=self._settings.node, port=self.port, interval_seconds=interval)
            due = self._clock()
            while not stopped.wait(max(0.0, due - self._clock())):
                self.sample()
                due = max(due + interval, self._clock())
        self._prober.close()
        if self._watcher is not None:
            self._watcher.close()

    def sample(self) -> None:
        """One round: reads everything, and offers a record a subject.

        What the prober has found since goes with the host's, and with those of the ranks' processes, whose job it
        tells something.
        """
        reach = self._prober.take()
        for record in self._sampler.sample(() if self._watcher is None else self._watcher.ranks):
            if not record["device"].startswith("gpu:"):
                record["reach"] = reach
            self._emitter.offer(TOPIC, resource_key(record), encode("ResourceSample", record))
            self._samples += 1
        self._sampled_at = self._clock()

    def status(self) -> dict[str, Any]:
        """Counters, as /status shows them."""
        stats, watcher = self._emitter.stats(), self._watcher
        return {
            "node": self._settings.node,
            "samples": self._samples,
            "acknowledged": stats.acknowledged,
            "dropped": stats.dropped,
            "pending": stats.pending,
            "connected": stats.connected,
            "coordinator": None if watcher is None else watcher.answered,
            "reach": self._prober.latest,
            "ranks": [] if watcher is None else [f"{each.job}/{each.rank}" for each in watcher.ranks],
        }

    def _targets(self) -> Sequence[Target]:
        return self._named if self._watcher is None else (*self._named, *self._watcher.servers())

    def _checks(self) -> dict[str, bool]:
        age_seconds = self._clock() - self._sampled_at
        return {"sampling": age_seconds <= STALE_INTERVALS * self._settings.interval_seconds + 2}

    def _metrics(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        for name in ("samples", "acknowledged", "dropped", "pending", "connected"):
            gauge = Gauge(f"gradcube_agent_{name}", f"{name}, as in /status.", registry=registry)
            gauge.set_function(lambda name=name: float(self.status()[name]))  # type: ignore[misc]
        ranks = Gauge("gradcube_agent_ranks", "Ranks on this node.", registry=registry)
        ranks.set_function(lambda: float(len(self.status()["ranks"])))
        return registry


def _watcher(settings: AgentSettings) -> RankWatcher | None:
    if not settings.coordinator_url:
        return None
    coordinator = CoordinatorClient(settings.coordinator_url, timeout_seconds=2, retry_seconds=0)
    return RankWatcher(coordinator, settings.node)
