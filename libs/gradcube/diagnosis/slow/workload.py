"""Whether a step was other work than usual: a batch or a sequence length that changed is no slow-down."""

from collections import deque

import numpy as np

from gradcube.diagnosis.frames import StepFrame
from gradcube.events import COUNT_FIELDS, MISSING

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
        self._logs: deque[np.ndarray] = deque(maxlen=KEPT_STEPS)
        self._changed = 0

    def look(self, frame: StepFrame) -> bool:
        """Whether this step is other work than usual."""
        if (frame.counts[:, COUNT_PLACES] == MISSING).all():
            return False
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log([_median(frame.column(name)) for name in COUNTS])
        changed = bool(len(self._logs) >= LASTING_STEPS and self._differs(logs))
        self._changed = self._changed + 1 if changed else 0
        if not changed:
            self._logs.append(logs)
        return changed

    def has_settled(self) -> bool:
        """Whether the change lasts; it is what is usual from then on."""
        settled = self._changed >= LASTING_STEPS
        if settled:
            self._logs.clear()
            self._changed = 0
        return settled

    def _differs(self, logs: np.ndarray) -> bool:
        usual = np.median(self._logs, axis=0)
        spread = np.median(np.abs(np.array(self._logs) - usual), axis=0)
        return bool((np.abs(logs - usual) > np.maximum(LEAST_CHANGE, SPREADS * spread)).any())


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values) & (values > 0)]
    return float(np.median(finite)) if len(finite) else float("nan")
