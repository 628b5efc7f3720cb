"""One pane: everything that windows need to know about a short span of event time. Panes add up to windows."""

from collections.abc import Iterable

import numpy as np

from gradcube.windows.accumulator import Accumulator
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.samples import COLUMN, SKETCHED, STEP_COLUMNS
from gradcube.windows.side_samples import EVALUATION_COLUMNS, RESOURCE_COLUMNS, SERVER_COLUMNS
from gradcube.windows.sketch import LogSketch
from gradcube.windows.step_table import StepTable

_SKETCHED_AT = [COLUMN[name] for name in SKETCHED]


class Pane:
    """Sums, sketches and steps of one span; also of a window, which is panes merged."""

    def __init__(self) -> None:
        self.steps = Accumulator(len(STEP_COLUMNS))
        self.resources = Accumulator(len(RESOURCE_COLUMNS))
        self.nodes = Accumulator(len(RESOURCE_COLUMNS))
        self.servers = Accumulator(len(SERVER_COLUMNS))
        self.evaluations = Accumulator(len(EVALUATION_COLUMNS))
        self.sketch = LogSketch(len(SKETCHED))
        """By series of ranks; one column for each of SKETCHED."""
        self.by_step: dict[int, StepTable] = {}
        """By attempt; wanted by the job's windows alone."""

    def add_steps(self, series: IntArray, samples: FloatArray, attempt: IntArray, step: IntArray) -> None:
        """Adds rows: `samples` is (rows, STEP_COLUMNS), the others (rows,)."""
        self.steps.add(series, samples)
        self.sketch.add(series, samples[:, _SKETCHED_AT])
        for own in np.unique(attempt).tolist():
            rows = attempt == own
            self.by_step.setdefault(own, StepTable()).add(step[rows], samples[rows])

    def merge(self, other: "Pane") -> None:
        """Adds all that the other one holds."""
        for name in ("steps", "resources", "nodes", "servers", "evaluations", "sketch"):
            getattr(self, name).merge(getattr(other, name))
        for attempt, table in other.by_step.items():
            self.by_step.setdefault(attempt, StepTable()).merge(table)


def merged(panes: Iterable[Pane]) -> Pane:
    """The panes of one window as one."""
    whole = Pane()
    for pane in panes:
        whole.merge(pane)
    return whole
