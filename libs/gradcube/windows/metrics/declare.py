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
        finite = np.isfinite(np.stack([self.value, self.total, self.least, self.most])).all(axis=0)
        usable: BoolArray = finite & (self.samples > 0)
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


def mean(name: str, family: str, unit: str, source: str, kinds: tuple[str, ...] = ("job", "rank")) -> Metric:
    """The mean of a column's samples; of a job over all its ranks' samples."""
    return Metric(name, family, unit, kinds, "sum / samples", source, name, lambda view: mean_of(view, name))


def count(name: str, source: str, kinds: tuple[str, ...] = ("job", "rank")) -> Metric:
    """How many in the window; value and sum are the same."""
    return Metric(name, "robustness", "count", kinds, "sum", source, name, lambda view: _count_of(view, name))


def rate(name: str, column: str, source: str) -> Metric:
    """The sum of a column over the window's length; METRIC_SUM is the sum itself."""
    return Metric(
        name, "throughput", "per second", ("job", "rank"), f"sum of {column} / window seconds", source, column,
        lambda view: of_value(view, column, view.total(column) / view.window_seconds),
    )  # fmt: skip


def percentile(column: str, percent: int, family: str, unit: str) -> Metric:
    """A percentile of a job's samples, from its merged sketches; the other measures are those of the samples."""
    return Metric(
        f"{column}_p{percent}", family, unit, ("job",),
        f"{percent}th percentile, within 1 % (LogSketch)", "Masson et al., DDSketch, VLDB 2019", column,
        lambda view: _percentile_of(view, column, percent / 100),
    )  # fmt: skip


def mean_of(view: View, column: str) -> Measures:
    """The measures of the mean of a column."""
    samples = view.samples(column)
    value = view.total(column) / np.maximum(samples, 1)
    return Measures(value, view.total(column), view.least(column), view.most(column), samples)


def of_value(view: View, column: str, value: FloatArray) -> Measures:
    """One computed value for each subject, which is also its least and its greatest."""
    return Measures(value, view.total(column), value, value, view.samples(column))


def _percentile_of(view: View, column: str, share: float) -> Measures:
    measures = mean_of(view, column)
    value = np.clip(view.quantile(column, share), measures.least, measures.most)
    return Measures(value, measures.total, measures.least, measures.most, measures.samples)


def _count_of(view: View, column: str) -> Measures:
    total = view.total(column)
    return Measures(total, total, view.least(column), view.most(column), view.samples(column))
