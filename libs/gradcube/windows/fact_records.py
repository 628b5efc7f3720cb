"""The facts of closed windows as the bytes that go to Kafka: what `encode_fact` makes of `facts_of`, ten times as fast.

A minute of 8 192 ranks is a quarter of a million facts. What facts of one view or subject have in common is written
once; `usable` measures of decoded records need no other check.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from gradcube.windows.metrics import metrics_for
from gradcube.windows.settings import JobDescription
from gradcube.windows.views import View
from gradcube.windows.windowing import ClosedWindow

_text = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class FactRecord:
    """One fact: its FACT_ID, and the JSON row with it."""

    id: str
    value: bytes


def fact_records(closed: Iterable[ClosedWindow], description: JobDescription) -> Iterator[FactRecord]:
    """The facts of these windows in the order of `JobWindows.facts`."""
    for window in closed:
        for view in window.views:
            if view.subjects:
                yield from _records_of(replace(view, description=description), window.start_micros // 1000)


def _records_of(view: View, ts_millis: int) -> Iterator[FactRecord]:
    rows, ids = _subject_texts(view, ts_millis)
    for metric in metrics_for(view):
        found = metric.compute(view)
        at = np.flatnonzero(found.usable())
        middle = f',"FAMILY":{_text(metric.family)},"METRIC":{_text(metric.name)},"FACT_ID":"'
        suffix = f", {json.dumps(metric.name)}]".encode()
        measures = (found.value, found.total, found.least, found.most)
        values = zip(*(np.asarray(each, np.float64)[at].tolist() for each in measures), strict=True)
        samples = np.asarray(found.samples)[at].astype(np.int64).tolist()
        for subject, (value, total, least, most), count in zip(at.tolist(), values, samples, strict=True):
            own = blake2b(ids[subject] + suffix, digest_size=16).hexdigest()
            row = (
                f'{rows[subject]}{middle}{own}","METRIC_VALUE":{value!r},"METRIC_SUM":{total!r},'
                f'"METRIC_MIN":{least!r},"METRIC_MAX":{most!r},"SAMPLES":{count}}}'
            )
            yield FactRecord(own, row.encode())


def _subject_texts(view: View, ts_millis: int) -> tuple[list[str], list[bytes]]:
    """Of each subject the start of its rows, and of what its ids are hashes of (see `events.fact_id`)."""
    about = view.description
    rows, ids = [], []
    for subject in view.subjects:
        attempt, name = max(subject.attempt, 0), about.job if view.kind == "job" else subject.name
        rows.append(
            f'{{"TS":{ts_millis},"WINDOW_SECONDS":{view.window_seconds},"JOB":{_text(about.job)},"ATTEMPT":{attempt},'
            f'"MODEL":{_text(about.model)},"MODEL_PARAMETERS":{about.model_parameters},'
            f'"HARDWARE":{_text(about.hardware)},"DATASET":{_text(about.dataset)},"SUBJECT_KIND":{_text(view.kind)},'
            f'"SUBJECT":{_text(name)},"NODE":{_text(subject.node)},"STAGE":{max(subject.stage, 0)}'
        )
        parts = [about.job, attempt, ts_millis, view.window_seconds, view.kind, name]
        ids.append(json.dumps(parts)[:-1].encode())
    return rows, ids
