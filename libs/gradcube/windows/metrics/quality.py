"""Quality: how well the model does."""

import numpy as np

from gradcube.windows.metrics.declare import Measures, Metric, mean, mean_of
from gradcube.windows.views import View

MAX_LOG_PERPLEXITY = 700.0
"""exp of more is not a double; a loss like that is a diverged run, which `loss` shows."""
_BOTH = ("job", "rank")


def _accuracy(view: View) -> Measures:
    """Right over predicted tokens, so that windows and ranks add up; the extremes are single records'."""
    # Rows that do not say how many were right are not in `rows`; those that say it always predict.
    rows = view.samples("masked_accuracy_ratio")
    value = view.total("correct") / np.maximum(view.total("predicted"), 1)
    least, most = view.least("masked_accuracy_ratio"), view.most("masked_accuracy_ratio")
    samples = np.where(rows > 0, view.total("predicted"), 0)
    return Measures(value, view.total("correct"), least, most, samples)


def _perplexity(view: View) -> Measures:
    loss = mean_of(view, "loss")

    def exp(values: np.ndarray) -> np.ndarray:
        return np.exp(np.minimum(np.where(np.isfinite(values), values, 0.0), MAX_LOG_PERPLEXITY))

    return Measures(exp(loss.value), exp(loss.value), exp(loss.least), exp(loss.most), loss.samples)


def _tokens(name: str) -> Metric:
    def compute(view: View) -> Measures:
        total = view.total(name)
        return Measures(total, total, view.least(name), view.most(name), view.samples(name))

    return Metric(f"{name}_tokens", "quality", "tokens", _BOTH, "sum", f"StepSync.{name}", name, compute)


METRICS = (
    mean("loss", "quality", "nats", "StepSync.loss, each rank and step once; non-finite ones left out"),
    Metric(
        "perplexity", "quality", "ratio", _BOTH, "exp(mean loss)", "StepSync.loss; Jelinek et al., 1977",
        "loss", _perplexity,
    ),
    Metric(
        "masked_accuracy_ratio", "quality", "ratio", _BOTH,
        "sum of correct / sum of predicted; METRIC_SUM is correct, SAMPLES is predicted",
        "StepSync.correct, StepSync.predicted", "masked_accuracy_ratio", _accuracy,
    ),
    _tokens("correct"),
    _tokens("predicted"),
)  # fmt: skip
