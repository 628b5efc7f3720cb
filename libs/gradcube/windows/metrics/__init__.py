"""Every metric of gradcube, one file a family. A new one is an entry or a function in its family's file."""

from functools import cache

import numpy as np

from gradcube.windows.metrics import (
    dependency,
    gradients,
    latency,
    quality,
    resource,
    robustness,
    stability,
    throughput,
)
from gradcube.windows.metrics.declare import Measures, Metric
from gradcube.windows.views import View

METRICS: tuple[Metric, ...] = tuple(
    metric
    for family in (quality, latency, throughput, stability, gradients, robustness, resource, dependency)
    for metric in family.METRICS
)

__all__ = ["METRICS", "Measures", "Metric", "metrics_for"]


def metrics_for(view: View) -> list[Metric]:
    """The metrics that a view's kind of subject has and that its columns have samples of, by name."""
    known = np.asarray(view.counts.any(axis=0))
    return [metric for metric in _metrics_for(view.kind, tuple(view.columns)) if known[view.columns[metric.column]]]


@cache
def _metrics_for(kind: str, columns: tuple[str, ...]) -> tuple[Metric, ...]:
    chosen = [metric for metric in METRICS if kind in metric.kinds and metric.column in columns]
    return tuple(sorted(chosen, key=lambda metric: metric.name))
