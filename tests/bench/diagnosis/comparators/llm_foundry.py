"""llm-foundry's KillLossSpike: loss over twice the mean of the last 100 steps.

Source: llm-foundry, `kill_loss_spike_callback.py`: outlier_multiplier 2, window 100 when full. It acts on the fifth
outlier in a row (patience 4); here the first counts, which is kinder.
"""

from gradcube.windows.columns import BoolArray, FloatArray
from tests.bench.diagnosis.comparators.windows import before

MULTIPLIER = 2.0
WINDOW_STEPS = 100


def flags(loss: FloatArray, grad_norm: FloatArray | None) -> BoolArray:
    """Up at every outlier; the gradient norm is not looked at."""
    mean, _ = before(loss, WINDOW_STEPS, WINDOW_STEPS)
    outlier: BoolArray = loss > MULTIPLIER * mean
    return outlier
