"""Step records in a real broker become the facts that the pure code computes, whatever lies between them."""

import uuid
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from tests.integration.metrics.stand import (
    Fleet,
    assert_same_facts,
    expected_facts,
    facts_of,
    producer,
    read_all,
    wait_for_facts,
    worker,
)
from tests.waiting import wait_until

from gradcube.events import decode, frame
from gradcube.settings import KafkaSettings


def feed(kafka: KafkaSettings, fleet: Fleet, steps: range) -> list[bytes]:
    records = [record for step in steps for record in fleet.records(step)]
    with producer(kafka) as client:
        for key, value in records:
            client.send("gradcube.steps", key=key, value=value)
    return [value for _, value in records]


def test_facts_equal_an_offline_computation(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet = Fleet(f"equal-{uuid.uuid4().hex[:8]}")
    values = feed(kafka, fleet, range(100))
    expected = expected_facts(fleet.job, values)
    with worker(kafka, tmp_path) as service:
        found = wait_for_facts(kafka, fleet.job, len(expected))
        status = service.get("/status")[1]
        assert service.stop() == 0
    assert_same_facts(found, expected)
    assert status["jobs"][fleet.job]["records_read"] == len(values)
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.log"], "Faust littered the working directory"


def test_bad_records_are_set_aside_as_sent_and_the_rest_counts(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet = Fleet(f"poison-{uuid.uuid4().hex[:8]}")
    good = fleet.records(0)[0][1]
    mark = fleet.job.encode()
    bad = [
        b"\xff not avro " + mark,
        good[: len(good) // 2],
        frame(9999, b"of a schema that nobody knows " + mark),
        b"\x00\x00\x00\x00\x01" + mark + b"\xfe" * (10 << 20),
        b"",
    ]
    allow_large_records(kafka)
    records = [record for step in range(40) for record in fleet.records(step)]
    with producer(kafka) as client:
        for at, (key, value) in enumerate(records):
            client.send("gradcube.steps", key=key, value=value)
            if at % 16 == 8 and at // 16 < len(bad):
                client.send("gradcube.steps", key=key, value=bad[at // 16], headers=[("sent-by", mark)])
    expected = expected_facts(fleet.job, [value for _, value in records])
    with worker(kafka, tmp_path) as service:
        found = wait_for_facts(kafka, fleet.job, len(expected))
        status = service.get("/status")[1]
    assert_same_facts(found, expected)
    assert status["records_bad"] == len(bad)
    letters = [each for each in read_all(kafka, "dlq.gradcube.steps") if ("sent-by", mark) in each.headers]
    assert sorted(letter.value for letter in letters) == sorted(bad)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["__connect.errors.topic"] == b"gradcube.steps"
        assert headers["__connect.errors.stage"] == b"decode"
        assert headers["__connect.errors.exception.class.name"].endswith((b".SchemaError", b".UnknownSchemaId"))


def allow_large_records(kafka: KafkaSettings) -> None:
    """The poison has to get into the topic first."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    topic = ConfigResource(ConfigResourceType.TOPIC, "gradcube.steps", {"max.message.bytes": str(20 << 20)})
    admin.alter_configs([topic])
    admin.close()


def test_late_records_are_counted_and_kept(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet = Fleet(f"late-{uuid.uuid4().hex[:8]}")
    with worker(kafka, tmp_path) as service:
        feed(kafka, fleet, range(40))
        wait_until(lambda: service.get("/status")[1]["open_windows"] == 0 and facts_of(kafka, fleet.job), 60, "the end")
        with producer(kafka) as client:
            value = fleet.record(1, 41, ended_at_micros=fleet.start_micros + 1_000_000)
            client.send("gradcube.steps", key=f"{fleet.job}/1".encode(), value=value)
        wait_until(lambda: service.get("/status")[1]["records_late"] == 1, 30, "the late record")
        [letter] = wait_until(
            lambda: [each for each in read_all(kafka, "dlq.gradcube.partials") if each.key == fleet.job.encode()],
            30,
            "it",
        )
    assert dict(letter.headers)["__connect.errors.stage"] == b"late"
    name, partial = decode(letter.value)
    assert (name, partial["count"]) == ("Partial", 1)


def test_a_straggler_opens_and_closes_a_finding(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet = Fleet(f"slow-{uuid.uuid4().hex[:8]}")
    with worker(kafka, tmp_path):
        with producer(kafka) as client:
            for step in range(360):
                slow = {2: 1.8} if 120 <= step < 240 else {}
                for key, value in fleet.records(step, slow):
                    client.send("gradcube.steps", key=key, value=value)

        def findings() -> list[dict[str, object]] | None:
            raw = [each for each in read_all(kafka, "gradcube.findings") if each.key == fleet.job.encode()]
            found = [decode(each.value)[1] for each in raw]
            return found if any(each["state"] == "CLOSED" for each in found) else None

        found = wait_until(findings, 60, "a closed finding", 0.5)
    assert {each["rank"] for each in found} == {2}
    assert [each["state"] for each in found].count("OPENED") == 1
    assert [each["state"] for each in found].count("CLOSED") == 1
    assert 100 <= found[0]["onset_step"] <= 130
