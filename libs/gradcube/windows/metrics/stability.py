"""Stability: norms, staleness, unusual steps, and numbers that are none."""

from gradcube.windows.metrics.declare import OF_STEPS, Measures, Metric, count, mean, mean_of, of_course, percentile
from gradcube.windows.views import PERCENTS, View

_HISTORY = "the {0} of each step, mean over its ranks, against the 256 steps before"


def _greatest_staleness(view: View) -> Measures:
    all_of = mean_of(view, "staleness")
    return Measures(all_of.most, all_of.total, all_of.least, all_of.most, all_of.samples)


def _followed(name: str, unit: str) -> tuple[Metric, ...]:
    of = _HISTORY.format(name)
    return (
        of_course(
            f"{name}_robust_z", f"{name}_robust_z", "stability", "sigmas",
            f"greatest (x - median) / (1.4826 MAD): {of}; SUM and extremes are of single steps",
            "Iglewicz and Hoaglin, 1993; from 64 steps on, as OLMo-core", name,
        ),
        of_course(
            f"{name}_spike_ratio", f"{name}_spike_ratio", "stability", "ratio",
            f"share of steps more than 7 standard deviations from the mean: {of}; METRIC_SUM is the steps",
            "spike score of OLMo 2, arXiv 2501.00656 (over 1 000 steps there)", name,
        ),
        of_course(
            f"{name}_slope_per_1000_steps", f"{name}_slope", "stability", f"{unit} per 1 000 steps",
            f"least squares over the last 256 steps, the {name} of each the mean over its ranks", f"StepSync.{name}",
            name,
        ),
        of_course(
            f"{name}_slope_t", f"{name}_slope_t", "stability", "standard errors",
            f"{name}_slope_per_1000_steps over its standard error; a plateau where it stays within 2 of 0",
            f"StepSync.{name}", name,
        ),
    )  # fmt: skip


METRICS = (
    mean("grad_norm", "stability", "2-norm", "StepSync.grad_norm: the rank's own gradient, before reduction"),
    mean("global_grad_norm", "stability", "2-norm", "StepSync.global_grad_norm: the reduced gradient"),
    mean("update_norm", "stability", "2-norm", "StepSync.update_norm"),
    mean("param_norm", "stability", "2-norm", "StepSync.param_norm"),
    mean("update_ratio", "stability", "ratio", "StepSync.update_norm / param_norm of each step"),
    mean("learning_rate", "stability", "ratio", "StepSync.learning_rate"),
    mean("staleness", "stability", "versions", "StepSync.staleness"),
    *(percentile("staleness", percent, "stability", "versions", ("job", "stage")) for percent in PERCENTS),
    Metric(
        "staleness_max", "stability", "versions", OF_STEPS, "greatest", "StepSync.staleness",
        "staleness", _greatest_staleness,
    ),
    mean("staleness_max", "stability", "versions", "ServerSync.staleness: greatest of each version", ("shard",)),
    count(
        "nonfinite_count", "stability",
        "StepSync.nonfinite, or the infinite loss and norms of a record that does not count them",
    ),
    mean(
        "reliable_output_ratio", "stability", "ratio",
        "share of step records whose loss, gradient and norms are all finite numbers", ("job", "stage"),
    ),
    mean(
        "clipped_ratio", "stability", "ratio",
        "share of the step records with a norm whose global_grad_norm is above the job's Lifecycle.grad_clip_norm, or "
        "grad_norm above own_grad_clip_norm; none for a job that does not say how it clips. A monitor takes grad_norm "
        "every tenth step, global_grad_norm is what the loop passes: both from before the clipping",
    ),
    of_course(
        "parameter_convergence_ratio", "parameter_convergence", "stability", "ratio",
        "update_ratio / greatest update_ratio of all windows so far: 1 while the parameters still move most, near 0 "
        "when they have settled",
        "relative change of the parameters, ||dW|| / ||W||", "update_ratio",
    ),
    *_followed("loss", "nats"),
    *_followed("grad_norm", "2-norm"),
)  # fmt: skip
