"""Frames: all ranks' records of one step, side by side, and what is known of the step that is not complete yet."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradcube.diagnosis.medians import median
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.windows.columns import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class StepFrame:
    """One step of one attempt: r ranks, ascending. `floats` is (r, 13), `counts` (r, 8), the other arrays (r,).

    `floats` and `counts` are as in StepRows; so are `seq`, `dropped` and `bucket_absmax`, for what they tell about the
    monitor and the gradients.
    """

    job: str
    attempt: int
    step: int
    at_micros: int
    """Median over the ranks, so that one wrong clock does not move it."""
    rank: NDArray[np.int32]
    stage: NDArray[np.int32]
    replica: NDArray[np.int32]
    node: NDArray[np.object_]
    floats: NDArray[np.float32]
    counts: IntArray
    seq: IntArray
    dropped: IntArray
    bucket_absmax: NDArray[np.float32]
    _medians: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def column(self, name: str) -> FloatArray:
        """A float or a count of all ranks by its name in the schema, (r,); NaN where it was not measured.

        Made once for all detectors, and read-only therefore.
        """
        return self._columns[name]

    def median(self, name: str) -> float:
        """The median of a column over the ranks that have a finite value, NaN without any: the job's own number.

        One wrong rank does not move it. Found once for all detectors.
        """
        if name not in self._medians:
            self._medians[name] = median(self._columns[name])
        return self._medians[name]

    @cached_property
    def _columns(self) -> dict[str, FloatArray]:
        floats, counts = np.array(self.floats.T, np.float64, order="C"), np.ascontiguousarray(self.counts.T)
        known = np.where(counts == MISSING, np.nan, counts)
        for columns in (floats, known):
            columns.setflags(write=False)
        return dict(zip((*FLOAT_FIELDS, *COUNT_FIELDS), (*floats, *known), strict=True))


@dataclass(frozen=True)
class Waiting:
    """What the next step to come out is waiting for. `step` is None when no record of a further step has come.

    `present` and `known` are the assembler's own sets: to be looked at, not kept.
    """

    step: int | None
    present: AbstractSet[int]
    """Ranks whose record of the step is there."""
    known: AbstractSet[int]
    """All ranks that are waited for."""
    last_step: int
    """The last step that came out, -1 before the first."""
    last_micros: int
    """Its time."""

    @cached_property
    def missing(self) -> frozenset[int]:
        """Known ranks whose record of the step is not there."""
        return frozenset(self.known - self.present)
