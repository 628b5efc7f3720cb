"""NVIDIA Resiliency Extension, straggler detection.

Source: usage guide (nvidia.github.io/nvidia-resiliency-ext/straggler_det/usage_guide.html): a section's score is the
reference's median time over the rank's; relative: the reference is the best rank of the job; individual: the rank's own
best so far; a straggler is below 0.75. It reports every 300 s; here every step, over the last 8 steps, which is kinder.
"""

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray
from tests.bench.diagnosis.recordings import Recording

THRESHOLD = 0.75
REPORT_STEPS = 8


def relative(recording: Recording) -> BoolArray:
    """Against the best rank of the job; of a lone rank it says nothing."""
    sections = [_medians(recording.grid(name)) for name in recording.own_phases()]
    return _any([section.min(axis=1, keepdims=True) / section < THRESHOLD for section in sections])


def individual(recording: Recording) -> BoolArray:
    """Against the rank's own best report."""
    sections = [_medians(recording.grid(name)) for name in recording.own_phases()]
    return _any([np.fmin.accumulate(section, axis=0) / section < THRESHOLD for section in sections])


def _any(flags: list[BoolArray]) -> BoolArray:
    flagged: BoolArray = np.logical_or.reduce(flags)
    return flagged


def _medians(seconds: FloatArray) -> FloatArray:
    """The median of the last steps, (s, r); NaN before there are enough."""
    medians = np.full_like(seconds, np.nan)
    if len(seconds) >= REPORT_STEPS:
        windows = np.lib.stride_tricks.sliding_window_view(seconds, REPORT_STEPS, axis=0)
        medians[REPORT_STEPS - 1 :] = np.median(windows, axis=-1)
    return medians
