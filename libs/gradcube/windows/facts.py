"""A view of a closed window as facts: every metric that the view's subjects have a value of."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gradcube.events import Fact, fact_id
from gradcube.windows.metrics import metrics_for
from gradcube.windows.metrics.declare import Measures, Metric
from gradcube.windows.settings import JobDescription
from gradcube.windows.views import View


def facts_of(view: View, start_micros: int, description: JobDescription) -> Iterator[Fact]:
    """The facts, metric by metric in the order of their names, and subject by subject in that of the view.

    A subject without a finite value of a metric has no fact of it: absent is not 0.
    """
    if not view.subjects:
        return
    view = replace(view, description=description)
    for metric in metrics_for(view):
        measures = metric.compute(view)
        for at in np.flatnonzero(measures.usable()).tolist():
            yield _fact(metric, measures, at, view, start_micros, description)


def _fact(
    metric: Metric, measures: Measures, at: int, view: View, start_micros: int, description: JobDescription
) -> Fact:
    subject = view.subjects[at]
    attempt = max(subject.attempt, 0)
    name = description.job if view.kind == "job" else subject.name
    return Fact(
        TS=start_micros // 1000,
        WINDOW_SECONDS=view.window_seconds,
        JOB=description.job,
        ATTEMPT=attempt,
        MODEL=description.model,
        MODEL_PARAMETERS=description.model_parameters,
        HARDWARE=description.hardware,
        DATASET=description.dataset,
        SUBJECT_KIND=view.kind,
        SUBJECT=name,
        NODE=subject.node,
        STAGE=max(subject.stage, 0),
        FAMILY=metric.family,
        METRIC=metric.name,
        METRIC_VALUE=float(measures.value[at]),
        METRIC_SUM=float(measures.total[at]),
        METRIC_MIN=float(measures.least[at]),
        METRIC_MAX=float(measures.most[at]),
        SAMPLES=int(measures.samples[at]),
        FACT_ID=fact_id(
            job=description.job,
            attempt=attempt,
            ts_millis=start_micros // 1000,
            window_seconds=view.window_seconds,
            subject_kind=view.kind,
            subject=name,
            metric=metric.name,
        ),
    )
