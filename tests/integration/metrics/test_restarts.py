"""The service killed at any moment and started again: no fact lost, none doubled. The broker may go and come, too."""

import threading
import uuid
from pathlib import Path

import pytest
from tests.integration.metrics.stand import (
    Fleet,
    Worker,
    assert_same_facts,
    expected_facts,
    facts_of,
    producer,
    wait_for_facts,
    worker,
)
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.settings import KafkaSettings


def feed_slowly(kafka: KafkaSettings, fleet: Fleet, steps: int, pause_seconds: float) -> threading.Thread:
    def feed() -> None:
        never = threading.Event()
        with producer(kafka) as client:
            for step in range(steps):
                for key, value in fleet.records(step):
                    client.send("gradcube.steps", key=key, value=value)
                never.wait(pause_seconds)  # the pace of the training, not a wait for anything

    thread = threading.Thread(target=feed)
    thread.start()
    return thread


def all_records(fleet: Fleet, steps: int) -> list[bytes]:
    return [value for step in range(steps) for _, value in fleet.records(step)]


@pytest.mark.parametrize("facts_before_kills", [(1, 150), (60, 61, 300)])
def test_no_fact_is_lost_or_doubled_when_killed(
    kafka: KafkaSettings, tmp_path: Path, facts_before_kills: tuple[int, ...]
) -> None:
    fleet, steps = Fleet(f"killed-{uuid.uuid4().hex[:8]}"), 240
    expected = expected_facts(fleet.job, all_records(fleet, steps))
    feeder = feed_slowly(kafka, fleet, steps, 0.05)
    service = Worker(kafka, tmp_path)
    try:
        for count in facts_before_kills:
            service.start()
            wait_until(lambda count=count: len(facts_of(kafka, fleet.job)) >= count, 90, f"{count} facts", 0.02)
            service.kill()
        service.start()
        found = wait_for_facts(kafka, fleet.job, len(expected), 120)
        service.wait_ready()
        wait_until(lambda: service.get("/status")[1]["open_windows"] == 0, 30, "nothing open")
        found = facts_of(kafka, fleet.job)
        assert service.stop() == 0
    finally:
        service.kill()
        feeder.join()
    assert_same_facts(found, expected)


def test_a_broker_that_is_absent_is_waited_for(tmp_path: Path) -> None:
    service = Worker(KafkaSettings(bootstrap="127.0.0.1:1"), tmp_path)
    service.start()
    try:
        wait_until(lambda: b"broker unavailable" in service.log.read_bytes(), 60, "a line in the log")
        assert service.get("/ready")[0] == 503
        assert service.get("/live")[0] == 200
        assert service.stop() == 0
    finally:
        service.kill()


def test_a_missing_topic_is_named_and_ends_the_start(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "empty") as broker:
        service = Worker(KafkaSettings(bootstrap=broker.bootstrap), tmp_path)
        service.start()
        assert service.process.wait(60) == 69
    assert "TopicMismatch: topic gradcube.steps is missing" in service.log.read_text()


def test_nothing_is_lost_when_the_broker_is_killed_and_restarted(
    broker: LocalBroker, kafka: KafkaSettings, tmp_path: Path
) -> None:
    fleet, steps = Fleet(f"broker-{uuid.uuid4().hex[:8]}"), 120
    expected = expected_facts(fleet.job, all_records(fleet, steps))
    with worker(kafka, tmp_path, IDLE_SECONDS="15") as service:
        feed_slowly(kafka, fleet, 60, 0.01).join()
        wait_until(lambda: service.get("/status")[1]["partials_read"], 60, "partials")
        broker.kill()
        broker.start()
        with producer(kafka) as client:
            for step in range(60, steps):
                for key, value in fleet.records(step):
                    client.send("gradcube.steps", key=key, value=value)
        ended = service.process.poll()
        found = wait_for_facts(kafka, fleet.job, len(expected), 90)
        assert service.get("/status")[1]["records_late"] == 0
        assert ended is None
    assert_same_facts(found, expected)
