"""What is normal for a job: each rank's own level against its peers, and how much steps scatter around it.

Log ratios of healthy steps come in; levels and one scale go out.
"""

import math

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray, IntArray

HISTORY_STEPS = 128
REFRESH_STEPS = 4
MAD_TO_SIGMA = 1.4826
"""Of Gaussian noise, the standard deviation over the median absolute deviation."""
MAX_CORRELATION = 0.8


class Baseline:
    """The last healthy steps of a job's ranks; a rank's column stays its own.

    `level` (ranks,) is a rank's usual log ratio, from 0 to `max_level`: a rank that is 5 % slower for good is as it
    is; one that is 2 x slower from its first step is still slow; and one that was faster may become like the others.
    `scale` is the noise of one step that counts for a sum over many: steps follow one another (lag-1 correlation
    0.5-0.65 in public traces of parameter-server jobs), so their sum scatters more than that of independent ones.
    """

    def __init__(self, max_level: float, min_scale: float) -> None:
        self._max_level = max_level
        self._min_scale = min_scale
        self._history = np.full((HISTORY_STEPS, 0), np.nan)
        self._column: dict[int, int] = {}
        self._steps = 0
        self._levels = np.empty(0)
        self.scale = float("inf")

    @property
    def steps(self) -> int:
        """How many steps have been taken in."""
        return self._steps

    def columns(self, rank: IntArray) -> IntArray:
        """The column of each rank, (ranks,); new ranks get one."""
        for new in [r for r in rank.tolist() if r not in self._column]:
            self._column[new] = len(self._column)
        missing = len(self._column) - len(self._levels)
        if missing:
            self._history = np.pad(self._history, ((0, 0), (0, missing)), constant_values=np.nan)
            self._levels = np.pad(self._levels, (0, missing))
        return np.array([self._column[r] for r in rank.tolist()], np.int64)

    def level(self, columns: IntArray) -> FloatArray:
        """The ranks' own levels, log of a ratio; 0 for a rank without history."""
        levels: FloatArray = self._levels[columns]
        return levels

    def take(self, columns: IntArray, log_ratio: FloatArray, healthy: BoolArray) -> None:
        """Adds one step of the ranks that are healthy."""
        row = self._history[self._steps % HISTORY_STEPS]
        row[:] = np.nan
        row[columns[healthy]] = log_ratio[healthy]
        self._steps += 1
        if self._steps % REFRESH_STEPS == 0:
            self._refresh()

    def _refresh(self) -> None:
        seen = np.isfinite(self._history).any(axis=0)
        median = np.zeros(len(self._levels))
        if seen.any():
            median[seen] = np.nanmedian(self._history[:, seen], axis=0)
        self._levels = np.clip(median, 0.0, self._max_level)
        single = self._history - median
        sigma = _sigma(single)
        self.scale = max(self._min_scale, sigma * _memory_factor(np.clip(single, -3 * sigma, 3 * sigma)))


def _sigma(residuals: FloatArray) -> float:
    finite = residuals[np.isfinite(residuals)]
    return MAD_TO_SIGMA * float(np.median(np.abs(finite))) if len(finite) else 0.0


def _memory_factor(residuals: FloatArray) -> float:
    """sqrt((1 + r) / (1 - r)) of the lag-1 correlation r over (steps, ranks): by how much sums scatter more."""
    before, after = residuals[:-1].ravel(), residuals[1:].ravel()
    both = np.isfinite(before) & np.isfinite(after)
    spread = float(np.sum(before[both] ** 2 + after[both] ** 2)) / 2
    if spread == 0:
        return 1.0
    correlation = min(max(float(np.sum(before[both] * after[both])) / spread, 0.0), MAX_CORRELATION)
    return math.sqrt((1 + correlation) / (1 - correlation))
