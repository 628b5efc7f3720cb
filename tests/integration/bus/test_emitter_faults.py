"""The emitter against a broker that is absent, killed or frozen: what it acknowledged is there, once and in order.

GRADCUBE_TEST_FREEZE_SECONDS=60 freezes for the full minute that the emitter promises to survive.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from tests.integration.bus.feeding import Feeder, new_topic, read_all, topic_spec, values_by_key
from tests.waiting import wait_until

from gradcube.bus import sending
from gradcube.bus.emitter import Emitter, EmitterStats
from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics
from gradcube.errors import BusError
from gradcube.settings import KafkaSettings

FREEZE_SECONDS = float(os.environ.get("GRADCUBE_TEST_FREEZE_SECONDS", "15"))
MAX_BYTES = 2**20


@pytest.fixture(scope="module")
def fragile_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """Ours to stop, kill and freeze; the session's own broker is left in peace."""
    broker = LocalBroker(Path(tmp_path_factory.mktemp("fragile-broker")))
    yield broker
    broker.kill()


@pytest.fixture
def fragile_kafka(fragile_broker: LocalBroker) -> KafkaSettings:
    """Of the broker, which runs now, whatever the test before has done to it."""
    try:
        fragile_broker.thaw()
    except BusError:
        fragile_broker.start()
    return KafkaSettings(bootstrap=fragile_broker.bootstrap)


@contextmanager
def emitting(kafka: KafkaSettings, *, max_bytes: int = 32 * 2**20) -> Iterator[Emitter]:
    emitter = Emitter(kafka, max_bytes=max_bytes)
    try:
        yield emitter
    finally:
        emitter.close(0)


def assert_exactly_the_acknowledged(kafka: KafkaSettings, topic: str, feeder: Feeder, stats: EmitterStats) -> None:
    """Every record that was taken is there once, in order per key, and nothing else is."""
    assert stats.pending == stats.pending_bytes == 0
    assert stats.offered == feeder.offered == stats.acknowledged + stats.dropped
    assert values_by_key(read_all(kafka, topic)) == dict(feeder.accepted)
    assert stats.acknowledged == sum(len(values) for values in feeder.accepted.values())


def test_records_offered_to_an_absent_broker_arrive_once_it_is_there(
    fragile_broker: LocalBroker, fragile_kafka: KafkaSettings
) -> None:
    topic = new_topic(fragile_kafka, partitions=3)
    fragile_broker.stop()
    with emitting(fragile_kafka) as emitter:
        feeder = Feeder(emitter, topic)
        assert all(feeder.offer() for _ in range(500))
        assert not emitter.flush(1.0)
        assert not emitter.stats().connected
        fragile_broker.start()
        assert emitter.flush(30)
        assert emitter.stats().connected
        assert_exactly_the_acknowledged(fragile_kafka, topic, feeder, emitter.stats())
    assert feeder.offered == 500


def test_no_acknowledged_record_is_lost_or_doubled_when_the_broker_is_killed(
    fragile_broker: LocalBroker, fragile_kafka: KafkaSettings
) -> None:
    topic = new_topic(fragile_kafka, partitions=3)
    with emitting(fragile_kafka) as emitter:
        feeder = Feeder(emitter, topic)
        with feeder.running(0.002):
            wait_until(lambda: emitter.stats().acknowledged > 200, 20, "records acknowledged before the kill")
            fragile_broker.kill()
            at_kill = emitter.stats().acknowledged
            wait_until(lambda: emitter.stats().pending > 200, 20, "records waiting for the broker")
            fragile_broker.start()
            wait_until(lambda: emitter.stats().acknowledged > at_kill + 400, 40, "records acknowledged after it")
        assert emitter.flush(30)
        assert_exactly_the_acknowledged(fragile_kafka, topic, feeder, emitter.stats())
        assert emitter.stats().dropped == 0


def test_a_frozen_broker_costs_bounded_bytes_no_waiting_and_no_core(
    fragile_broker: LocalBroker, fragile_kafka: KafkaSettings
) -> None:
    topic = new_topic(fragile_kafka, partitions=3)
    with emitting(fragile_kafka, max_bytes=MAX_BYTES) as emitter:
        feeder = Feeder(emitter, topic)
        with feeder.running(0.004):
            wait_until(lambda: emitter.stats().acknowledged > 100, 20, "records acknowledged before the freeze")
            fragile_broker.freeze()
            cpu_before, feeder.longest_offer_seconds = time.process_time(), 0.0
            most_bytes, was_disconnected = _watch(emitter, FREEZE_SECONDS)
            cpu_seconds, longest_offer_seconds = time.process_time() - cpu_before, feeder.longest_offer_seconds
            frozen = emitter.stats()
            fragile_broker.thaw()
            wait_until(lambda: emitter.stats().acknowledged > frozen.acknowledged + 200, 60, "it resumes by itself")
        assert emitter.flush(30)
        stats = emitter.stats()
        assert MAX_BYTES / 2 < most_bytes <= MAX_BYTES
        assert was_disconnected
        assert stats.connected
        assert stats.dropped >= frozen.dropped > 0
        assert emitter.take_dropped(topic) == stats.dropped
        assert longest_offer_seconds < FREEZE_SECONDS / 10
        assert cpu_seconds < FREEZE_SECONDS / 2
        assert_exactly_the_acknowledged(fragile_kafka, topic, feeder, stats)


def _watch(emitter: Emitter, seconds: float) -> tuple[int, bool]:
    """The most bytes that were pending, and whether the emitter noticed that nobody answers."""
    most_bytes, was_disconnected, never = 0, False, Event()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stats = emitter.stats()
        assert stats.offered == stats.acknowledged + stats.dropped + stats.pending
        most_bytes = max(most_bytes, stats.pending_bytes)
        was_disconnected |= not stats.connected
        never.wait(0.02)
    return most_bytes, was_disconnected


def test_records_of_a_topic_created_late_arrive_in_order(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RETRY_SECONDS", (0.2, 0.5))
    topic = f"late-{time.time_ns()}"
    with emitting(kafka) as emitter:
        feeder = Feeder(emitter, topic)
        assert all(feeder.offer() for _ in range(50))
        assert not emitter.flush(1.0)
        apply_topics(kafka, {topic: topic_spec(topic, 2)})
        assert emitter.flush(30)
        assert_exactly_the_acknowledged(kafka, topic, feeder, emitter.stats())
