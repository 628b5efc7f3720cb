from types import SimpleNamespace
from typing import Any

from tests.unit.metrics.test_merge import LATER, SETTINGS, START, JobDescription, JobMerge, hear

from gradcube_metrics.merge import Recovered
from gradcube_metrics.read_back import STATE_HEADER, FactTail, read_findings


def written(job: str, state: bytes | None = None) -> list[Any]:
    """The facts of one closing as they lie in Kafka; without a state it is half written."""
    merge = JobMerge("a", SETTINGS, Recovered(), START)
    hear(merge, range(20))
    facts = merge.close(LATER, JobDescription("a")).facts[:3]
    headers = [(), (), () if state is None else ((STATE_HEADER, state),)]
    return [
        SimpleNamespace(key=job.encode(), value=fact.value, headers=own, offset=at)
        for at, (fact, own) in enumerate(zip(facts, headers, strict=True))
    ]


def read_facts(jobs: dict[str, Recovered], records: list[Any]) -> None:
    tail = FactTail(jobs)
    tail.take(records)
    tail.end()


def test_the_last_state_of_each_job_counts_and_what_is_written_after_it() -> None:
    jobs: dict[str, Recovered] = {}
    read_facts(jobs, [*written("a", b'{"n": 1}'), *written("b"), *written("a", b'{"n": 2}'), *written("a")[:2]])
    assert jobs["a"].state == {"n": 2}
    assert len(jobs["a"].fact_ids) == 2
    assert jobs["b"].state is None
    assert len(jobs["b"].fact_ids) == 3


def test_a_foreign_record_in_the_own_output_is_passed_over() -> None:
    jobs: dict[str, Recovered] = {}
    read_facts(jobs, [SimpleNamespace(key=b"a", value=b"{", headers=(), offset=0), *written("a")])
    read_findings(jobs, [SimpleNamespace(key=b"a", value=b"\x00", offset=0)])
    assert len(jobs["a"].fact_ids) == 3
