"""What a metric sees of a window: named columns over the subjects of one kind, and a few things that only a job has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.accumulator import Accumulator
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.peers import peer_ratio
from gradcube.windows.samples import COLUMN, SKETCHED
from gradcube.windows.series import Subject
from gradcube.windows.sketch import LogSketch


@dataclass(frozen=True)
class View:
    """A window over n subjects; every array is (n,) or (n, columns). `sketches` and `new_steps` are a job's alone."""

    kind: str
    window_seconds: int
    subjects: list[Subject]
    columns: dict[str, int]
    sums: FloatArray
    counts: IntArray
    mins: FloatArray
    maxs: FloatArray
    straggle: FloatArray
    """The rank's mean compute time over its peers'; of a job the greatest over its ranks."""
    sketches: tuple[LogSketch | None, ...] = ()
    attempt_steps: IntArray | None = None
    """Steps that the attempt ended for the first time in this window."""
    new_steps: IntArray | None = None
    """Those of them that no earlier attempt had done."""

    def total(self, name: str) -> FloatArray:
        """Sum of the column's samples."""
        return self.sums[:, self.columns[name]]

    def samples(self, name: str) -> IntArray:
        """Number of the column's samples."""
        return self.counts[:, self.columns[name]]

    def least(self, name: str) -> FloatArray:
        """Least sample; infinite without any."""
        return self.mins[:, self.columns[name]]

    def most(self, name: str) -> FloatArray:
        """Greatest sample; infinite without any."""
        return self.maxs[:, self.columns[name]]

    def quantile(self, name: str, share: float) -> FloatArray:
        """From the job's sketch of the column; NaN for other subjects and without samples."""
        row = SKETCHED.index(name)
        found = [np.nan if s is None else s.quantile(share)[row] for s in self.sketches]
        return np.array(found) if found else np.full(len(self.subjects), np.nan)


def subject_view(
    kind: str, accumulator: Accumulator, subjects: list[Subject], columns: dict[str, int], window_seconds: int
) -> View:
    """The view over the series that have anything in this window, by attempt, then number, then name."""
    used = np.flatnonzero(accumulator.counts.any(axis=1))
    order = sorted(used.tolist(), key=lambda at: _order(subjects[at]))
    at = np.array(order, np.int64)
    chosen = [subjects[place] for place in order]
    view = View(
        kind, window_seconds, chosen, columns, accumulator.sums[at], accumulator.counts[at],
        accumulator.mins[at], accumulator.maxs[at], np.full(len(at), np.nan),
    )  # fmt: skip
    if kind == "rank" and columns is COLUMN:
        view.straggle[:] = _straggle(view)
    return view


def _order(subject: Subject) -> tuple[int, int, str]:
    return subject.attempt, int(subject.name) if subject.name.isdecimal() else -1, subject.name


def _straggle(ranks: View) -> FloatArray:
    at = ranks.columns["compute_seconds"]
    counts = ranks.counts[:, at]
    mean = np.where(counts > 0, ranks.sums[:, at] / np.maximum(counts, 1), np.nan)
    attempts = np.array([subject.attempt for subject in ranks.subjects], np.int64)
    stages = np.array([subject.stage for subject in ranks.subjects], np.int64)
    return peer_ratio(mean, attempts << 32 | stages)


def job_view(ranks: View, job: str, sketches: dict[int, LogSketch], steps: dict[int, tuple[int, int]]) -> View:
    """The view over the attempts of a job, from that over its ranks; `steps` is (attempt steps, new steps)."""
    attempts = sorted({subject.attempt for subject in ranks.subjects})
    owner = np.array([subject.attempt for subject in ranks.subjects], np.int64)
    groups = [np.flatnonzero(owner == attempt) for attempt in attempts]
    width = ranks.sums.shape[1]
    return View(
        "job",
        ranks.window_seconds,
        [Subject("job", attempt, job, "", 0) for attempt in attempts],
        ranks.columns,
        np.array([ranks.sums[at].sum(axis=0) for at in groups]).reshape(-1, width),
        np.array([ranks.counts[at].sum(axis=0) for at in groups], np.int64).reshape(-1, width),
        np.array([ranks.mins[at].min(axis=0) for at in groups]).reshape(-1, width),
        np.array([ranks.maxs[at].max(axis=0) for at in groups]).reshape(-1, width),
        np.array([_greatest(ranks.straggle[at]) for at in groups]),
        tuple(sketches.get(attempt) for attempt in attempts),
        np.array([steps.get(attempt, (0, 0))[0] for attempt in attempts], np.int64),
        np.array([steps.get(attempt, (0, 0))[1] for attempt in attempts], np.int64),
    )


def _greatest(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else float("nan")
