"""How views are made: of the series of one kind, and of groups of the subjects of another view."""

import numpy as np

from gradcube.windows.accumulator import Accumulator
from gradcube.windows.columns import IntArray
from gradcube.windows.series import Subject
from gradcube.windows.sketch import LogSketch
from gradcube.windows.views import View


def subject_view(
    kind: str,
    accumulator: Accumulator,
    subjects: list[Subject],
    columns: dict[str, int],
    window_seconds: int,
    sketch: LogSketch | None = None,
) -> View:
    """The view over the series that have anything in this window, by attempt, then number, then name."""
    used = np.flatnonzero(accumulator.counts.any(axis=1))
    order = sorted(used.tolist(), key=lambda at: _order(subjects[at]))
    at = np.array(order, np.int64)
    return View(
        kind,
        window_seconds,
        [subjects[place] for place in order],
        columns,
        accumulator.sums[at],
        accumulator.counts[at],
        accumulator.mins[at],
        accumulator.maxs[at],
        None if sketch is None else sketch.grouped(_places(at, len(subjects))),
    )


def grouped_view(kind: str, parts: View, group_of: list[Subject]) -> View:
    """The view over groups of subjects; `group_of` (parts,) is the subject that each part belongs to."""
    subjects = sorted(set(group_of), key=_order)
    place = {subject: at for at, subject in enumerate(subjects)}
    owner = np.array([place[subject] for subject in group_of], np.int64)
    shape = (len(subjects), len(parts.columns))
    sums, counts = np.zeros(shape), np.zeros(shape, np.int64)
    mins, maxs = np.full(shape, np.inf), np.full(shape, -np.inf)
    np.add.at(sums, owner, parts.sums)
    np.add.at(counts, owner, parts.counts)
    np.minimum.at(mins, owner, parts.mins)
    np.maximum.at(maxs, owner, parts.maxs)
    sketch = None if parts.sketch is None else parts.sketch.grouped(owner)
    return View(kind, parts.window_seconds, subjects, parts.columns, sums, counts, mins, maxs, sketch, parts, owner)


def job_view(parts: View, job: str) -> View:
    """The view over the attempts of a job; a part that names no attempt counts for the first."""
    return grouped_view("job", parts, [Subject("job", max(part.attempt, 0), job, "", 0) for part in parts.subjects])


def stage_view(ranks: View) -> View:
    """The view over the pipeline stages of each attempt."""
    return grouped_view(
        "stage", ranks, [Subject("stage", rank.attempt, str(rank.stage), "", rank.stage) for rank in ranks.subjects]
    )


def node_view(ranks: View) -> View:
    """The view over the nodes that ranks run on; the stage of a node is not known."""
    return grouped_view(
        "node", ranks, [Subject("node", rank.attempt, rank.node, rank.node, -1) for rank in ranks.subjects]
    )


def _places(at: IntArray, num_series: int) -> IntArray:
    place = np.full(num_series, -1, np.int64)
    place[at] = np.arange(len(at))
    return place


def _order(subject: Subject) -> tuple[int, int, str]:
    return subject.attempt, int(subject.name) if subject.name.isdecimal() else -1, subject.name
