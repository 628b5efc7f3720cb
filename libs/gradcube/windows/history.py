"""One number a step over the last few hundred steps: how unusual the next ones are, and where it all goes.

The values of a window's new steps come in, oldest first; what they mean against those before goes out.
"""

import base64

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import FloatArray
from gradcube.windows.views import Measured

STEPS = 256
"""OLMo 2 (arXiv 2501.00656) looks back over 1 000; ours is part of what every closing saves, so it is shorter."""
LEAST_STEPS = 64
"""As OLMo-core's skip_step_optimizer: of fewer steps nothing is unusual."""
SPIKE_SIGMAS = 7.0
"""OLMo 2's spike score counts what is that far from the rolling average."""
ROUNDING = 1e-6
"""Share of a value below which a difference is float32's own."""
_MAD_TO_SIGMA = 1.4826


class History:
    """The last STEPS values, as float32 so that what is saved is what was used: 1.4 kB."""

    def __init__(self, packed: str = "") -> None:
        self._values: NDArray[np.float32] = np.frombuffer(base64.b64decode(packed), "<f4")

    def advance(self, values: FloatArray) -> dict[str, Measured]:
        """The measures `robust_z`, `spike_ratio` and `trend` of new values (k,), as far as there are enough before."""
        values = values[np.isfinite(values)].astype(np.float32)
        before, self._values = self._values, np.concatenate([self._values, values])[-STEPS:]
        found = {}
        if len(values) and len(before) >= LEAST_STEPS:
            found["spike_ratio"] = _spikes(before.astype(np.float64), values.astype(np.float64))
            z = robust_z(before.astype(np.float64), values.astype(np.float64))
            if np.isfinite(z).all():
                found["robust_z"] = (z.max(), z.sum(), z.min(), z.max(), len(z))
        if len(values) and len(self._values) >= LEAST_STEPS:
            found |= _trend(self._values.astype(np.float64))
        return found

    def state(self) -> str:
        """The values, packed; `History(packed)` is the inverse."""
        return base64.b64encode(self._values.astype("<f4").tobytes()).decode()


def robust_z(before: FloatArray, values: FloatArray) -> FloatArray:
    """(x - median) / (1.4826 MAD) of each value against those before; not finite where those are all alike."""
    median = np.median(before)
    with np.errstate(divide="ignore", invalid="ignore"):
        z: FloatArray = (values - median) / (_MAD_TO_SIGMA * np.median(np.abs(before - median)))
    return z


def _spikes(before: FloatArray, values: FloatArray) -> Measured:
    """Share of the values that are far from the mean of the STEPS before each, in its standard deviations."""
    shifted = np.concatenate([before, values]) - before.mean()  # small numbers, so that the squares keep their digits
    sums, squares = np.cumsum(np.r_[0.0, shifted]), np.cumsum(np.r_[0.0, shifted**2])
    at = np.arange(len(before), len(shifted))
    start = np.maximum(at - STEPS, 0)
    mean = (sums[at] - sums[start]) / (at - start)
    variance = np.maximum((squares[at] - squares[start]) / (at - start) - mean**2, 0.0)
    spikes = np.abs(shifted[at] - mean) > SPIKE_SIGMAS * np.sqrt(variance) + ROUNDING * np.abs(before.mean())
    total = float(spikes.sum())
    return (total / len(at), total, float(spikes.min()), float(spikes.max()), len(at))


def _trend(values: FloatArray) -> dict[str, Measured]:
    """Slope of the least-squares line through the values per 1 000 steps, and over its standard error."""
    n = len(values)
    steps = np.arange(n) - (n - 1) / 2
    slope = float(steps @ values / (steps @ steps))
    rest = values - values.mean() - slope * steps
    deviation = float(np.sqrt(rest @ rest / (n - 2)))
    found = {"slope": _one(1000 * slope)}
    if deviation > ROUNDING * abs(float(values.mean())):
        found["slope_t"] = _one(slope / (deviation / float(np.sqrt(steps @ steps))))
    return found


def _one(value: float) -> Measured:
    return (value, value, value, value, 1)
