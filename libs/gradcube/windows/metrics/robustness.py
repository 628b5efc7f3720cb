"""Robustness: whether the records themselves can be trusted, and who holds the others up."""

import numpy as np

from gradcube.windows.metrics.declare import Measures, Metric, count, mean
from gradcube.windows.views import View


def _straggle(view: View) -> Measures:
    value = view.straggle
    return Measures(value, value, value, value, np.where(np.isfinite(value), 1, 0))


METRICS = (
    count("records", "step records counted in the window"),
    count("dropped_records", "StepSync.dropped: what the monitor could not send"),
    count("late_records", "came after their window was written; counted in the one that was open"),
    count("duplicate_records", "the same attempt, rank and seq under another offset"),
    mean("clock_skew_seconds", "robustness", "seconds", "rank's clock less the broker's, of corrected records"),
    Metric(
        "straggle_ratio", "robustness", "ratio", ("job", "rank"),
        "mean compute_seconds of the rank / median of the other ranks of its stage; of a job the greatest",
        "Lin et al., OSDI 2025", "compute_seconds", _straggle,
    ),
)  # fmt: skip
