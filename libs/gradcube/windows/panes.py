"""One pane: everything that windows need to know about a short span of event time. Panes add up to windows."""

from collections.abc import Iterable

import numpy as np

from gradcube.windows.accumulator import Accumulator
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import RESOURCE_FLOATS, SERVER_FLOATS
from gradcube.windows.samples import COLUMN, SKETCHED, STEP_COLUMNS
from gradcube.windows.sketch import LogSketch

_SKETCHED_AT = [COLUMN[name] for name in SKETCHED]


class Pane:
    """Sums, sketches and steps of one span; also of a window, which is panes merged."""

    def __init__(self) -> None:
        self.steps = Accumulator(len(STEP_COLUMNS))
        self.resources = Accumulator(len(RESOURCE_FLOATS))
        self.nodes = Accumulator(len(RESOURCE_FLOATS))
        self.servers = Accumulator(len(SERVER_FLOATS))
        self.sketches: dict[int, LogSketch] = {}
        """By attempt; one row for each of SKETCHED."""
        self.seen_steps: dict[int, list[IntArray]] = {}
        """By attempt: distinct steps of each batch."""

    def add_steps(self, series: IntArray, samples: FloatArray, attempt: IntArray, step: IntArray) -> None:
        """Adds rows: `samples` is (rows, STEP_COLUMNS), the others (rows,)."""
        self.steps.add(series, samples)
        for own in np.unique(attempt).tolist():
            rows = attempt == own
            self.sketches.setdefault(own, LogSketch(len(SKETCHED))).add(samples[rows][:, _SKETCHED_AT])
            self.seen_steps.setdefault(own, []).append(np.unique(step[rows]))

    def distinct_steps(self, attempt: int) -> IntArray:
        """The steps that any rank of the attempt ended here, ascending."""
        seen = self.seen_steps.get(attempt, [])
        return np.unique(np.concatenate(seen)) if seen else np.empty(0, np.int64)

    def merge(self, other: "Pane") -> None:
        """Adds all that the other one holds."""
        for name in ("steps", "resources", "nodes", "servers"):
            getattr(self, name).merge(getattr(other, name))
        for attempt, sketch in other.sketches.items():
            self.sketches.setdefault(attempt, LogSketch(len(SKETCHED))).merge(sketch)
        for attempt, seen in other.seen_steps.items():
            self.seen_steps.setdefault(attempt, []).extend(seen)


def merged(panes: Iterable[Pane]) -> Pane:
    """The panes of one window as one."""
    whole = Pane()
    for pane in panes:
        whole.merge(pane)
    return whole
