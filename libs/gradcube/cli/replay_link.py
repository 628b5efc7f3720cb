"""The replay's side of Kafka: step records go to gradcube.steps; how many the metrics service has read comes back."""

import time
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer

from gradcube.bus.client import bus_errors, connect
from gradcube.bus.consumer import BatchConsumer
from gradcube.cli import output
from gradcube.errors import BusError
from gradcube.events import decode
from gradcube.settings import KafkaSettings

STEPS = "gradcube.steps"
PARTIALS = "gradcube.partials"
PATIENCE_SECONDS = 15.0
"""A service that has read nothing for so long is not running."""


class ReplayLink:
    """`with ReplayLink(settings, "bert-replay") as link: link.send(records, in_flight=400)`.

    At most `in_flight` records are ahead of the service, for what it has not read of one rank makes the steps of the
    others wait. Without a service the records go out all the same, after a warning.
    """

    def __init__(self, settings: KafkaSettings, job: str) -> None:
        self._settings = settings
        self._key = job.encode()
        self._failed: BaseException | None = None
        self._moved_at = time.monotonic()
        self.sent = 0
        self.read = 0
        self.heard = True

    def __enter__(self) -> Self:
        self._partials = BatchConsumer(self._settings, [PARTIALS], from_beginning=False)
        self._partials.positions()  # from here on, not from the first poll on
        self._producer = connect(
            KafkaProducer, self._settings, client_id="gradcube-replay", acks="all", enable_idempotence=True,
            linger_ms=5, batch_size=256 * 1024, allow_auto_create_topics=False, metrics_enabled=False,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.close(timeout=None if error is None else 0)
        self._partials.close()

    def send(self, records: list[tuple[bytes, bytes]], in_flight: int) -> None:
        """Sends in order; returns when at most `in_flight` are unread. Raises BusError for a record refused."""
        with bus_errors(self._settings):
            for key, value in records:
                self._producer.send(STEPS, value, key).add_errback(self._note_failure)
        self.sent += len(records)
        self.wait_until_read(in_flight)

    def wait_until_read(self, in_flight: int = 0) -> None:
        """Returns when the service has read all but `in_flight` records, or is not heard of."""
        if in_flight == 0:
            self._producer.flush()
        self._moved_at = time.monotonic()
        while self.heard and self.sent - self.read > in_flight:
            self.listen(0.2)
            if time.monotonic() - self._moved_at > PATIENCE_SECONDS:
                self.heard = False
                output.err.print("no metrics service reads what is sent; it goes on all the same")
        if self._failed is not None:
            raise BusError(f"a record was not delivered: {self._failed!r}") from self._failed

    def listen(self, timeout_seconds: float) -> None:
        """Hears how far the service is."""
        for record in self._partials.poll(timeout_seconds):
            if record.key == self._key and record.value is not None:
                partial: dict[str, Any] = decode(record.value)[1]
                if partial["source_topic"] == STEPS:
                    self.read += partial["count"]
                    self._moved_at = time.monotonic()

    def _note_failure(self, error: BaseException) -> None:
        self._failed = error
