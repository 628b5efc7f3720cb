"""The fleet in, the records of its topics out; facts and findings are made by the engines of a live run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from tests.integration.questions import side_records
from tests.integration.questions.runs import PARAMETERS, RUNS, Run
from tests.integration.questions.simulation import APPEND_MICROS, step_rows

from gradcube.diagnosis import Diagnosis, Finding, catalog, to_record, word_of
from gradcube.events import encode
from gradcube.traces import Trace
from gradcube.windows import EvaluationRows, JobDescription, JobWindows, ResourceRows, StepRows, WindowSettings
from gradcube.windows.columns import IntArray
from gradcube.windows.fact_records import fact_records
from gradcube.windows.settings import MICROS

AFTERWARDS_MICROS = 120 * MICROS
"""All windows are over so long after the last step."""


@dataclass(frozen=True)
class Sent:
    """A record of the topic of that cube; `at_millis` is its own time in Kafka."""

    cube: str
    key: str
    value: bytes
    at_millis: int


def fleet() -> Iterator[Sent]:
    """All records of all runs. The same each time."""
    for job, attempts in groupby(RUNS, key=lambda run: run.job):
        yield from of_job(job, list(attempts))


def of_job(job: str, attempts: Sequence[Run]) -> Iterator[Sent]:
    """The attempts of one job, oldest first: each is told of, diagnosed and measured."""
    first = attempts[0]
    about = JobDescription(job, first.model, PARAMETERS[first.model], first.hardware, first.dataset)
    windows = JobWindows(WindowSettings(), job)
    offset = 0
    for run in attempts:
        rows = step_rows(run)
        steps, resources, evaluated, told = _rows_of(run, rows, offset)
        offset += len(steps) + len(resources) + len(evaluated)
        yield from told
        yield from _findings(run, steps, resources)
        windows.add(steps, ("gradcube.steps", 0))
        windows.add_resources(resources, ("gradcube.resources", 0))
        windows.add_evaluations(evaluated, ("gradcube.evaluations", 0))
    last = int(steps.ended_at_micros[-1])
    for fact in fact_records(windows.close(last + AFTERWARDS_MICROS), about):
        yield Sent("FACTS", job, fact.value, last // 1000)


def _rows_of(run: Run, rows: StepRows, offset: int) -> tuple[StepRows, ResourceRows, EvaluationRows, list[Sent]]:
    """Step rows, samples and evaluations of one attempt, their offsets from `offset` on; and the records themselves."""
    ended = rows.ended_at_micros[:: len(run.ranks)]
    samples = [{"reach": [], **_ABSENT, **one} for one in side_records.resource_samples(run, ended)]
    found = list(side_records.evaluations(run, ended))
    told = [
        Sent("JOBS", run.job, encode("Lifecycle", one), one["at"] // 1000) for one in side_records.lifecycle(run, ended)
    ]
    told += [
        Sent("RESOURCES", one["node"], encode("ResourceSample", one), one["sampled_at"] // 1000) for one in samples
    ]
    told += [Sent("EVALUATIONS", run.job, encode("Evaluation", one), one["ended_at"] // 1000) for one in found]
    resources = ResourceRows.from_records(run.job, samples, *_places(samples, "sampled_at", offset))
    evaluated = EvaluationRows.from_records(run.job, found, *_places(found, "ended_at", offset))
    return replace(rows, offset=rows.offset + offset), resources, evaluated, told


_ABSENT = dict.fromkeys(
    ("pod", "gpu_utilization_ratio", "gpu_memory_used_bytes", "gpu_memory_total_bytes", "gpu_power_watts",
     "gpu_temperature_celsius", "gpu_sm_clock_hertz", "gpu_throttle_reasons", "gpu_ecc_errors_total",
     "gpu_xid_errors_total", "gpu_pcie_sent_bytes_per_second", "gpu_pcie_received_bytes_per_second",
     "cpu_utilization_ratio", "memory_used_bytes", "memory_total_bytes", "disk_read_bytes_per_second",
     "disk_written_bytes_per_second", "network_sent_bytes_per_second", "network_received_bytes_per_second",
     "cgroup_cpu_limit_cores", "cgroup_memory_limit_bytes", "cgroup_cpu_throttled_seconds_total")
)  # fmt: skip


def _places(records: Sequence[side_records.Record], time: str, offset: int) -> tuple[IntArray, IntArray]:
    """(offsets, append times in micros), (records,) each."""
    return np.arange(len(records)) + offset, np.array([one[time] for one in records], np.int64) + APPEND_MICROS


def _findings(run: Run, steps: StepRows, resources: ResourceRows) -> Iterator[Sent]:
    """What the detectors say, step by step, each word once."""
    said: set[tuple[str, str, float]] = set()
    for at_micros, finding in _raised(run, steps, resources):
        if word_of(finding) not in said:
            said.add(word_of(finding))
            yield Sent("FINDINGS", run.job, encode("Finding", to_record(finding)), at_micros // 1000)


def _raised(run: Run, steps: StepRows, resources: ResourceRows) -> Iterator[tuple[int, Finding]]:
    diagnosis, heard = Diagnosis(run.job, run.attempt, catalog.build()), 0
    for rows in Trace(steps, ()).by_step():
        now = int(rows.ended_at_micros.max())
        until = int(np.searchsorted(resources.ended_at_micros, now))
        found = diagnosis.add(rows)
        if until > heard:
            found += diagnosis.add_resources(resources.take(np.arange(heard, until)))
        heard = until
        yield from ((now, one) for one in found + diagnosis.advance(now))
