"""Whether a step was other work than usual: a batch or a sequence length that changed is no slow-down."""

import math

from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.medians import SlidingMedian, median
from gradcube.events import COUNT_FIELDS, MISSING
from gradcube.windows.columns import FloatArray

KEPT_STEPS = 64
LEAST_CHANGE = 0.02
SPREADS = 6.0
LASTING_STEPS = 3
"""So many changed steps in a row are a new normal."""
COUNTS = ("tokens", "samples", "batch_size")
COUNT_PLACES = [COUNT_FIELDS.index(name) for name in COUNTS]


class Workload:
    """Tokens, samples and batch size of the median rank, against their last steps."""

    def __init__(self) -> None:
        self._logs = [SlidingMedian(KEPT_STEPS) for _ in COUNTS]
        self._changed = 0

    def look(self, frame: StepFrame) -> bool:
        """Whether this step is other work than usual."""
        logs = [_log_median(frame.column(name)) for name in COUNTS]
        if all(map(math.isnan, logs)) and (frame.counts[:, COUNT_PLACES] == MISSING).all():
            return False
        changed = len(self._logs[0]) >= LASTING_STEPS and any(map(_differs, logs, self._logs))
        self._changed = self._changed + 1 if changed else 0
        if not changed:
            for log, usual in zip(logs, self._logs, strict=True):
                usual.append(log)
        return changed

    def has_settled(self) -> bool:
        """Whether the change lasts; it is what is usual from then on."""
        settled = self._changed >= LASTING_STEPS
        if settled:
            for usual in self._logs:
                usual.clear()
            self._changed = 0
        return settled


def _differs(log: float, usual: SlidingMedian) -> bool:
    change = abs(log - usual.value)
    return change > LEAST_CHANGE and change > SPREADS * usual.deviation


def _log_median(values: FloatArray) -> float:
    """Over the ranks that did any work; NaN when none is known to."""
    middle = median(values[values > 0])
    return math.log(middle) if middle > 0 else math.nan
