"""OLMo-core's SkipStepOptimizer: loss or gradient norm more than 6 sigma over the mean of the last 128 steps.

Source: OLMo-core, `optim/skip_step_optimizer.py`: sigma_factor 6, rolling_interval_length 128, from 64 steps on.
"""

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray
from tests.bench.diagnosis.comparators.windows import before

SIGMAS = 6.0
WINDOW_STEPS = 128
NEEDED_STEPS = 64


def flags(loss: FloatArray, grad_norm: FloatArray | None) -> BoolArray:
    """Up at every step that it would skip."""
    beyond = np.zeros(len(loss), bool)
    for values in (loss,) if grad_norm is None else (loss, grad_norm):
        mean, sigma = before(values, WINDOW_STEPS, NEEDED_STEPS)
        beyond |= values - mean > SIGMAS * sigma
    return beyond
