"""The last steps' times of all ranks, kept for the evidence of a finding."""

from collections import deque

import numpy as np

from gradcube.diagnosis.frames import StepFrame
from gradcube.windows.columns import FloatArray, IntArray

SIGNALS = ("data_seconds", "forward_seconds", "backward_seconds", "sync_wait_seconds", "cpu_seconds", "step_seconds")
KEPT_STEPS = 48
"""With 8 192 ranks 9 MB."""


class Recording:
    """SIGNALS of the last steps, a (ranks, signals) matrix each."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, np.ndarray]] = deque(maxlen=KEPT_STEPS)

    def add(self, frame: StepFrame, columns: IntArray, ranks: int) -> None:
        """Keeps a frame whose ranks have these columns among `ranks`."""
        matrix = np.full((ranks, len(SIGNALS)), np.nan, np.float32)
        matrix[columns] = np.array([frame.column(name) for name in SIGNALS]).T
        self._steps.append((frame.step, matrix))

    def move(self, old_to_new: IntArray, ranks: int) -> None:
        """Gives the ranks the columns that they have from now on."""
        for _ in range(len(self._steps)):
            step, matrix = self._steps.popleft()
            wider = np.full((ranks, len(SIGNALS)), np.nan, np.float32)
            wider[old_to_new] = matrix
            self._steps.append((step, wider))

    def medians(self, columns: IntArray, first: int, end: int | None = None) -> dict[str, float]:
        """Of each signal that was measured, the median over these ranks and the steps first <= step < end."""
        kept = [m[columns] for step, m in self._steps if step >= first and (end is None or step < end)]
        if not kept or not len(columns):
            return {}
        values: FloatArray = np.concatenate(kept).astype(np.float64)
        found = {}
        for at, name in enumerate(SIGNALS):
            finite = values[np.isfinite(values[:, at]), at]
            if len(finite):
                found[name] = float(np.median(finite))
        return found
