"""Watching gradcube.findings for one job, as any consumer of the topic would."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gradcube.bus.consumer import BatchConsumer
from gradcube.events.codec import decode
from gradcube.settings import KafkaSettings

TOPIC = "gradcube.findings"


class FindingWatch:
    """Reads the topic from its beginning; `with FindingWatch(kafka, "demo") as watch`."""

    def __init__(self, kafka: KafkaSettings, job: str) -> None:
        self._kafka = kafka
        self._job = job
        self.seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._consumer = BatchConsumer(self._kafka, [TOPIC])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def poll(self, timeout_seconds: float) -> None:
        """Adds what has arrived to `seen`."""
        for record in self._consumer.poll(timeout_seconds):
            if record.value is not None:
                finding = decode(record.value)[1]
                if finding["job"] == self._job:
                    self.seen.append(finding)

    def wait_for(self, state: str, while_true: Callable[[], bool]) -> dict[str, Any] | None:
        """The first finding in `state`, or None when `while_true` says to give up (after one more look)."""
        going = True
        while going:
            going = while_true()
            self.poll(0.3 if going else 5.0)
            found = next((finding for finding in self.seen if finding["state"] == state), None)
            if found is not None:
                return found
        return None

    def finish(self) -> list[dict[str, Any]]:
        """Everything seen, after a last look."""
        self.poll(1.0)
        return self.seen
