"""Throughput: how much gets done, and how much of the time went into getting on."""

import numpy as np

from gradcube.windows.metrics.declare import Measures, Metric, rate
from gradcube.windows.views import View


def _steps_per_second(view: View) -> Measures:
    assert view.attempt_steps is not None, "only a job's view is asked"
    steps = view.attempt_steps.astype(np.float64)
    value = steps / view.window_seconds
    return Measures(value, steps, value, value, view.samples("step_seconds"))


def _goodput(view: View) -> Measures:
    """At most 1: a step that began in the window before counts whole in the one where it ended."""
    assert view.new_steps is not None, "only a job's view is asked"
    busy = view.new_steps * view.quantile("step_seconds", 0.5)
    value = np.minimum(busy / view.window_seconds, 1.0)
    return Measures(value, busy, value, value, view.samples("step_seconds"))


METRICS = (
    rate("tokens_per_second", "tokens", "StepSync.tokens, padding left out"),
    rate("samples_per_second", "samples", "StepSync.samples"),
    Metric(
        "steps_per_second", "throughput", "per second", ("job",),
        "steps that the attempt ended for the first time, on any rank / window seconds; METRIC_SUM is the steps",
        "StepSync.step", "step_seconds", _steps_per_second,
    ),
    Metric(
        "goodput_ratio", "throughput", "ratio", ("job",),
        "steps beyond every earlier one of any attempt x median step_seconds / window seconds, at most 1; "
        "METRIC_SUM is the seconds",
        "useful new steps' time over elapsed time, as DLRover's goodput", "step_seconds", _goodput,
    ),
)  # fmt: skip
