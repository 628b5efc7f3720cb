"""Episodes: from the step at which someone is named to the step at which all is well again."""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.slow.settings import StragglerSettings
from gradcube.windows.columns import FloatArray, IntArray

KEPT_STEPS = 64
FRESH_STEPS = 16
"""An estimate that moved is reported again after so many steps, not only after `update_steps`."""
MOVED_RATIO = 1.03


@dataclass
class Episode:
    """An open finding about the units of `kind` (rank, node, stage, replica, link, job), and what will close it."""

    kind: str
    finding: Finding
    columns: IntArray
    """Of the ranks that it is about."""
    reported_step: int
    slow_step: int
    """The last step at which the subject was not on its way back to normal."""
    restored: bool = False
    relief: float = 0.0
    absent: int = 0
    excesses: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_STEPS))

    @property
    def excess(self) -> float:
        """Log of how much slower it is."""
        return float(np.median(self.excesses)) if self.excesses else math.log(self.finding.magnitude)

    def follow(self, excess: float, scale: float, step: int, settings: StragglerSettings) -> bool:
        """Adds a step; whether the episode is over.

        The mirror image of opening: a CUSUM of how far the subject is below half of its slow-down, to which a step
        adds at most 1. NaN is a step without a report.
        """
        if not np.isfinite(excess):
            self.absent += 1
            return self.absent >= settings.absent_steps
        self.absent = 0
        half = self.excess / 2
        z = (half - excess) / min(scale, half)
        self.relief = max(0.0, self.relief + min(max(z, -2.0), 1.0))
        if self.relief == 0.0:
            self.slow_step = step
        if excess > half:
            self.excesses.append(excess)
        return self.relief >= settings.close_at

    def keep_last(self, steps: int) -> None:
        """The subject has become slower still: only the last steps say by how much."""
        self.excesses = deque(list(self.excesses)[-steps:], KEPT_STEPS)

    def is_due(self, step: int, scale: float, settings: StragglerSettings) -> bool:
        """Whether to say again how it stands: it is time, or the estimate has moved by more than noise."""
        since = step - self.reported_step
        moved = abs(self.excess - math.log(self.finding.magnitude)) > max(math.log(MOVED_RATIO), 2 * scale)
        due = since >= settings.update_steps or (moved and since >= FRESH_STEPS)
        return due and self.relief == 0.0


OWN_KINDS = ("rank", "node", "stage", "replica")


def shifts(episodes: list[Episode], ranks: int, kinds: tuple[str, ...] = OWN_KINDS) -> FloatArray:
    """What open episodes of these kinds explain of each rank's log time, (ranks,)."""
    shift = np.zeros(ranks)
    for episode in episodes:
        if episode.kind in kinds:
            np.add.at(shift, episode.columns, episode.excess)
    return shift
