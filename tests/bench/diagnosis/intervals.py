"""95 % confidence intervals: of a rate by Wilson, of a mean by bootstrap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959964
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, of `count` observations; all NaN of none."""

    value: float
    low: float
    high: float
    count: int

    def text(self, scale: float = 1.0, digits: int = 1) -> str:
        """`98.2 (96.1-99.2)`, a dash for nothing."""
        if not self.count:
            return "-"
        value, low, high = (f"{x * scale:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low}-{high})"


def rate(hits: int, count: int) -> Estimate:
    """A share with Wilson's interval (1927), which is honest near 0 and 1."""
    if not count:
        return Estimate(math.nan, math.nan, math.nan, 0)
    share = hits / count
    middle = share + Z_95**2 / (2 * count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    scale = 1 + Z_95**2 / count
    return Estimate(share, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale), count)


def mean(values: Sequence[float]) -> Estimate:
    """A mean with the percentile bootstrap's interval; the resampling has a fixed seed."""
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan, 0)
    own = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).integers(0, len(own), (RESAMPLES, len(own)))
    low, high = np.quantile(own[draws].mean(axis=1), (0.025, 0.975))
    return Estimate(float(own.mean()), float(low), float(high), len(own))
