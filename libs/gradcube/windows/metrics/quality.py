"""Quality: how well the model does, in training and where it was evaluated."""

import numpy as np

from gradcube.windows.columns import FloatArray
from gradcube.windows.metrics.declare import OF_STEPS, Measures, Metric, count, mean, mean_of, of_course
from gradcube.windows.side_samples import EVALUATED
from gradcube.windows.views import View

MAX_LOG_PERPLEXITY = 700.0
"""exp of more is not a double; a loss like that is a diverged run, which `loss` shows."""
_UNITS = {"loss": "nats"}


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

    def exp(values: FloatArray) -> FloatArray:
        return np.exp(np.minimum(np.where(np.isfinite(values), values, 0.0), MAX_LOG_PERPLEXITY))

    return Measures(exp(loss.value), exp(loss.value), exp(loss.least), exp(loss.most), loss.samples)


def _tokens(name: str) -> Metric:
    def compute(view: View) -> Measures:
        total = view.total(name)
        return Measures(total, total, view.least(name), view.most(name), view.samples(name))

    return Metric(f"{name}_tokens", "quality", "tokens", OF_STEPS, "sum", f"StepSync.{name}", name, compute)


def _evaluation(name: str) -> Metric:
    def compute(view: View) -> Measures:
        total, samples = view.total(f"{name}_weighted"), view.total(f"{name}_samples")
        column = f"evaluation_{name}"
        return Measures(total / np.maximum(samples, 1), total, view.least(column), view.most(column), samples)

    return Metric(
        f"evaluation_{name}", "quality", _UNITS.get(name, "ratio"), ("job", "dataset"),
        "sum of value x samples / sum of samples; the extremes are single evaluations'",
        f"Evaluation.value where metric is {name}", f"evaluation_{name}", compute,
    )  # fmt: skip


def _best_evaluation(name: str) -> Metric:
    pick = "least" if name in ("loss", "perplexity") else "greatest"
    return of_course(
        f"best_evaluation_{name}", f"best_evaluation_{name}", "quality", _UNITS.get(name, "ratio"),
        f"{pick} of all windows so far, over all attempts", f"evaluation_{name}", f"evaluation_{name}",
    )  # fmt: skip


METRICS = (
    mean("loss", "quality", "nats", "StepSync.loss, each rank and step once; non-finite ones left out"),
    Metric(
        "perplexity", "quality", "ratio", OF_STEPS, "exp(mean loss)", "StepSync.loss; Jelinek et al., 1977",
        "loss", _perplexity,
    ),
    Metric(
        "masked_accuracy_ratio", "quality", "ratio", OF_STEPS,
        "sum of correct / sum of predicted; METRIC_SUM is correct, SAMPLES is predicted",
        "StepSync.correct, StepSync.predicted", "masked_accuracy_ratio", _accuracy,
    ),
    _tokens("correct"),
    _tokens("predicted"),
    of_course(
        "best_loss", "best_loss", "quality", "nats", "least of all windows so far, over all attempts", "loss", "loss",
    ),
    of_course(
        "best_masked_accuracy_ratio", "best_masked_accuracy_ratio", "quality", "ratio",
        "greatest of all windows so far, over all attempts", "masked_accuracy_ratio", "masked_accuracy_ratio",
    ),
    *(_evaluation(name) for name in EVALUATED),
    *(_best_evaluation(name) for name in EVALUATED),
    of_course(
        "generalisation_gap", "generalisation_gap", "quality", "nats",
        "evaluation_loss - loss of the same window, or of the last one before that trained",
        "Goodfellow et al., Deep Learning, 2016, 5.2", "evaluation_loss",
    ),
    count(
        "unknown_evaluations", "quality", f"Evaluation records of a metric other than {', '.join(EVALUATED)}",
        ("job", "dataset"),
    ),
)  # fmt: skip
