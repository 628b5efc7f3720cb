"""What a metric is, and the handful of forms that most of them have.

A metric is one function from a window's view to measures, with what a reader must know about it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import BoolArray, FloatArray
from gradcube.windows.views import View

OF_STEPS = ("job", "stage", "rank")


@dataclass(frozen=True)
class Measures:
    """The measures of n subjects, each (n,). SUM(total) / SUM(samples) over windows is the mean of a mean."""

    value: FloatArray
    total: FloatArray
    least: FloatArray
    most: FloatArray
    samples: NDArray[Any]

    def usable(self) -> BoolArray:
        """Which subjects have samples and only finite measures, (n,)."""
        usable: BoolArray = self.samples > 0
        for measure in (self.value, self.total, self.least, self.most):
            usable = usable & np.isfinite(measure)
        return usable


@dataclass(frozen=True)
class Metric:
    """One declared metric. `column` is the sample it needs: a view without that column does not have the metric."""

    name: str
    family: str
    unit: str
    kinds: tuple[str, ...]
    formula: str
    source: str
    column: str
    compute: Callable[[View], Measures]


def mean(name: str, family: str, unit: str, source: str, kinds: tuple[str, ...] = OF_STEPS) -> Metric:
    """The mean of a column's samples; of a job, stage or node over all its ranks' samples."""
    return Metric(name, family, unit, kinds, "sum / samples", source, name, lambda view: mean_of(view, name))


def count(name: str, family: str, source: str, kinds: tuple[str, ...] = OF_STEPS, unit: str = "count") -> Metric:
    """How many in the window; value and sum are the same."""
    return Metric(name, family, unit, kinds, "sum", source, name, lambda view: _count_of(view, name))


def percentile(column: str, percent: int, family: str, unit: str, kinds: tuple[str, ...] = OF_STEPS) -> Metric:
    """A percentile of all samples, from the sketches; the other measures are those of the samples."""
    of_rank = f"; of a rank from {_samples_for(percent)} samples on" if "rank" in kinds else ""
    return Metric(
        f"{column}_p{percent}", family, unit, kinds, f"{percent}th percentile, within 1 % (LogSketch){of_rank}",
        "Masson et al., DDSketch, VLDB 2019", column, lambda view: _percentile_of(view, column, percent),
    )  # fmt: skip


def of_course(
    name: str, course: str, family: str, unit: str, formula: str, source: str, column: str,
) -> Metric:  # fmt: skip
    """What only the job's course knows (`course.py`), under the name `course` there."""

    def compute(view: View) -> Measures:
        value, total, least, most, samples = view.of_course(course).T
        return Measures(value, total, least, most, samples.astype(np.int64))

    return Metric(name, family, unit, ("job",), formula, source, column, compute)


def mean_of(view: View, column: str) -> Measures:
    """The measures of the mean of a column."""
    samples = view.samples(column)
    value = view.total(column) / np.maximum(samples, 1)
    return Measures(value, view.total(column), view.least(column), view.most(column), samples)


def of_value(view: View, column: str, value: FloatArray) -> Measures:
    """One computed value for each subject, which is also its least and its greatest."""
    return Measures(value, view.total(column), value, value, view.samples(column))


def single(value: FloatArray) -> Measures:
    """One computed value for each subject that counts as one sample; NaN for none."""
    return Measures(value, value, value, value, np.where(np.isfinite(value), 1, 0))


def _percentile_of(view: View, column: str, percent: int) -> Measures:
    measures = mean_of(view, column)
    value = np.clip(view.percentile(column, percent), measures.least, measures.most)
    # Of fewer, the greatest is as good an answer, which METRIC_MAX gives: 8 192 ranks are spared the rows.
    needed = _samples_for(percent) if view.kind == "rank" else 1
    samples = np.where(measures.samples >= needed, measures.samples, 0)
    return Measures(value, measures.total, measures.least, measures.most, samples)


def _samples_for(percent: int) -> int:
    return 100 // (100 - percent)


def _count_of(view: View, column: str) -> Measures:
    total = view.total(column)
    return Measures(total, total, view.least(column), view.most(column), view.samples(column))
