"""Units of one kind under watch: ranks, nodes, stages, replicas, links, or the job itself.

One value a unit and step comes in, the log of its time less what others explain; who is suspected goes out.
"""

import math

import numpy as np

from gradcube.diagnosis.slow.history import FAR_OUT, HISTORY_STEPS, History
from gradcube.diagnosis.slow.settings import StragglerSettings
from gradcube.windows.columns import BoolArray, FloatArray, IntArray

KEPT_STEPS = 64
BORNE_OUT = 0.65
FEW_UNITS = 16
STEADY_STEPS, STEADY_SIGMAS = 3, 4.0
"""Steps that show a new level, and how far apart they may lie: the range of three Gaussian values is below 4 sigma in
98 % of all cases."""
PINNED_STEPS = 96
"""A unit that is suspected for so long without a finding has another level now, too near to be worth a word."""


class Family:
    """A CUSUM for each unit, all at once; arrays are (units,).

    Page 1954: the excess over the unit's reference in sigma, less the slack, summed and never below 0.
    `reference` is the level unless the detector knows better. `least_steps` is how many steps an alarm rests on at
    the least.
    """

    def __init__(self, kind: str, units: int, settings: StragglerSettings, least_steps: int) -> None:
        self.kind = kind
        self.settings = settings
        self._least_steps = least_steps
        self.history = History(units, settings.min_noise)
        self.reference: FloatArray | None = None
        self.total = np.zeros(units)
        self._pinned = np.zeros(units, np.int64)
        self._recent = np.full((units, KEPT_STEPS), np.nan, np.float32)
        self._frames = 0

    def __len__(self) -> int:
        return len(self.total)

    @property
    def open_at(self) -> float:
        """The sum that is an alarm: `settings.open_at` for a few units, more for many.

        A job of a thousand ranks must not cry wolf a thousand times as often, so each doubling of the units halves
        the rate of each: exp(-2 x slack x open_at) a unit and step, Siegmund's approximation.
        """
        more = max(1.0, len(self.total) / FEW_UNITS)
        return self.settings.open_at + math.log(more) / (2 * self.settings.slack)

    def base(self) -> FloatArray:
        """What each unit's value is compared with."""
        return self.history.level if self.reference is None else self.reference

    def judge(self, values: FloatArray, shift: FloatArray | float = 0.0) -> IntArray:
        """Adds a step; the units whose sum is high enough for an alarm. `shift` is what open episodes explain."""
        cap, open_at = self._cap(), self.open_at
        excess: FloatArray = values - self.base() - shift
        self._recent[:, self._frames % KEPT_STEPS] = excess
        self._frames += 1
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = np.minimum(np.maximum(excess / self.history.scale - self._slack(), -2 * open_at), cap)
        moved = np.where(np.isfinite(moved), moved, 0.0)
        self.total = np.minimum(np.maximum(self.total + moved, 0.0), open_at + cap)
        self._pinned = np.where(self.total > open_at / 2, self._pinned + 1, 0)
        alarmed: IntArray = np.flatnonzero(self.total >= open_at)
        return alarmed

    def learn(self, values: FloatArray, healthy: BoolArray) -> None:
        """Takes the step into the history of the units that nobody suspects."""
        self.history.take(values, healthy & (self.total <= self.open_at / 2))
        for unit in np.flatnonzero(self._pinned >= PINNED_STEPS).tolist():
            self.history.relearn(unit, self.recent(unit, KEPT_STEPS) + float(self.base()[unit]))
            self.clear(np.array([unit]))

    def recent(self, unit: int, steps: int) -> FloatArray:
        """The last excesses of a unit, oldest first."""
        steps = min(steps, self._frames, KEPT_STEPS)
        at = (self._frames - steps + np.arange(steps)) % KEPT_STEPS
        return np.asarray(self._recent[unit, at], np.float64)

    def recents(self, units: IntArray, steps: int) -> FloatArray:
        """The last excesses of several units, (len(units), steps), oldest first."""
        steps = min(steps, self._frames, KEPT_STEPS)
        at = (self._frames - steps + np.arange(steps)) % KEPT_STEPS
        return self._recent[np.ix_(units, at)].astype(np.float64)

    def slow_steps(self, unit: int) -> int:
        """How many steps the unit has been slow for, 0 when its last steps do not bear that out.

        The onset is where the mean of all that follows stands out most, sum / sqrt(n); no step counts for more than
        FAR_OUT sigmas. The last step must still be slow, more than half of the steps since then slower than
        `min_ratio`, there must be `least_steps` of them, and without the slowest one they must still be most of an
        alarm: an outlier and some noise after it are none.
        """
        excess = np.nan_to_num(self.recent(unit, KEPT_STEPS))
        z = np.clip(excess / self.history.scale[unit], -FAR_OUT / 2, FAR_OUT)[::-1]
        steps = int(np.argmax(np.cumsum(z) / np.sqrt(np.arange(1, len(z) + 1)))) + 1
        low_median = np.sort(excess[-steps:])[(steps - 1) // 2]
        is_over = excess[-1] < np.median(excess[-steps:]) / 2
        if is_over or steps < self._least_steps or low_median < np.log(self.settings.min_ratio):
            return 0
        moved = np.minimum(z[:steps] - self._slack()[unit], self._cap())
        others = float(moved.sum() - moved.max())
        return steps if steps == 2 or others >= BORNE_OUT * self.open_at else 0

    def new_level_steps(self, unit: int) -> int:
        """STEADY_STEPS when so many last steps are one new level of the unit, else 0.

        Each lies FAR_OUT above the usual, they differ from one another no more than healthy steps do, and the history
        has seen too few far-out steps to make three in a row likely. Pauses vary: in healthy 405B runs the second step
        of one is half as slow as the first, or less.
        """
        excess, scale = self.recent(unit, STEADY_STEPS), self.history.scale[unit]
        if len(excess) < STEADY_STEPS or not np.isfinite(excess).all():
            return 0
        youth = float(self._slack()[unit]) - self.settings.slack
        least = max((FAR_OUT + youth) * scale, math.log(self.settings.min_ratio))
        is_steady = excess.min() >= least and np.ptp(excess) <= STEADY_SIGMAS * scale
        is_believed = STEADY_STEPS * self.history.cap(self.settings.slack) >= self.open_at
        return STEADY_STEPS if is_steady and is_believed else 0

    def _slack(self) -> FloatArray:
        """What a unit's excess must lie above to count, in sigmas: more while its level is uncertain."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.settings.slack + self.settings.youth / np.sqrt(self.history.counts))

    def _cap(self) -> float:
        """The most that one step may count for."""
        return min(self.open_at / self._least_steps, self.history.cap(self.settings.slack))

    def clear(self, units: IntArray) -> None:
        """Takes back all suspicion of these units."""
        self.total[units] = 0.0
        self._pinned[units] = 0

    def forget(self, units: IntArray, steps: int) -> None:
        """The last steps of these units were not healthy: takes back suspicion and what was learned of them."""
        self.clear(units)
        for unit in units.tolist():
            self.history.forget(unit, min(steps, HISTORY_STEPS))
            at = (self._frames - min(steps, KEPT_STEPS) + np.arange(min(steps, KEPT_STEPS))) % KEPT_STEPS
            self._recent[unit, at] = np.nan

    def moved(self, old_to_new: IntArray, units: int) -> "Family":
        """The same family with unit i at old_to_new[i] of `units`."""
        other = Family(self.kind, units, self.settings, self._least_steps)
        other.history = self.history.moved(old_to_new, units)
        for name in ("total", "_pinned", "_recent"):
            getattr(other, name)[old_to_new] = getattr(self, name)
        other._frames = self._frames
        return other
