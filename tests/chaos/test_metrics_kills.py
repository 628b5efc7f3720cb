"""Two metrics workers, killed, frozen, joined and left at random while records come: facts and findings as offline.

GRADCUBE_CHAOS_SEED and GRADCUBE_CHAOS_KILLS make other and longer runs: a seed gives the same sequence of faults.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tests.integration.metrics.stand import MEASURES, WINDOWS, Fleet, Worker, facts_of, producer, read_all

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.columns import decode_facts
from gradcube.cube.model import load_cube
from gradcube.cube.store import Store
from gradcube.diagnosis import Diagnosis, Finding, from_record
from gradcube.events import Fact, decode, decode_batch
from gradcube.settings import KafkaSettings
from gradcube.windows import JobDescription, JobWindows, StepRows

SEED = int(os.environ.get("GRADCUBE_CHAOS_SEED", "7"))
FAULTS = int(os.environ.get("GRADCUBE_CHAOS_KILLS", "20"))
JOBS, RANKS = 3, 4
SECONDS_BETWEEN = (0.3, 6.0)
FROZEN_SECONDS = (1.0, 8.0)
SLOW_STEPS = range(120, 260)
SHORT = {"IDLE_SECONDS": "10", "DIAGNOSIS_IDLE_SECONDS": "40", "SESSION_SECONDS": "6", "GRACE_SECONDS": "2"}


class Feed(threading.Thread):
    """Sends the steps of all jobs, four a second, until told to end; a broker that is away is waited for."""

    def __init__(self, kafka: KafkaSettings, fleets: Sequence[Fleet]) -> None:
        super().__init__()
        self._kafka, self._fleets = kafka, fleets
        self._ending = threading.Event()
        self.sent = dict.fromkeys((fleet.job for fleet in fleets), 0)

    def run(self) -> None:
        with producer(self._kafka) as client:
            for step in range(10_000):
                for number, fleet in enumerate(self._fleets):
                    slow = {number: 1.8} if step in SLOW_STEPS else {}
                    for key, value in fleet.records(step, slow):
                        client.send("gradcube.steps", key=key, value=value)
                        self.sent[fleet.job] += 1
                if self._ending.wait(0.25) and step > SLOW_STEPS.stop + 60:  # the pace of the training
                    return

    def end(self) -> None:
        self._ending.set()
        self.join()


class Stage:
    """The broker and two workers, and the faults that can befall them."""

    def __init__(self, broker: LocalBroker, directory: Path, chance: random.Random) -> None:
        self.broker, self._chance = broker, chance
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        self.workers = []
        for name in ("one", "two"):
            (directory / name).mkdir()
            self.workers.append(Worker(kafka, directory / name, **SHORT))
        self.faults: list[str] = []

    def befall(self) -> None:
        """One fault, on one of the workers that are up or on the broker."""
        faults: list[Callable[[Worker], None]] = [self._kill, self._kill, self._kill, self._freeze, self._leave]
        fault = self._restart_broker if len(self.faults) % 10 == 9 else self._chance.choice(faults)
        self.faults.append(fault.__name__)
        fault(self._chance.choice(self.workers))

    def _kill(self, worker: Worker) -> None:
        worker.kill()
        if self._chance.random() < 0.3:  # the other is alone for a while, and has to take over
            self._pass(SECONDS_BETWEEN)
        worker.start()

    def _leave(self, worker: Worker) -> None:
        assert worker.stop() == 0
        self._pass(SECONDS_BETWEEN)
        worker.start()

    def _freeze(self, worker: Worker) -> None:
        worker.process.send_signal(signal.SIGSTOP)
        self._pass(FROZEN_SECONDS)
        worker.process.send_signal(signal.SIGCONT)

    def _restart_broker(self, _: Worker) -> None:
        self.broker.kill()
        self.broker.start()

    def _pass(self, between: tuple[float, float]) -> None:
        threading.Event().wait(self._chance.uniform(*between))  # the length of a fault, not a wait for anything

    def revive(self) -> None:
        """Workers that ended by themselves, as they may when the broker refuses them, are started as k8s would."""
        for worker in self.workers:
            if worker.process.poll() is not None:
                self.faults.append("revived")
                worker.start()

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with LocalBroker(tmp_path / "broker") as broker:
        apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
        stage = Stage(broker, tmp_path, random.Random(SEED))
        try:
            for worker in stage.workers:
                worker.start()
            for worker in stage.workers:
                worker.wait_ready()
            yield stage
        finally:
            stage.stop()


@pytest.mark.timeout(1200)
def test_facts_and_findings_are_those_of_an_undisturbed_run(stage: Stage, tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap=stage.broker.bootstrap)
    assert_both_work(stage)
    fleets = [Fleet(f"chaos-{number}", RANKS) for number in range(JOBS)]
    feed = Feed(kafka, fleets)
    feed.start()
    try:
        while len(stage.faults) < FAULTS:
            stage.befall()
            stage._pass(SECONDS_BETWEEN)
            stage.revive()
    finally:
        feed.end()
    recorded = {fleet.job: recorded_rows(kafka, fleet.job) for fleet in fleets}
    assert {job: sum(map(len, rows.values())) for job, rows in recorded.items()} == feed.sent
    expected = {job: offline_facts(job, rows) for job, rows in recorded.items()}
    for job, facts in expected.items():
        wait_for_all(stage, kafka, job, facts)
    for worker in stage.workers:
        worker.wait_ready()
    cube = rows_of_the_cube(kafka, tmp_path / "store")
    for fleet in fleets:
        assert_same_rows(facts_of(kafka, fleet.job), cube[fleet.job], expected[fleet.job])
        assert_same_findings(findings_of(kafka, fleet.job), offline_findings(fleet.job, recorded[fleet.job]))
    assert not read_all(kafka, "dlq.gradcube.partials"), f"records came too late; faults: {stage.faults}"


def assert_both_work(stage: Stage) -> None:
    """Both workers have partitions: the group is shared out, and not one worker's alone."""
    assert all(worker.get("/ready")[1]["checks"]["assigned"] for worker in stage.workers)


def wait_for_all(stage: Stage, kafka: KafkaSettings, job: str, expected: Sequence[Fact]) -> None:
    """Every fact of a job is written; the error says which windows are missing, and what befell the workers."""
    missing = {fact["FACT_ID"]: f"{fact['METRIC']} {fact['TS']}" for fact in expected}

    def all_there() -> bool:
        stage.revive()
        for fact in facts_of(kafka, job):
            missing.pop(fact["FACT_ID"], None)
        return not missing

    deadline = time.monotonic() + 120
    while not all_there():
        if time.monotonic() > deadline:
            logs = "\n".join("\n".join(worker.log.read_text().splitlines()[-15:]) for worker in stage.workers)
            some = sorted(missing.values())[:5]
            raise AssertionError(f"{len(missing)} of {len(expected)} facts of {job}: {some}; {stage.faults}\n{logs}")
        threading.Event().wait(1)


def recorded_rows(kafka: KafkaSettings, job: str) -> dict[int, StepRows]:
    """What lies in the topic of a job, by partition, with the broker's offsets and times."""
    found: dict[int, list[Any]] = {}
    for record in read_all(kafka, "gradcube.steps"):
        if record.key.startswith(job.encode() + b"/"):
            found.setdefault(record.partition, []).append(record)
    rows = {}
    for partition, records in found.items():
        batch, _ = decode_batch([record.value for record in records])
        offsets = np.array([record.offset for record in records], np.int64)
        appended = np.array([record.timestamp for record in records], np.int64) * 1000
        rows[partition] = StepRows.from_batch(batch, job, batch.job == job, offsets, appended)
    return rows


def offline_facts(job: str, recorded: Mapping[int, StepRows]) -> list[Fact]:
    """The facts of all records, computed in one go by the pure code."""
    windows = JobWindows(WINDOWS, job)
    for partition, rows in recorded.items():
        windows.add(rows, ("gradcube.steps", partition))
    return windows.facts(windows.close(1 << 62), JobDescription(job))


def rows_of_the_cube(kafka: KafkaSettings, directory: Path) -> dict[str, list[dict[str, Any]]]:
    """What the cube's engine makes of the topic, by job."""
    model = load_cube()
    records = read_all(kafka, "gradcube.facts")
    table, bad = decode_facts([record.value for record in records], model)
    assert not bad
    found: dict[str, list[dict[str, Any]]] = {}
    with closing(Store(directory, [model])) as store:
        store.write(model.name, table, {})
        with store.snapshot() as snapshot, duckdb.connect() as connection:
            seen = f"SELECT JOB, FACT_ID, METRIC_VALUE, SAMPLES FROM ({snapshot.select(model.name)})"
            for job, own, value, samples in connection.execute(seen).fetchall():
                found.setdefault(job, []).append({"FACT_ID": own, "METRIC_VALUE": value, "SAMPLES": samples})
    return found


def assert_same_rows(written: Sequence[Fact], cube: Sequence[dict[str, Any]], expected: Sequence[Fact]) -> None:
    wanted = {fact["FACT_ID"]: fact for fact in expected}
    assert len(cube) == len(wanted), "a row is missing or doubled"
    assert {row["FACT_ID"] for row in cube} == wanted.keys()
    for fact in written:  # also those that the cube would not have taken
        for column, value in wanted[fact["FACT_ID"]].items():
            assert fact[column] == (pytest.approx(value, rel=1e-6) if column in MEASURES else value), fact
    for row in cube:
        fact = wanted[row["FACT_ID"]]
        assert (row["METRIC_VALUE"], row["SAMPLES"]) == (pytest.approx(fact["METRIC_VALUE"], rel=1e-6), fact["SAMPLES"])


def findings_of(kafka: KafkaSettings, job: str) -> list[Finding]:
    found = [from_record(decode(each.value)[1]) for each in read_all(kafka, "gradcube.findings")]
    return [finding for finding in found if finding.job == job]


def offline_findings(job: str, recorded: Mapping[int, StepRows]) -> list[Finding]:
    """One diagnosis of all records, in the order of steps, undisturbed."""
    rows = StepRows.concat(list(recorded.values()))
    diagnosis = Diagnosis(job, 0)
    diagnosis.configure({})
    findings = diagnosis.add(rows.take(rows.step == 0)) + diagnosis.advance(int(rows.ended_at_micros.min()) + 10_000)
    return findings + diagnosis.add(rows.take(rows.step > 0))


def assert_same_findings(found: Sequence[Finding], expected: Sequence[Finding]) -> None:
    """The same episodes with the same words.

    One may be there twice: a worker that thaws after others took over still writes what it had begun (decision 2).
    """
    assert [finding.state for finding in expected].count("OPENED") >= 1, "the slow rank is there to be found"
    assert set(map(_said, found)) == set(map(_said, expected))


def _said(finding: Finding) -> tuple[Any, ...]:
    end = -1 if finding.end_step is None else finding.end_step
    verdict = "" if finding.state == "UPDATED" else finding.verdict  # its milliseconds are of the steps last seen
    return finding.id, finding.state, finding.detected_step, end, round(finding.magnitude, 3), verdict
