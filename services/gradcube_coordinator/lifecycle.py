"""Lifecycle events out to Kafka, commands in from it. The coordinator goes on with Kafka dead."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from gradcube.errors import BusError, SchemaError
from gradcube.events.codec import decode, encode
from gradcube.settings import KafkaSettings
from gradcube.sync.coordinator_models import CommandView
from gradcube_coordinator.jobs import Event

log = structlog.get_logger(__name__)

LIFECYCLE_TOPIC = "gradcube.lifecycle"
CONTROL_TOPIC = "gradcube.control"


class Outlet(Protocol):
    """Where records go: an Emitter, or a list in tests."""

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        """Takes a record without blocking; False when it was dropped."""


def offer_events(outlet: Outlet, events: Sequence[Event], at_micros: int) -> None:
    """Offers each event as a Lifecycle record."""
    for event in events:
        log.info("lifecycle", kind=event.kind, job=event.job, epoch=event.epoch, detail=event.detail)
        outlet.offer(LIFECYCLE_TOPIC, event.job.encode(), encode("Lifecycle", lifecycle_record(event, at_micros)))


def lifecycle_record(event: Event, at_micros: int) -> dict[str, Any]:
    """The Lifecycle record of `event`."""
    about = event.description
    return {
        "job": event.job,
        "attempt": event.attempt,
        "kind": event.kind,
        "at": at_micros,
        "epoch": event.epoch,
        "rank": event.rank,
        "node": event.node,
        "shard": event.shard,
        "step": event.step,
        "detail": event.detail,
        "model": about.model if about else "",
        "model_parameters": about.model_parameters if about else 0,
        "hardware": about.hardware if about else "",
        "dataset": about.dataset if about else "",
        "world_size": event.world_size,
        "grad_clip_norm": about.grad_clip_norm if about else None,
        "own_grad_clip_norm": about.own_grad_clip_norm if about else None,
    }


class CommandReader:
    """Reads gradcube.control from now on in a thread, and hands each command to `accept(job, command)`."""

    def __init__(self, kafka: KafkaSettings, accept: Callable[[str, CommandView], object]) -> None:
        self._kafka, self._accept = kafka, accept
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Asks the thread to end; it does not outlive the process."""
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._read()
            except BusError as error:
                log.info("commands_not_read", error=str(error))
            self._stopped.wait(2)

    def _read(self) -> None:
        from gradcube.bus.consumer import BatchConsumer

        with BatchConsumer(self._kafka, [CONTROL_TOPIC], from_beginning=False) as consumer:
            while not self._stopped.is_set():
                for record in consumer.poll(0.5):
                    self._take(record.value)

    def _take(self, value: bytes | None) -> None:
        try:
            name, record = decode(value or b"")
            if name != "Command":
                raise SchemaError(f"{name} on {CONTROL_TOPIC}, expected Command")
        except SchemaError as error:
            log.warning("command_not_read", error=str(error))
            return
        command = CommandView(id=record["id"], action=record["action"], arguments=record["arguments"])
        told = self._accept(record["job"], command)
        log.info("command_taken", job=record["job"], action=command.action, by=record["by"], workers=told)
