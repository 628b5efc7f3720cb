"""A training curve step by step: the loss or gradient norm of a whole job, and how far each step lies outside.

A value a step comes in; its excursion above the curve's own trend, and the limits that its own past sets, go out.
"""

import math

from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.gradients.largest import Largest
from gradcube.diagnosis.medians import SlidingMedian

TREND_STEPS = 32
SPREAD_STEPS = 256
REFRESH_STEPS = 4
YOUNG_STEPS = 32
MAD_TO_SIGMA = 1.4826
"""Of Gaussian noise, the standard deviation over the median absolute deviation."""


def job_gradient_norm(frame: StepFrame) -> float:
    """The norm of the reduced gradient; where it was not measured, that of the ranks' own."""
    reduced = frame.median("global_grad_norm")
    return reduced if math.isfinite(reduced) else frame.median("grad_norm")


class Curve:
    """The logarithm of a positive value over healthy steps: its trend, its noise, its largest excursions.

    The trend is the median of the last 32 steps; the median of what lies between it and the next step is taken off as
    well, which follows a steady fall. `sigma` is 1.4826 MAD over 256 steps, not below `min_sigma`, and before 32 steps
    not below `young_sigma`. About 10 us a step; memory for at most 2 x 2 048 numbers.
    """

    def __init__(self, min_sigma: float, young_sigma: float) -> None:
        self._min_sigma = min_sigma
        self._young_sigma = young_sigma
        self._logs = SlidingMedian(TREND_STEPS)
        self._residuals = SlidingMedian(2 * TREND_STEPS)
        self._excursions = SlidingMedian(SPREAD_STEPS)
        self._singles = Largest()
        self._pairs = Largest()
        self._before = 0.0
        self._drift = 0.0
        self._trend = 0.0
        self._taken = 0
        self.sigma = young_sigma

    @property
    def level(self) -> float:
        """Where the curve is expected to go on, in its own unit; NaN before the first step."""
        return math.exp(self._trend) if self._taken else math.nan

    def excursion(self, value: float) -> float:
        """log of the value over the trend; 0 before the first step, and for a value that is not positive."""
        return math.log(value) - self._trend if self._taken and value > 0 else 0.0

    def single_limit(self, sigmas: float, floor: float) -> float:
        """Above which one step alone is news: so many sigma, and 1.5 x the largest of the last 2 048 steps."""
        return max(floor, sigmas * self.sigma, self._singles.news)

    def pair_limit(self, sigmas: float, floor: float) -> float:
        """As `single_limit`, for two steps in a row."""
        return max(floor, sigmas * self.sigma, self._pairs.news)

    def take(self, value: float) -> None:
        """Adds a healthy step; a value that is not positive is left out."""
        if not value > 0:
            return
        excursion, log = self.excursion(value), math.log(value)
        if self._taken:
            self._residuals.append(excursion + self._drift)
            self._excursions.append(excursion)
        if self._taken >= YOUNG_STEPS:
            self.remember(excursion)
            self._pairs.take(min(excursion, self._before))
        self._logs.append(log)
        self._before = excursion
        self._taken += 1
        if self._taken % REFRESH_STEPS == 0:
            self._refresh()
        self._trend = self._logs.value + self._drift

    def remember(self, excursion: float) -> None:
        """Teaches the tail an excursion of one step that was healthy after all."""
        self._singles.take(excursion)

    def _refresh(self) -> None:
        young = len(self._excursions) < YOUNG_STEPS
        self._drift = 0.0 if young else self._residuals.value
        sigma = MAD_TO_SIGMA * self._excursions.deviation
        self.sigma = max(sigma, self._young_sigma if young else self._min_sigma)


class Regime:
    """Whether the batch or the sequences have another size than before, which moves loss and gradient for good."""

    def __init__(self) -> None:
        self._batch_size = math.nan
        self._length = Curve(min_sigma=0.01, young_sigma=0.05)

    def has_changed(self, frame: StepFrame) -> bool:
        """The batch size differs, or tokens a sample do by more than variable lengths explain (1.25 x, 6 sigma)."""
        batch_size = frame.median("batch_size")
        tokens, samples = frame.median("tokens"), frame.median("samples")
        changed = batch_size != self._batch_size and not math.isnan(batch_size + self._batch_size)
        if not math.isnan(batch_size):
            self._batch_size = batch_size
        if tokens > 0 and samples > 0:
            length = tokens / samples
            if abs(self._length.excursion(length)) > self._length.single_limit(6.0, math.log(1.25)):
                self._length = Curve(min_sigma=0.01, young_sigma=0.05)
                changed = True
            self._length.take(length)
        return changed
