"""ZClip: z of the gradient norm over 2.5, against exponential means with alpha 0.97.

Source: Kumar et al., arXiv 2504.02507: warm-up 25 steps; a spike enters the means clipped to mu + 2.5 ** 2 / z sigma.
Where there is no gradient norm, the same rule on loss.
"""

import math

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray

Z = 2.5
ALPHA = 0.97
WARMUP_STEPS = 25


def flags(loss: FloatArray, grad_norm: FloatArray | None) -> BoolArray:
    """Up at every step that it would clip."""
    values = loss if grad_norm is None else grad_norm
    spikes = np.zeros(len(values), bool)
    mean, variance = float(values[:WARMUP_STEPS].mean()), float(values[:WARMUP_STEPS].var())
    for at in range(WARMUP_STEPS, len(values)):
        x, sigma = float(values[at]), math.sqrt(variance) + 1e-6
        z = (x - mean) / sigma
        if z > Z:
            spikes[at] = True
            x = mean + Z**2 / z * sigma
        mean = ALPHA * mean + (1 - ALPHA) * x
        variance = ALPHA * variance + (1 - ALPHA) * (x - mean) ** 2
    return spikes
