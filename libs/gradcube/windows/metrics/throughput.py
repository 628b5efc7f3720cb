"""Throughput: how much gets done, and how much of the time went into getting on."""

import numpy as np

from gradcube.windows.columns import FloatArray
from gradcube.windows.metrics.declare import OF_STEPS, Measures, Metric, of_course, of_value, single
from gradcube.windows.metrics.peaks import peak_flops
from gradcube.windows.views import View

FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""Forward 2, backward 4 (Kaplan et al., arXiv 2001.08361, 2.1); attention left out, as in PaLM's 6N."""


def _rate(name: str, column: str, source: str) -> Metric:
    def compute(view: View) -> Measures:
        total = _of_busiest_stage(view, column)
        value = total / view.window_seconds
        return Measures(value, total, value, value, view.samples(column))

    return Metric(
        name, "throughput", "per second", OF_STEPS,
        f"sum of {column} / window seconds; METRIC_SUM is the sum; of a job that of the stage with the most, since "
        "each token passes through all",
        source, column, compute,
    )  # fmt: skip


def _of_busiest_stage(view: View, column: str) -> FloatArray:
    if view.kind != "job":
        return view.total(column)
    stages, first, inverse = np.unique(view.ranks.stages(), return_index=True, return_inverse=True)
    sums = np.bincount(inverse, view.ranks.total(column), len(stages))
    most = np.zeros(len(view.subjects))
    assert view.owner is not None, "a job is made of ranks"
    np.maximum.at(most, view.owner[first], sums)
    return most


def _mfu(view: View) -> Measures:
    """No value without a known model, known hardware and tokens."""
    peak, parameters = peak_flops(view.description.hardware), view.description.model_parameters
    if not peak or parameters <= 0:
        return single(np.full(len(view.subjects), np.nan))
    assert view.owner is not None, "a job is made of ranks"
    gpus = np.bincount(view.owner, view.ranks.samples("step_seconds") > 0, len(view.subjects))
    tokens = _of_busiest_stage(view, "tokens") / view.window_seconds
    value = FLOPS_PER_PARAMETER_AND_TOKEN * parameters * tokens / (peak * np.maximum(gpus, 1))
    return single(np.where((view.samples("tokens") > 0) & (gpus > 0), value, np.nan))


def _steps_per_second(view: View) -> Measures:
    steps = view.of_course("steps")[:, 0]
    value = steps / view.window_seconds
    return Measures(value, steps, value, value, view.samples("step_seconds"))


def _goodput(view: View) -> Measures:
    """At most 1: a step that began in the window before counts whole in the one where it ended."""
    busy = view.of_course("new_steps")[:, 0] * view.percentile("step_seconds", 50)
    value = np.minimum(busy / view.window_seconds, 1.0)
    return Measures(value, busy, value, value, view.samples("step_seconds"))


def _per_second(name: str, column: str, unit: str, source: str) -> Metric:
    return Metric(
        name, "throughput", unit, ("job", "shard"), f"sum of {column} / window seconds; METRIC_SUM is the sum", source,
        column, lambda view: of_value(view, column, view.total(column) / view.window_seconds),
    )  # fmt: skip


METRICS = (
    _rate("tokens_per_second", "tokens", "StepSync.tokens, padding left out"),
    _rate("samples_per_second", "samples", "StepSync.samples"),
    Metric(
        "mfu_ratio", "throughput", "ratio", ("job",),
        "6 x model parameters x tokens_per_second / (peak FLOP/s of HARDWARE x ranks), one GPU a rank; peaks are dense "
        "BF16 or FP16 and listed in `metrics/peaks.py` with their sources; no row for other hardware",
        "Chowdhery et al., PaLM, arXiv 2204.02311, appendix B", "tokens", _mfu,
    ),
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
    of_course(
        "ettr_ratio", "ettr", "throughput", "ratio",
        "step_seconds of all steps beyond every earlier one of any attempt / seconds since the job's first window "
        "began, at most 1; METRIC_SUM is the effective seconds",
        "effective training time ratio, cumulative: ByteRobust, SOSP 2025", "step_seconds",
    ),
    of_course(
        "ettr_1h_ratio", "ettr_1h", "throughput", "ratio",
        "the same over the minute in which the window ends and the 59 before, or since the job's first window",
        "effective training time ratio, sliding hour: ByteRobust, SOSP 2025", "step_seconds",
    ),
    _per_second("versions_per_second", "versions", "versions per second", "ServerSync: applied versions"),
    _per_second("pushed_bytes_per_second", "pushed_bytes", "bytes per second", "ServerSync.bytes"),
)  # fmt: skip
