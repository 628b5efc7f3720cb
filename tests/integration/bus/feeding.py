"""What the tests of the bus share: topics of their own, a feeder as a training thread would be, and reading back."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.emitter import Emitter
from gradcube.bus.topics import TopicSpec, apply_topics
from gradcube.settings import KafkaSettings

KEYS = [b"bert/%d" % rank for rank in range(5)]
PADDING = b"." * 1000


def topic_spec(name: str, partitions: int = 1, **config: str) -> TopicSpec:
    return TopicSpec(name, key="job/rank", schema="StepSync", partitions=partitions, replication=1, config=config)


def new_topic(kafka: KafkaSettings, partitions: int = 1) -> str:
    """The name of a fresh topic that no other test knows."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    assert apply_topics(kafka, {name: topic_spec(name, partitions)}) == [name]
    return name


def read_all(kafka: KafkaSettings, topic: str) -> list[Record]:
    """Everything that lies in the topic now."""
    with BatchConsumer(kafka, [topic]) as consumer:
        ends, records = consumer.end_offsets(), list[Record]()
        while any(consumer.positions().get(place, 0) < end for place, end in ends.items()):
            records += consumer.poll(1.0)
    return records


def values_by_key(records: Iterable[Record]) -> dict[bytes, list[bytes]]:
    """Values in the topic's order, for every key."""
    found: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for record in records:
        found[record.key or b""].append(record.value or b"")
    return dict(found)


class Feeder:
    """A training thread: offers a record of 1 kB every few milliseconds, and notes what was taken and how long it took.

    `accepted` are the values that `offer` took, by key; `longest_offer_seconds` is the slowest of all calls.
    """

    def __init__(self, emitter: Emitter, topic: str) -> None:
        self.accepted: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self.offered = 0
        self.longest_offer_seconds = 0.0
        self._emitter, self._topic = emitter, topic
        self._stop = Event()

    def offer(self) -> bool:
        key, value = KEYS[self.offered % len(KEYS)], b"%08d" % self.offered + PADDING
        began = time.perf_counter()
        taken = self._emitter.offer(self._topic, key, value)
        self.longest_offer_seconds = max(self.longest_offer_seconds, time.perf_counter() - began)
        self.offered += 1
        if taken:
            self.accepted[key].append(value)
        return taken

    @contextmanager
    def running(self, every_seconds: float) -> Iterator[None]:
        """Offers at this pace while the block runs."""
        thread = Thread(target=self._run, args=(every_seconds,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self, every_seconds: float) -> None:
        while not self._stop.wait(every_seconds):  # the pace of a training, not a wait for anything
            self.offer()
