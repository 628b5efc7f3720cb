"""Megatron-LM's rerun state machine: a loss over ten times the largest seen is "spiky".

Source: Megatron-LM, `rerun_state_machine.py` (is_unexpectedly_large, threshold 10). Warm-up: 100 steps, as
loss falls.
"""

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray

MULTIPLIER = 10.0
WARMUP_STEPS = 100


def flags(loss: FloatArray, grad_norm: FloatArray | None) -> BoolArray:
    """Up at every spiky step; the gradient norm is not looked at."""
    largest = np.concatenate([[np.inf], np.maximum.accumulate(loss)[:-1]])
    spiky: BoolArray = loss > MULTIPLIER * largest
    spiky[:WARMUP_STEPS] = False
    return spiky
