"""The books of a run: steps trained = records sent + counted drops = records read; facts written = rows in the cube."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from gradcube.cli import output
from gradcube.cli.run import LocalRun
from gradcube.cli.state import LocalState
from gradcube.cube.client import open_kylin, query
from gradcube.errors import CheckFailed

SETTLE_SECONDS = 90


@dataclass(frozen=True)
class Counts:
    """What each party says it did."""

    steps_trained: int
    records_sent: int
    records_dropped: int
    records_read: int
    facts_written: int
    first_loss: float
    final_loss: float


def settle(services: LocalState, run: LocalRun, job: str) -> Counts:
    """Waits until every sent record is read, every window is closed and every fact is in the cube."""
    summaries = run.summaries()
    sent = sum(summary["records"]["acknowledged"] for summary in summaries)
    kylin = open_kylin(services.kylin_url())
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        metrics = _of_job(services.metrics, job)
        done = metrics["steps_read"] >= sent and metrics["open_windows"] == 0
        if (done and _rows(kylin, job) >= metrics["facts_written"]) or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    return Counts(
        steps_trained=sum(summary["steps"] for summary in summaries),
        records_sent=sent,
        records_dropped=sum(summary["records"]["dropped"] for summary in summaries),
        records_read=metrics["steps_read"],
        facts_written=metrics["facts_written"],
        first_loss=sum(summary["first_loss"] for summary in summaries) / len(summaries),
        final_loss=sum(summary["final_loss"] for summary in summaries) / len(summaries),
    )


def reconcile(counts: Counts, url: str, job: str) -> dict[str, int]:
    """Compares the books with the cube, prints them, and raises CheckFailed naming every difference."""
    kylin = open_kylin(url)
    rows = _rows(kylin, job)
    of_ranks = f"JOB = '{job}' and SUBJECT_KIND = 'rank' and METRIC = 'records'"
    in_facts = round(_one(kylin, f"select sum(METRIC_SUM) from FACTS where {of_ranks}"))
    books = {
        "steps trained": counts.steps_trained,
        "records sent + dropped": counts.records_sent + counts.records_dropped,
        "records read + dropped": counts.records_read + counts.records_dropped,
        "records in facts + dropped": in_facts + counts.records_dropped,
        "facts written": counts.facts_written,
        "rows in the cube": rows,
    }
    output.out.print(output.table(["reconciliation", "count"], books.items()))
    wrong = [name for name in list(books)[1:4] if books[name] != counts.steps_trained]
    if rows != counts.facts_written:
        wrong.append("rows in the cube")
    if wrong:
        raise CheckFailed(
            f"the books do not agree: {', '.join(f'{name} = {books[name]}' for name in wrong)} "
            f"(steps trained {counts.steps_trained}, facts written {counts.facts_written})"
        )
    output.out.print("[green]every step and every fact is accounted for[/green]")
    return {name.replace(" + ", "_and_").replace(" ", "_"): value for name, value in books.items()} | {
        "dropped": counts.records_dropped
    }


def _of_job(metrics: str, job: str) -> dict[str, int]:
    answer = httpx.get(f"{metrics}/status", timeout=5).raise_for_status().json()
    unheard = {"steps_read": 0, "facts_written": 0, "open_windows": 1}
    return {**unheard, **answer["jobs"].get(job, {})}


def _rows(kylin: Any, job: str) -> int:
    return int(_one(kylin, f"select count(*) from FACTS where JOB = '{job}'"))


def _one(kylin: Any, sql: str) -> float:
    value = query(kylin, sql).rows[0][0]
    return 0.0 if value is None else float(value)
