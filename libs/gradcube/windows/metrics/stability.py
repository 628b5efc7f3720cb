"""Stability: norms, staleness, and numbers that are none."""

from gradcube.windows.metrics.declare import Measures, Metric, mean, mean_of, percentile
from gradcube.windows.views import View

_BOTH = ("job", "rank")


def _greatest_staleness(view: View) -> Measures:
    all_of = mean_of(view, "staleness")
    return Measures(all_of.most, all_of.total, all_of.least, all_of.most, all_of.samples)


def _nonfinite(view: View) -> Measures:
    total = view.total("nonfinite_count")
    least, most = view.least("nonfinite_count"), view.most("nonfinite_count")
    return Measures(total, total, least, most, view.samples("nonfinite_count"))


METRICS = (
    mean("grad_norm", "stability", "2-norm", "StepSync.grad_norm: the rank's own gradient, before reduction"),
    mean("global_grad_norm", "stability", "2-norm", "StepSync.global_grad_norm: the reduced gradient"),
    mean("update_norm", "stability", "2-norm", "StepSync.update_norm"),
    mean("param_norm", "stability", "2-norm", "StepSync.param_norm"),
    mean("update_ratio", "stability", "ratio", "StepSync.update_norm / param_norm of each step"),
    mean("learning_rate", "stability", "ratio", "StepSync.learning_rate"),
    mean("staleness", "stability", "versions", "StepSync.staleness"),
    percentile("staleness", 95, "stability", "versions"),
    Metric(
        "staleness_max", "stability", "versions", _BOTH, "greatest", "StepSync.staleness",
        "staleness", _greatest_staleness,
    ),
    mean("staleness_max", "stability", "versions", "ServerSync.staleness: greatest of each version", ("shard",)),
    Metric(
        "nonfinite_count", "stability", "count", _BOTH, "sum",
        "StepSync.nonfinite, or the infinite loss and norms of a record that does not count them",
        "nonfinite_count", _nonfinite,
    ),
)  # fmt: skip
