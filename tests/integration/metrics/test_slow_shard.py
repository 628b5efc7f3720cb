"""What parameter servers say of their versions in a real broker leads to a finding about the slow one."""

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path

from kafka import KafkaProducer
from tests.integration.metrics.stand import Fleet, producer, read_all, worker
from tests.waiting import wait_until

from gradcube.diagnosis import Finding, from_record
from gradcube.events import decode, encode
from gradcube.settings import KafkaSettings

RANKS, STEPS, HEALTHY_VERSIONS = 4, 60, 40


def version(fleet: Fleet, shard: int, number: int, apply_seconds: float) -> bytes:
    everyone = list(range(RANKS))
    record = {
        "job": fleet.job, "attempt": 0, "shard": shard, "node": f"server-{shard}", "version": number,
        "ended_at": fleet.start_micros + number * fleet.step_micros, "apply_seconds": apply_seconds, "queue_depth": 0,
        "rank": everyone, "arrival_seconds": [0.0] * RANKS, "staleness": [0] * RANKS, "bytes": [1000] * RANKS,
        "dropped": [False] * RANKS,
    }  # fmt: skip
    return encode("ServerSync", record)


def say(client: KafkaProducer, fleet: Fleet, numbers: Iterator[int]) -> None:
    """Ten more versions of both shards; shard 1 is slow from some version on."""
    for number in itertools.islice(numbers, 10):
        for shard in range(2):
            seconds = 0.09 if shard == 1 and number >= HEALTHY_VERSIONS else 0.01
            key = f"{fleet.job}/{shard}".encode()
            client.send("gradcube.server-syncs", key=key, value=version(fleet, shard, number, seconds))
    client.flush()


def findings_of(kafka: KafkaSettings, fleet: Fleet) -> list[Finding]:
    every = read_all(kafka, "gradcube.findings")
    return [
        from_record(decode(record.value)[1]) for record in every if (record.key or b"").startswith(fleet.job.encode())
    ]


def test_the_finding_names_the_shard_and_its_server(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet = Fleet(f"sharded-{uuid.uuid4().hex[:8]}", RANKS)
    numbers = iter(range(10_000))

    def of_the_shard() -> list[Finding]:
        say(client, fleet, numbers)
        return [finding for finding in findings_of(kafka, fleet) if finding.subject.shard is not None]

    with producer(kafka) as client, worker(kafka, tmp_path):
        for step in range(STEPS):
            for key, value in fleet.records(step, {0: 2.0} if step > STEPS / 2 else {}):
                client.send("gradcube.steps", key=key, value=value)
        client.flush()
        # Versions are judged from the first step on: the slow rank's finding shows that the steps are there.
        wait_until(lambda: findings_of(kafka, fleet), 60, "the finding about the slow rank", 0.5)
        findings = wait_until(of_the_shard, 60, "the finding about the shard", 0.5)
    assert [(finding.kind, finding.state) for finding in findings][:1] == [("FAIL_SLOW", "OPENED")]
    assert {(finding.subject.shard, finding.subject.node) for finding in findings} == {(1, "server-1")}
