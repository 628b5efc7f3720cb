"""Puts one shard together: checkpoints, data port, lease, records and health."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Gauge

from gradcube.events.codec import encode
from gradcube.health import HealthServer
from gradcube.sync.checkpoints import CheckpointStore, ShardIdentity, Snapshot
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.sync.exchange import Applied
from gradcube.sync.optimizers import build_optimizer
from gradcube.sync.server import ShardServer
from gradcube.sync.shard import Shard
from gradcube.sync.transport import TcpListener
from gradcube_paramserver.checkpointer import Checkpointer
from gradcube_paramserver.registration import Registration
from gradcube_paramserver.reporting import TOPIC, server_sync
from gradcube_paramserver.settings import ParamserverSettings

log = structlog.get_logger(__name__)

Offer = Callable[[str, bytes, bytes], bool]


class ParameterServer:
    """One shard, from `start` to `close`. `offer` takes records for Kafka and never blocks."""

    def __init__(self, settings: ParamserverSettings, offer: Offer) -> None:
        self._settings, self._offer = settings, offer
        self._node = socket.gethostname()
        self.identity = ShardIdentity(settings.job, settings.shard, settings.shards)
        folder = settings.checkpoint_dir
        self._store = None if folder is None else CheckpointStore(folder, self.identity)
        self.shard = Shard(
            self.identity,
            lambda: build_optimizer(settings.optimizer, weight_decay=settings.weight_decay),
            on_applied=self._applied,
            on_unknown_epoch=lambda: self._registration.refresh(),
            on_forgotten=self._forget,
            snapshot_every=settings.checkpoint_every,
            load=None if self._store is None else self._go_back,
            stored=list if self._store is None else self._store.versions,
        )
        self._checkpointer = None if self._store is None else Checkpointer(self._store)
        self._resume()
        listener = TcpListener(settings.host, settings.data_port)
        self.address = settings.address or f"{settings.host}:{listener.port}"
        self._server = ShardServer(self.shard, listener, max_parameters=settings.max_parameters)
        self._coordinator = CoordinatorClient(settings.coordinator_url, timeout_seconds=2, retry_seconds=0)
        self._registration = Registration(
            self._coordinator,
            self.shard,
            address=self.address,
            node=self._node,
            checkpoint_version=lambda: -1 if self._checkpointer is None else self._checkpointer.written_version,
        )
        self._health = HealthServer(
            settings.host, settings.port, checks=self._checks, status=self.status, registry=self._metrics()
        )

    def run(self, stopped: threading.Event) -> None:
        """Serves until `stopped` is set; then writes a last checkpoint and gives the lease back."""
        with self._health:
            self._server.start()
            self._registration.start()
            log.info("serving", job=self.identity.job, shard=self.identity.shard, address=self.address)
            stopped.wait()
            self._registration.close()
            self._server.close()
            if self._checkpointer is not None:
                self._checkpointer.close(self.shard.snapshot())
            self._coordinator.close()

    def status(self) -> dict[str, Any]:
        """Counters, as /status shows them."""
        counters, checkpointer = self.shard.counters, self._checkpointer
        return {
            "job": self.identity.job,
            "shard": self.identity.shard,
            "address": self.address,
            "version": self.shard.version,
            "epoch": self.shard.membership.epoch,
            "attempt": self.shard.membership.attempt,
            "ranks": list(self.shard.membership.ranks),
            "parameters": self.shard.num_parameters,
            "pushes": counters.pushes,
            "applied": counters.applied,
            "skipped": counters.skipped,
            "dropped": counters.dropped,
            "restored": counters.restored,
            "garbage": self._server.num_garbage,
            "connections": self._server.num_connections,
            "checkpoint_version": -1 if checkpointer is None else checkpointer.version,
            "checkpoint_failures": 0 if checkpointer is None else checkpointer.num_failures,
        }

    def _checks(self) -> dict[str, bool]:
        return {"registered": self._registration.registered}

    def _resume(self) -> None:
        snapshot = None if self._store is None else self._store.newest()
        if snapshot is None or self._checkpointer is None:
            return
        self.shard.resume(snapshot)
        self._checkpointer.version = snapshot.version
        log.info("resumed", job=self.identity.job, shard=self.identity.shard, version=snapshot.version)

    def _applied(self, applied: Applied) -> None:
        record = server_sync(applied, self.identity, self._node, time.time_ns() // 1000)
        key = f"{self.identity.job}/{self.identity.shard}".encode()
        self._offer(TOPIC, key, encode("ServerSync", record))
        if self._checkpointer is not None and applied.snapshot is not None:
            self._checkpointer.offer(applied.snapshot)

    def _go_back(self, version: int) -> Snapshot:
        assert self._store is not None
        snapshot = self._store.read(version)
        self._store.forget(above=version)
        return snapshot

    def _forget(self) -> None:
        if self._store is not None:
            self._store.forget(above=-1)

    def _metrics(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        for name in ("version", "epoch", "pushes", "applied", "skipped", "dropped", "checkpoint_version"):
            gauge = Gauge(f"gradcube_paramserver_{name}", f"{name} of the shard.", registry=registry)
            gauge.set_function(lambda name=name: float(self.status()[name]))  # type: ignore[misc]
        return registry
