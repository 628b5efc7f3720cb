"""By how much each rank's number leaves its stage peers', beyond its own usual difference and their scatter.

One number a rank and step comes in; excesses, the job's noise and runs of steps outside go out.
"""

from collections.abc import Collection

import numpy as np

from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.loss.training_curve import MAD_TO_SIGMA
from gradcube.diagnosis.medians import median
from gradcube.diagnosis.rank_memory import RankMemory
from gradcube.windows.columns import BoolArray, FloatArray
from gradcube.windows.peers import peer_median

LEARN_STEPS = 32
"""A rank's usual difference is the mean of so many steps, then follows with a weight of 1 in 32."""


class PeerDeviation:
    """Own level, noise and run of one signal. Ranks without two stage peers have none. 1.2 ms with 8 192 ranks.

    `sigma` is 1.4826 MAD over the ranks of a step, averaged over steps; not below `min_sigma`. A rank that is outside
    teaches nothing. Of the last step, (r,): `excess`, the number less the peers' median and the rank's own usual
    difference, NaN where unknown; whether that is `outside`; for how many steps in a row it has been, `run`; and who
    was `held`.
    """

    def __init__(self, min_sigma: float) -> None:
        self._min_sigma = min_sigma
        self._memory = RankMemory()
        self._level = self._memory.field(0.0)
        self._seen = self._memory.field(0.0)
        self._run = self._memory.field(0.0)
        self._sigma_steps = 0
        self.sigma = min_sigma
        self.peers: FloatArray = np.empty(0)
        self.excess: FloatArray = np.empty(0)
        self.run: FloatArray = np.empty(0)
        self.outside: BoolArray = np.empty(0, np.bool_)
        self.held: BoolArray = np.empty(0, np.bool_)

    def take(self, frame: StepFrame, values: FloatArray, limits: tuple[float, float], held: Collection[int]) -> None:
        """One step of a signal, (r,). Outside is beyond the first limit, and the second times the noise, either way.

        Ranks that are `held` teach nothing, and stay outside until they are within half of that.
        """
        at = self._memory.columns(frame.rank)
        self.held = np.isin(frame.rank, list(held)) if held else np.zeros(len(at), np.bool_)
        self.peers = peer_median(values, frame.stage)
        difference = values - self.peers
        self.excess = np.where(self._seen.values[at] >= LEARN_STEPS, difference - self._level.values[at], np.nan)
        limit = max(limits[0], limits[1] * self.sigma)
        self.outside = np.abs(self.excess) > np.where(self.held, limit / 2, limit)
        self._run.values[at] = np.where(self.outside, self._run.values[at] + 1, 0.0)
        self.run = self._run.values[at]
        self._learn(at, difference, np.isfinite(difference) & ~self.outside & ~self.held)

    def pass_over(self, frame: StepFrame) -> None:
        """A step with so few ranks that none has enough peers: nobody's run of steps goes on."""
        at = self._memory.columns(frame.rank)
        self._run.values[at] = 0.0

    def trust(self, ranks: Collection[int]) -> None:
        """Takes ranks for usually equal to their peers: those that were outside when an earlier process ended."""
        at = self._memory.columns(np.array(list(ranks), np.int32))
        self._seen.values[at] = LEARN_STEPS

    def _learn(self, at: np.ndarray, difference: FloatArray, healthy: BoolArray) -> None:
        if not healthy.any():
            return
        own, moved = at[healthy], difference[healthy] - self._level.values[at[healthy]]
        weight = 1 / (1 + np.minimum(self._seen.values[own], LEARN_STEPS - 1))
        self._level.values[own] += weight * moved
        self._seen.values[own] += 1
        if self._seen.values[own].max() > 2:  # the first differences are the ranks' own levels, no noise
            self._sigma_steps += 1
            scatter = MAD_TO_SIGMA * median(np.abs(moved))
            self.sigma += (scatter - self.sigma) / min(self._sigma_steps, LEARN_STEPS)
            self.sigma = max(self.sigma, self._min_sigma)
