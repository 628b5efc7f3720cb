"""What is usual for units of one kind: the level of each, and the noise of a step around it.

Values of steps (units,) come in, those of suspects left out; levels and scales go out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.diagnosis.medians import median
from gradcube.windows.columns import BoolArray, FloatArray, IntArray

HISTORY_STEPS = 128
REFRESH_CELLS = 1 << 16
"""Cells of the history that are sorted anew at a time: bounds the cost, so that many units are refreshed in turn."""
YOUNG_STEPS, REFRESH_STEPS = 16, 4
"""A history is sorted anew at each step while it is young, later at every fourth."""
SPREAD_SHARE, SPREAD_SIGMAS = 0.8, 1.2816
"""Sigma is the 80 % quantile of the absolute deviations over that of Gaussian noise. Their median (MAD) would be too
small here: centers nearest to no change leave many deviations at 0. One step in five may be an outlier."""
PRIOR_STEPS = 32
"""A unit's own scale counts as much as that of all units together once it rests on so many steps."""
PRIOR_CORRELATION, PRIOR_PAIRS = 0.3, 20
MAX_CORRELATION = 0.8
PRIOR_SEEN, TAIL_STEPS = 900, 512
"""Noise is taken to be without far-out steps until one is seen: as if so many had been seen already. A job remembers
for so many steps that it has had some."""
FAR_OUT = 5.4
"""Sigmas whose likelihood ratio, with a slack of 0.75, is 1 000 to 1."""


class History:
    """The last healthy steps of many units; arrays are (units,).

    A scale is the noise of one step that counts for a sum over many: steps follow one another (lag-1 correlation
    0.5-0.65 in public traces of parameter-server jobs), so a sum scatters more, by sqrt((1 + r) / (1 - r)). A
    unit's own scale is drawn to that of all of them, and raised by what so few values leave open.
    """

    def __init__(self, units: int, min_noise: float) -> None:
        self._min_noise = min_noise
        self._ring = np.full((units, HISTORY_STEPS), np.nan, np.float32)
        self.level = np.zeros(units)
        self.scale = np.full(units, np.inf)
        self.counts = np.zeros(units, np.int64)
        self.steps = 0
        self.measured = 0
        """How often levels have been found anew."""
        self._sigma = np.full(units, np.nan)
        self._turn = 0
        self._before = np.full(units, np.nan)
        self._pairs = self._squares = self._seen = self._beyond = 0.0
        self._fresh_beyond = np.zeros(units, bool)

    def take(self, values: FloatArray, healthy: BoolArray) -> None:
        """Adds a step of the units that are healthy."""
        known = healthy & np.isfinite(values)
        kept = np.where(known, values, np.nan)
        at = self.steps % HISTORY_STEPS
        self.counts += known
        self.counts -= np.isfinite(self._ring[:, at])
        self._ring[:, at] = kept
        self.steps += 1
        self._note(kept, int(np.count_nonzero(known)))
        if self.steps <= YOUNG_STEPS or self.steps % REFRESH_STEPS == 0:
            self._refresh()

    def count_beyond(self, steps: int) -> None:
        """So many steps were far out and meant nothing."""
        self._beyond += steps

    def forget(self, unit: int, steps: int) -> None:
        """Takes the last steps of a unit out again: they were not healthy after all."""
        self._fresh_beyond[unit] = False
        at = (self.steps - 1 - np.arange(min(steps, HISTORY_STEPS, self.steps))) % HISTORY_STEPS
        self._ring[unit, at] = np.nan
        self.counts[unit] = np.isfinite(self._ring[unit]).sum()
        self._measure(np.array([unit]))

    def relearn(self, unit: int, values: FloatArray) -> None:
        """Makes these values all that is known of a unit's level; the noise stays what it was."""
        self._ring[unit] = np.nan
        kept = values[-HISTORY_STEPS:]
        at = (self.steps - 1 - np.arange(len(kept))) % HISTORY_STEPS
        self._ring[unit, at] = kept
        self.counts[unit] = np.isfinite(self._ring[unit]).sum()
        self._measure(np.array([unit]))

    def cap(self, slack: float) -> float:
        """How much one step may count: the log of how rarely healthy steps were FAR_OUT, in units of the CUSUM.

        A likelihood ratio from the Gaussian tail is worth nothing where tails are heavier; what the units of this kind
        have shown together bounds it. The last step is not in it yet: it may be the first of an episode.
        """
        return math.log((self._seen + PRIOR_SEEN) / (self._beyond + 1)) / (2 * slack)

    def moved(self, old_to_new: IntArray, units: int) -> "History":
        """The same history with unit i at old_to_new[i] of `units`."""
        other = History(units, self._min_noise)
        for name in ("_ring", "level", "scale", "counts", "_sigma", "_before", "_fresh_beyond"):
            getattr(other, name)[old_to_new] = getattr(self, name)
        new = np.setdiff1d(np.arange(units), old_to_new)
        other.scale[new] = float(np.median(self.scale)) if len(self.scale) else np.inf
        other.steps, other._pairs, other._squares = self.steps, self._pairs, self._squares
        other._seen, other._beyond = self._seen, self._beyond
        return other

    def _note(self, kept: FloatArray, num_known: int) -> None:
        """Correlation and tails, fading."""
        if not np.count_nonzero(np.isfinite(self._sigma)):
            self._before = np.full(len(kept), np.nan)
            return
        fade = 1 - 1 / HISTORY_STEPS
        with np.errstate(invalid="ignore"):
            excess = kept - self.level
            z = np.minimum(np.maximum(excess / np.maximum(self._sigma, 1e-9), -3), 3)
            beyond = excess > FAR_OUT * self.scale
        pairs = np.isfinite(z) & np.isfinite(self._before)
        now, before = z[pairs], self._before[pairs]
        self._pairs = fade * self._pairs + float(now @ before)
        self._squares = fade * self._squares + float(now @ now + before @ before) / 2
        fade = 1 - 1 / TAIL_STEPS
        self._seen = fade * self._seen + num_known
        self._beyond = fade * self._beyond + np.count_nonzero(self._fresh_beyond)
        self._fresh_beyond = beyond
        self._before = z

    def _refresh(self) -> None:
        units, rows = len(self.level), min(self.steps, HISTORY_STEPS)
        chunk = min(units, max(1, REFRESH_CELLS // rows))
        self._measure((self._turn + np.arange(chunk)) % units)
        self._turn = (self._turn + chunk) % units
        known = self._sigma[np.isfinite(self._sigma)]
        if not len(known):
            return
        together, samples = median(known), float(self.counts.sum())
        weight = self.counts / (self.counts + PRIOR_STEPS)
        own = np.where(np.isfinite(self._sigma), self._sigma, together)
        sigma = np.sqrt(weight * own**2 + (1 - weight) * together**2) * (1 + 2 / math.sqrt(max(samples, 1.0)))
        self.scale = np.maximum(self._min_noise, sigma * self._memory_factor())

    def _measure(self, units: IntArray) -> None:
        """Median, and sigma, of these units' histories."""
        self.measured += 1
        rows = self._ring[units, : min(self.steps, HISTORY_STEPS)]
        finite = np.isfinite(rows).sum(axis=1)
        level = _quantiles(rows, finite, 0.5)
        known = np.isfinite(level)
        self.level[units[known]] = level[known]
        count = np.maximum(self.counts[units], 1)
        # A median fitted to n values is nearer to them than the true one.
        sigma = _quantiles(np.abs(rows - level[:, None]), finite, SPREAD_SHARE) / SPREAD_SIGMAS * (1 + 1 / count)
        self._sigma[units] = np.where(count >= 4, sigma, np.nan)

    def _memory_factor(self) -> float:
        pairs = self._pairs + PRIOR_CORRELATION * PRIOR_PAIRS
        correlation = min(max(pairs / (self._squares + PRIOR_PAIRS), 0.0), MAX_CORRELATION)
        return math.sqrt((1 + correlation) / (1 - correlation))


def _quantiles(rows: NDArray[Any], counts: IntArray, share: float) -> FloatArray:
    """A quantile of each row, NaN left out; NaN for a row without any. `counts` says how many numbers each has."""
    ordered, last = np.sort(rows, axis=1), np.maximum(counts - 1, 0)
    place = share * last
    low = place.astype(np.int64)
    high = np.minimum(low + 1, last)
    at, part = np.arange(len(rows)), place - low
    result: FloatArray = ordered[at, low] * (1 - part) + ordered[at, high] * part
    return result
