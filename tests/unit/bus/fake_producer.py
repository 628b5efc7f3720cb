"""A FAKE of kafka-python's producer: no broker, no threads, no network; the test decides what becomes of each record.

What a real broker does is in tests/integration/bus; this one is for the emitter's books alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

from kafka.future import Future

from gradcube.bus import sending
from gradcube.errors import BusError

Sent = tuple[str, bytes, bytes, Future]


class FakeProducer:
    """A fake: records lie in `waiting` until the test calls `answer`; `sent` keeps all of them in order."""

    def __init__(self, cluster: "FakeCluster") -> None:
        self._cluster = cluster
        self.sent: list[Sent] = []
        self.waiting: list[Sent] = []
        self.closed = False
        self._sender = SimpleNamespace(
            force_close=lambda: None, _client=SimpleNamespace(connection_delay=lambda node: 0)
        )

    def partitions_for(self, topic: str) -> set[int]:
        return set() if topic in self._cluster.missing_topics else {0}

    def send(self, topic: str, value: bytes, key: bytes) -> Future:
        if len(value) > sending.MAX_RECORD_BYTES:
            raise ValueError(f"fake: {len(value)} bytes are too many")
        entry = (topic, key, value, Future())
        self.sent.append(entry)
        self.waiting.append(entry)
        if self._cluster.answers_at_once:
            self.answer(1, delivered=True)
        return entry[3]

    def answer(self, count: int, *, delivered: bool) -> None:
        answered, self.waiting = self.waiting[:count], self.waiting[count:]
        for *_, future in answered:
            if delivered:
                future.success(object())
            else:
                future.failure(BusError("fake: not delivered"))

    def close(self, timeout: float) -> None:
        self.closed = True

    def _unregister_cleanup(self) -> None: ...


class FakeCluster:
    """What the fakes connect to: nobody at all while `absent`; the producers made so far, oldest first."""

    def __init__(self) -> None:
        self.absent = False
        self.answers_at_once = False
        self.missing_topics: set[str] = set()
        self.producers: list[FakeProducer] = []

    def connect(self, **_: object) -> FakeProducer:
        if self.absent:
            raise ConnectionError("fake: nobody listens")
        self.producers.append(FakeProducer(self))
        return self.producers[-1]


@contextmanager
def fake_cluster() -> Iterator[FakeCluster]:
    """Puts the fakes in kafka-python's place, in the emitter alone."""
    cluster = FakeCluster()
    with mock.patch.object(sending, "KafkaProducer", cluster.connect):
        yield cluster
