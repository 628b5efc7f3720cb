"""Kills in the middle of a real run: training goes on, and afterwards the books agree."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.waiting import wait_until

from gradcube.cli import processes
from gradcube.cli.reconcile import Counts
from gradcube.cli.run import LocalRun, RunSettings
from gradcube.cli.stack import Stack
from gradcube.cube.client import open_kylin, query

JOB, WORKERS, STEPS = "chaos", 2, 120
SMALL = {
    "HIDDEN_SIZE": "32",
    "LAYERS": "1",
    "SEQUENCE_LENGTH": "32",
    "GLOBAL_BATCH_SIZE": "16",
    "VOCABULARY_SIZE": "512",
    "DATA_LIMIT_BYTES": "200000",
}
WINDOWS = {"subject_window_seconds": "10", "job_window_seconds": "10"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "home", with_parent=True, metrics=WINDOWS)
    try:
        stack.start(lambda _: None)
        yield stack
    finally:
        stack.stop()


def kill(stack: Stack, name: str) -> None:
    process = next(process for process in stack.processes if process.name == name)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.alive(), 20, f"the end of {name}")


@pytest.mark.parametrize("victim", ["metrics", "broker"])
def test_books_agree_after_a_kill_in_the_middle_of_a_run(stack: Stack, victim: str) -> None:
    run = LocalRun(stack.state, RunSettings(JOB, WORKERS, STEPS, seed=1, options=SMALL))
    try:
        run.start()
        run.wait_for_step(30)
        kill(stack, victim)
        killed_at = run.steps_done()
        run.wait_for_step(min(killed_at + 20, STEPS))  # nobody waits for what was killed
        restarted = stack.start_broker() if victim == "broker" else stack.start_service(victim)
        processes.wait_ready(restarted, 90)
        run.wait()
        counts = settle_after_restart(stack, run)
    finally:
        processes.stop(run.processes)
    assert counts.steps_trained == WORKERS * STEPS
    assert counts.records_sent + counts.records_dropped == counts.steps_trained
    assert_every_fact_once(stack, counts)


def settle_after_restart(stack: Stack, run: LocalRun) -> Counts:
    """The summaries' counts; a restarted metrics service counts from 0, so the cube is asked what was read."""
    summaries = run.summaries()
    sent = sum(summary["records"]["acknowledged"] for summary in summaries)
    kylin = open_kylin(stack.state.kylin_url())
    records = f"JOB = '{JOB}' and SUBJECT_KIND = 'rank' and METRIC = 'records'"

    def in_facts() -> int:
        return round(query(kylin, f"select sum(METRIC_SUM) from FACTS where {records}").rows[0][0] or 0)

    wait_until(lambda: in_facts() >= sent, 90, f"facts about {sent} records")
    dropped = sum(summary["records"]["dropped"] for summary in summaries)
    trained = sum(summary["steps"] for summary in summaries)
    return Counts(trained, sent, dropped, in_facts(), 0, 0.0, 0.0)


def assert_every_fact_once(stack: Stack, counts: Counts) -> None:
    assert counts.records_read == counts.records_sent
    kylin = open_kylin(stack.state.kylin_url())
    rows, distinct = query(kylin, f"select count(*), count(distinct FACT_ID) from FACTS where JOB = '{JOB}'").rows[0]
    assert rows == distinct > 0
    status = httpx.get(f"http://{stack.state.gateway}/status", timeout=5).json()
    assert status["cubes"]["FACTS"]["duplicate_fact_ids"] == 0
