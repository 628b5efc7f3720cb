"""Whether a loss has gone up for good: where most of its last steps lie against the best level that it has had.

The loss of a job comes in, step by step; whether it is up, since when and by how much goes out.
"""

import math
from collections import deque

import numpy as np

from gradcube.diagnosis.episodes import Moment
from gradcube.diagnosis.loss.training_curve import MAD_TO_SIGMA
from gradcube.diagnosis.medians import SlidingMedian, median

WINDOW_STEPS = 48
MOST_STEPS = 40
"""Of the window: a spike of BLOOM's kind is over after 30 steps, and single steps far out do not decide."""
REFRESH_STEPS = 8


class LossLevel:
    """The level of a loss (median of the last 48 steps) against its lowest so far, in logarithms.

    "Up" is above the lowest level by the larger of log(`min_ratio`) and `sigmas` times the noise of one step. About
    5 us a step; memory for 48 steps.
    """

    def __init__(self, min_ratio: float = 1.10, sigmas: float = 4.0) -> None:
        self.set_limit(min_ratio, sigmas)
        self._steps: deque[tuple[Moment, float]] = deque(maxlen=WINDOW_STEPS)
        self._logs = SlidingMedian(WINDOW_STEPS)
        self._best = math.inf
        self._sigma = 0.0
        self._taken = 0

    def set_limit(self, min_ratio: float, sigmas: float) -> None:
        """Another limit from here on."""
        self._min_rise = math.log(min_ratio)
        self._sigmas = sigmas

    def take(self, loss: float, moment: Moment) -> None:
        """Adds a step; a loss that is not positive has no logarithm and is left out."""
        if not 0 < loss < math.inf:
            return
        self._steps.append((moment, math.log(loss)))
        self._logs.append(math.log(loss))
        self._taken += 1
        if self._taken % REFRESH_STEPS == 0 and len(self._steps) == WINDOW_STEPS:
            self._refresh()

    def remember_best(self, level: float) -> None:
        """The best level of before, in the loss's unit."""
        self._best = min(self._best, math.log(level))

    @property
    def is_up(self) -> bool:
        """Whether most of the last steps lie above the limit."""
        return self._count_up() >= MOST_STEPS

    @property
    def is_down(self) -> bool:
        """Whether most of the last steps lie below the limit."""
        return len(self._steps) - self._count_up() >= MOST_STEPS

    @property
    def rose_at(self) -> Moment:
        """The first of the last steps that lies above the limit."""
        return next(moment for moment, log in self._steps if log > self._limit)

    @property
    def fell_at(self) -> Moment:
        """The first of the last steps that lies below it."""
        return next(moment for moment, log in self._steps if log <= self._limit)

    @property
    def level(self) -> float:
        """The present level, in the loss's unit."""
        return math.exp(self._logs.value)

    @property
    def best(self) -> float:
        """The lowest level so far, in the loss's unit; infinite before 48 steps."""
        return math.exp(self._best)

    @property
    def ratio(self) -> float:
        """The present level over the best one."""
        return self.level / self.best

    def _count_up(self) -> int:
        return self._logs.count_above(self._limit)

    @property
    def _limit(self) -> float:
        return self._best + max(self._min_rise, self._sigmas * self._sigma)

    def _refresh(self) -> None:
        logs = np.array([log for _, log in self._steps])
        # Of the differences of neighbours, which a rise does not widen.
        self._sigma = MAD_TO_SIGMA * median(np.abs(np.diff(logs))) / math.sqrt(2)
        self._best = min(self._best, self._logs.value)
