"""Stage one: the raw records of one fetch become one partial a job, and what cannot be read is set aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import SchemaError
from gradcube.events import decode, decode_batch
from gradcube.windows.rows import EvaluationRows, ResourceRows, ServerRows, StepRows
from gradcube_metrics.partials import EVALUATIONS, RESOURCES, SERVER_SYNCS, STEPS, Partial


class RawRecord(Protocol):
    """What is read of a Kafka record, whichever client brought it."""

    offset: int
    timestamp: int
    value: bytes | None


@dataclass(frozen=True)
class Unreadable:
    """A record, by its position in the batch, and why it could not be read."""

    index: int
    error: SchemaError


@dataclass(frozen=True)
class Reduced:
    """One batch, reduced: every record is a row of a partial or unreadable."""

    partials: list[Partial]
    bad: list[Unreadable]


Reducer = Callable[[Sequence[RawRecord], int], Reduced]


def reduce_steps(records: Sequence[RawRecord], partition: int) -> Reduced:
    """StepSync records by job, decoded as one batch; `partition` is that of gradcube.steps."""
    batch, bad = decode_batch([record.value or b"" for record in records])
    offsets, appended = (column[batch.index] for column in _places(records))
    partials = []
    for job in sorted(set(batch.job.tolist())):
        mask = batch.job == job
        partials.append(Partial((STEPS, partition), StepRows.from_batch(batch, job, mask, offsets, appended)))
    return Reduced(partials, [Unreadable(each.index, each.error) for each in bad])


def reduce_resources(records: Sequence[RawRecord], partition: int) -> Reduced:
    """ResourceSample records by job; samples of a node that names no job go to the job ''."""
    by_job, bad = _decode_each(records, "ResourceSample")
    partials = [
        Partial((RESOURCES, partition), ResourceRows.from_records(job, found, *_places(raw)))
        for job, (found, raw) in sorted(by_job.items())
    ]
    return Reduced(partials, bad)


def reduce_servers(records: Sequence[RawRecord], partition: int) -> Reduced:
    """ServerSync records by job."""
    by_job, bad = _decode_each(records, "ServerSync")
    partials = [
        Partial((SERVER_SYNCS, partition), ServerRows.from_records(job, found, *_places(raw)))
        for job, (found, raw) in sorted(by_job.items())
    ]
    return Reduced(partials, bad)


def reduce_evaluations(records: Sequence[RawRecord], partition: int) -> Reduced:
    """Evaluation records by job."""
    by_job, bad = _decode_each(records, "Evaluation")
    partials = [
        Partial((EVALUATIONS, partition), EvaluationRows.from_records(job, found, *_places(raw)))
        for job, (found, raw) in sorted(by_job.items())
    ]
    return Reduced(partials, bad)


REDUCERS: Mapping[str, Reducer] = {
    STEPS: reduce_steps,
    RESOURCES: reduce_resources,
    SERVER_SYNCS: reduce_servers,
    EVALUATIONS: reduce_evaluations,
}


def _places(records: Sequence[RawRecord]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(offsets, append times in microseconds), (len(records),) each."""
    offsets = np.array([record.offset for record in records], np.int64)
    return offsets, np.array([record.timestamp for record in records], np.int64) * 1000


_ByJob = dict[str, tuple[list[dict[str, Any]], list[RawRecord]]]


def _decode_each(records: Sequence[RawRecord], wanted: str) -> tuple[_ByJob, list[Unreadable]]:
    by_job: _ByJob = {}
    bad = []
    for index, raw in enumerate(records):
        try:
            name, record = decode(raw.value or b"")
            if name != wanted:
                raise SchemaError(f"a {name} where a {wanted} belongs: the writer sent it to the wrong topic")
        except SchemaError as error:
            bad.append(Unreadable(index, error))
            continue
        found, raws = by_job.setdefault(record["job"] or "", ([], []))
        found.append(record)
        raws.append(raw)
    return by_job, bad
