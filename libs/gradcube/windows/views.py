"""What a metric sees of a window: named columns over the subjects of one kind, and the ranks that they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.samples import SKETCHED
from gradcube.windows.series import Subject
from gradcube.windows.settings import JobDescription
from gradcube.windows.sketch import LogSketch

Measured = tuple[float, float, float, float, float]
"""Value, sum, least, greatest and number of samples, as in Measures."""
PERCENTS = (50, 95, 99)


@dataclass(frozen=True)
class View:
    """A window over n subjects; every array is (n,) or (n, columns).

    A view of a job, of stages or of nodes is made of `parts`, and `owner` (parts,) says which subject each belongs to.
    """

    kind: str
    window_seconds: int
    subjects: list[Subject]
    columns: dict[str, int]
    sums: FloatArray
    counts: IntArray
    mins: FloatArray
    maxs: FloatArray
    sketch: LogSketch | None = None
    """Of the n subjects, a column for each of SKETCHED; None where the rows have no percentiles."""
    parts: "View | None" = None
    owner: IntArray | None = None
    course: tuple[Mapping[str, Measured], ...] = ()
    """Of each attempt of a job, what only those know who saw the windows before."""
    description: JobDescription = field(default_factory=lambda: JobDescription(""))

    def total(self, name: str) -> FloatArray:
        """Sum of the column's samples."""
        return self.sums[:, self.columns[name]]

    def samples(self, name: str) -> IntArray:
        """Number of the column's samples."""
        return self.counts[:, self.columns[name]]

    def mean(self, name: str) -> FloatArray:
        """Mean of the column's samples; NaN without any."""
        samples = self.samples(name)
        return np.where(samples > 0, self.total(name) / np.maximum(samples, 1), np.nan)

    def least(self, name: str) -> FloatArray:
        """Least sample; infinite without any."""
        return self.mins[:, self.columns[name]]

    def most(self, name: str) -> FloatArray:
        """Greatest sample; infinite without any."""
        return self.maxs[:, self.columns[name]]

    def percentile(self, name: str, percent: int) -> FloatArray:
        """From the sketch of the column; NaN without samples."""
        return self._percentiles[percent][:, SKETCHED.index(name)]

    @cached_property
    def _percentiles(self) -> dict[int, FloatArray]:
        assert self.sketch is not None, "only views of step records are asked"
        return {percent: self.sketch.quantile(percent / 100, len(self.subjects)) for percent in PERCENTS}

    def stages(self) -> IntArray:
        """(n,) attempt and stage of each subject, as one number."""
        attempts = np.array([subject.attempt for subject in self.subjects], np.int64)
        return attempts << 32 | np.array([subject.stage for subject in self.subjects], np.int64)

    def of_course(self, name: str) -> FloatArray:
        """(n, 5) Measured of each attempt; NaN, and 0 samples, for those that have none."""
        nothing = (np.nan, np.nan, np.nan, np.nan, 0.0)
        return np.array([own.get(name, nothing) for own in self.course], np.float64).reshape(-1, 5)

    @property
    def ranks(self) -> "View":
        """The parts; a view of ranks is its own."""
        return self.parts or self

    def greatest(self, values: FloatArray) -> FloatArray:
        """Of values of the ranks (ranks,) the greatest of each subject, (n,); NaN where none is known."""
        if self.owner is None:
            return values
        most = np.full(len(self.subjects), -np.inf)
        np.maximum.at(most, self.owner, np.where(np.isfinite(values), values, -np.inf))
        return np.where(np.isfinite(most), most, np.nan)
