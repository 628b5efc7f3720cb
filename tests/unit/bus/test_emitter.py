"""The emitter with a fake producer: what is counted when the queue is full, the client refuses, or the end comes."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.bus.fake_producer import FakeCluster, fake_cluster
from tests.waiting import wait_until

from gradcube.bus import sending
from gradcube.bus.accounts import EmitterStats
from gradcube.bus.emitter import OVERHEAD_BYTES, Emitter
from gradcube.errors import ConfigError
from gradcube.settings import KafkaSettings

KEY, VALUE = b"bert/0", b"v" * 94
RECORD_BYTES = len(KEY) + len(VALUE) + OVERHEAD_BYTES


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    monkeypatch.setattr(sending, "RETRY_SECONDS", (0.01, 0.02))
    with fake_cluster() as cluster:
        yield cluster


@pytest.fixture
def emitter(cluster: FakeCluster) -> Iterator[Emitter]:
    emitter = Emitter(KafkaSettings(), max_bytes=10 * RECORD_BYTES)
    yield emitter
    emitter.close(0)


def sent_values(cluster: FakeCluster) -> list[bytes]:
    return [value for producer in cluster.producers for _, _, value, _ in producer.sent]


def assert_adds_up(stats: EmitterStats) -> None:
    assert stats.offered == stats.acknowledged + stats.dropped + stats.pending


def test_acknowledged_records_are_counted_and_flush_says_so(cluster: FakeCluster, emitter: Emitter) -> None:
    cluster.answers_at_once = True
    assert all(emitter.offer("steps", KEY, b"%d" % number) for number in range(5))
    assert emitter.flush(10)
    stats = emitter.stats()
    assert (stats.offered, stats.acknowledged, stats.dropped, stats.pending_bytes) == (5, 5, 0, 0)
    assert stats.connected
    assert sent_values(cluster) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_silent_broker_fills_the_queue_to_its_bytes_and_no_further(cluster: FakeCluster, emitter: Emitter) -> None:
    accepted = [emitter.offer("steps", KEY, VALUE) for _ in range(25)]
    assert accepted == 10 * [True] + 15 * [False]
    stats = emitter.stats()
    assert (stats.offered, stats.dropped, stats.pending, stats.pending_bytes) == (25, 15, 10, 10 * RECORD_BYTES)
    assert emitter.take_dropped("steps") == 15
    assert emitter.take_dropped("steps") == 0


def test_what_lies_inside_the_client_counts_as_pending(cluster: FakeCluster, emitter: Emitter) -> None:
    for _ in range(10):
        emitter.offer("steps", KEY, VALUE)
    wait_until(lambda: sent_values(cluster), 10, "records handed to the client")
    assert emitter.stats().pending == 10
    assert not emitter.offer("steps", KEY, VALUE)
    assert len(cluster.producers[0].waiting) < 10


def test_flush_of_a_silent_broker_gives_up(cluster: FakeCluster, emitter: Emitter) -> None:
    emitter.offer("steps", KEY, VALUE)
    assert not emitter.flush(0.05)
    assert emitter.stats().pending == 1


def test_failed_deliveries_are_taken_as_dropped(cluster: FakeCluster, emitter: Emitter) -> None:
    emitter.offer("steps", KEY, VALUE)
    wait_until(lambda: sent_values(cluster), 10, "the record handed to the client")
    cluster.producers[0].answer(1, delivered=False)
    assert emitter.take_dropped("steps") == 1
    assert_adds_up(emitter.stats())


def test_a_record_that_the_client_refuses_is_dropped_and_the_next_goes_out(cluster: FakeCluster) -> None:
    cluster.answers_at_once = True
    emitter = Emitter(KafkaSettings())
    emitter.offer("steps", KEY, bytes(sending.MAX_RECORD_BYTES + 1))
    emitter.offer("steps", KEY, b"small")
    assert emitter.flush(10)
    assert sent_values(cluster) == [b"small"]
    assert (emitter.stats().acknowledged, emitter.take_dropped("steps")) == (1, 1)
    emitter.close(0)


def test_records_wait_for_a_broker_that_is_absent(cluster: FakeCluster) -> None:
    cluster.absent, cluster.answers_at_once = True, True
    emitter = Emitter(KafkaSettings())
    emitter.offer("steps", KEY, b"early")
    assert not emitter.flush(0.1)
    assert not emitter.stats().connected
    cluster.absent = False
    assert emitter.flush(10)
    assert sent_values(cluster) == [b"early"]
    assert emitter.stats().acknowledged == 1
    emitter.close(0)


def test_records_of_a_missing_topic_wait_aside_in_order(cluster: FakeCluster, emitter: Emitter) -> None:
    cluster.answers_at_once = True
    cluster.missing_topics = {"late"}
    for number in range(3):
        emitter.offer("late", KEY, b"late %d" % number)
    emitter.offer("steps", KEY, b"through")
    wait_until(lambda: sent_values(cluster) == [b"through"], 10, "the other topic's record")
    cluster.missing_topics = set()
    assert emitter.flush(10)
    assert sent_values(cluster) == [b"through", b"late 0", b"late 1", b"late 2"]


def test_records_of_a_topic_that_stays_missing_are_dropped(
    cluster: FakeCluster, emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MISSING_TOPIC_SECONDS", 0.05)
    cluster.missing_topics = {"never"}
    emitter.offer("never", KEY, VALUE)
    assert emitter.flush(10)
    assert emitter.take_dropped("never") == 1
    assert_adds_up(emitter.stats())


def test_a_producer_whose_records_all_fail_is_replaced(
    cluster: FakeCluster, emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "STALLED_SECONDS", 0.05)
    emitter.offer("steps", KEY, b"fenced")
    wait_until(lambda: sent_values(cluster), 10, "the record handed to the client")
    cluster.producers[0].answer(1, delivered=False)
    wait_until(lambda: len(cluster.producers) == 2, 10, "a new producer")
    assert cluster.producers[0].closed
    emitter.offer("steps", KEY, b"afresh")
    wait_until(lambda: cluster.producers[1].sent, 10, "a record through the new producer")


def test_closing_counts_what_is_left_as_dropped_and_refuses_the_rest(cluster: FakeCluster) -> None:
    emitter = Emitter(KafkaSettings())
    for _ in range(4):
        emitter.offer("steps", KEY, VALUE)
    wait_until(lambda: sent_values(cluster), 10, "records handed to the client")
    emitter.close(0.05)
    assert not emitter.offer("steps", KEY, VALUE)
    cluster.producers[0].answer(4, delivered=True)  # too late: they have been counted
    stats = emitter.stats()
    assert (stats.offered, stats.acknowledged, stats.dropped, stats.pending, stats.pending_bytes) == (5, 0, 5, 0, 0)
    assert emitter.take_dropped("steps") == 5


def test_closing_twice_changes_nothing(cluster: FakeCluster) -> None:
    emitter = Emitter(KafkaSettings())
    emitter.offer("steps", KEY, VALUE)
    emitter.close(0)
    first = emitter.stats()
    emitter.close(0)
    assert emitter.stats() == first
    assert cluster.producers == [] or cluster.producers[0].closed


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_refused_and_its_parent_goes_on(cluster: FakeCluster, emitter: Emitter) -> None:
    emitter.offer("steps", KEY, b"of the parent")
    wait_until(lambda: sent_values(cluster), 10, "the record handed to the client")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = {"accepted": emitter.offer("steps", KEY, b"of the child"), **asdict(emitter.stats())}
            emitter.close(0)
            os.write(writing, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answers:
        answer = json.loads(answers.read())
    assert (answer["accepted"], answer["offered"], answer["dropped"], answer["pending"]) == (False, 1, 1, 0)
    assert not cluster.producers[0].closed
    assert emitter.stats().offered == 1
    cluster.producers[0].answer(1, delivered=True)
    assert emitter.stats().acknowledged == 1


def test_unreadable_tls_files_are_told_at_once(tmp_path: Path) -> None:
    absent = tmp_path / "ca.pem"
    with pytest.raises(ConfigError, match=r"GRADCUBE_KAFKA_SSL_CAFILE.*ca\.pem cannot be read"):
        Emitter(KafkaSettings(security_protocol="SSL", ssl_cafile=absent))
