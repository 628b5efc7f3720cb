"""The event-time windows of one job: rows of all its sources in, closed windows and their facts out.

Everything is decided by the rows' offsets and times, so that the same rows give the same facts, in one run or over
any number of restarts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from gradcube.events import Fact
from gradcube.windows.admission import Admission, Judged, Source
from gradcube.windows.clocks import Clocks
from gradcube.windows.columns import FloatArray, IntArray, Table
from gradcube.windows.facts import facts_of
from gradcube.windows.panes import Pane, merged
from gradcube.windows.progress import Progress
from gradcube.windows.rows import ResourceRows, ServerRows, StepRows
from gradcube.windows.samples import bookkeeping, step_samples
from gradcube.windows.sequences import SeenSequences
from gradcube.windows.series import SeriesTable
from gradcube.windows.settings import MICROS, JobDescription, WindowSettings
from gradcube.windows.views import View
from gradcube.windows.windowing import node_views, rank_views, shard_views, whole_job_view

T = TypeVar("T", bound=Table)


@dataclass(frozen=True)
class Added:
    """What became of a batch of step rows.

    `accepted` rows count in a window; `duplicate` ones were read before, or sent twice; `late` ones came after
    their window was written: they go to the dead-letter topic and are counted in the window that was open.
    `max_event_micros` is what a watermark wants to know (0 for no row); `newest_pane_micros` is the newest pane that
    the batch counts in: once `unwritten_from_micros` has passed it, the batch need not be fed again after a restart.
    """

    accepted: int
    duplicate: int
    late: Table
    max_event_micros: int
    newest_pane_micros: int | None


@dataclass(frozen=True)
class ClosedWindow:
    """A window that nothing will be added to: `views` are of the job, or of its ranks, nodes and shards."""

    start_micros: int
    window_seconds: int
    views: tuple[View, ...]


class JobWindows:
    """Windows of one job; one owner, one thread.

        windows = JobWindows(WindowSettings(), job="bert")
        added = windows.add(rows, ("gradcube.steps", 3))
        closed = windows.close(watermark_micros)
        facts = windows.facts(closed, JobDescription("bert"))
        saved = windows.state()          # together with the facts

    After a restart: `restore(saved)`, then feed all rows again from the oldest batch whose `newest_pane_micros` is not
    below `unwritten_from_micros`, and `close` only when the replay is back where `state` was taken.
    """

    def __init__(self, settings: WindowSettings, job: str = "") -> None:
        self._settings = settings
        self._job = job
        self._pane_micros = settings.pane_seconds * MICROS
        self._admission = Admission()
        self._clocks = Clocks(settings.clock_grace_seconds)
        self._sequences = SeenSequences()
        self._progress = Progress()
        self._panes: dict[int, Pane] = {}
        self._subjects_until = 0
        self._ranks = SeriesTable("rank")
        self._nodes = SeriesTable("node")
        self._shards = SeriesTable("shard")

    @property
    def open_windows(self) -> int:
        """Panes that hold something that is not yet written for all subjects."""
        return len(self._panes)

    @property
    def unwritten_from_micros(self) -> int:
        """Start of the oldest pane that may still be part of a window to write; 0 before the first close."""
        return self._subjects_until

    def add(self, rows: StepRows, source: Source) -> Added:
        """Adds step records; their offsets within `source` ascend. The caller may feed any rows again."""
        self._job = self._job or rows.job
        fresh = self._admission.fresh(source, rows.offset)
        known = int((~fresh).sum())
        rows = rows.take(fresh) if known else rows
        event = self._event_micros(rows, source)
        judged = self._judge(rows, event, source)
        series = self._ranks.ids(rows.attempt, rows.rank, rows.node, rows.stage)
        kept = judged.pane_micros >= self._subjects_until
        twice = self._count_twice(rows, series, judged, kept)
        counted = np.flatnonzero(kept & ~judged.late & ~twice)
        self._count(rows, series, event, judged.pane_micros, counted)
        self._mark(series, judged.pane_micros, np.flatnonzero(kept & judged.late), "late_records")
        late = rows.take(judged.late & ~judged.repeated)
        return self._added(len(counted), known + int(twice.sum()), late, event, judged.pane_micros[kept])

    def add_resources(self, rows: ResourceRows, source: Source) -> Added:
        """Adds resource samples: those of a rank to the rank, the others to the node."""
        rows, event, judged, known = self._admit(rows, source)
        kept = (judged.pane_micros >= self._subjects_until) & ~judged.late
        for pane in np.unique(judged.pane_micros[kept]).tolist():
            mine = kept & (judged.pane_micros == pane)
            of_rank, of_node = rows.take(mine & (rows.rank >= 0)), rows.take(mine & (rows.rank < 0))
            ids = self._ranks.ids(of_rank.attempt, of_rank.rank, of_rank.node)
            self._pane(pane).resources.add(ids, of_rank.floats)
            self._pane(pane).nodes.add(self._nodes.node_ids(of_node.attempt, of_node.node), of_node.floats)
        late = rows.take(judged.late & ~judged.repeated)
        return self._added(int(kept.sum()), known, late, event, judged.pane_micros[kept])

    def add_servers(self, rows: ServerRows, source: Source) -> Added:
        """Adds applied versions of the parameter servers' shards."""
        rows, event, judged, known = self._admit(rows, source)
        kept = (judged.pane_micros >= self._subjects_until) & ~judged.late
        for pane in np.unique(judged.pane_micros[kept]).tolist():
            mine = rows.take(kept & (judged.pane_micros == pane))
            ids = self._shards.ids(mine.attempt, mine.shard, mine.node)
            self._pane(pane).servers.add(ids, mine.floats)
        late = rows.take(judged.late & ~judged.repeated)
        return self._added(int(kept.sum()), known, late, event, judged.pane_micros[kept])

    def close(self, watermark_micros: int) -> list[ClosedWindow]:
        """The windows that end at or before the watermark and were not closed before, oldest first."""
        job_length = self._settings.job_window_seconds * MICROS
        until = watermark_micros // job_length * job_length
        before = self._admission.closed_until_micros
        if until <= (before or 0):
            return []
        closed = [self._close_job(start) for start in self._starts(job_length, before or 0, until)]
        subject_length = self._settings.subject_window_seconds * MICROS
        subjects_until = until // subject_length * subject_length
        starts = self._starts(subject_length, self._subjects_until, subjects_until)
        closed += [self._close_subjects(start) for start in starts]
        self._forget(until, max(subjects_until, self._subjects_until))
        return closed

    def facts(self, closed: Sequence[ClosedWindow], description: JobDescription) -> list[Fact]:
        """The facts of closed windows; the same windows give the same facts in the same order."""
        return [
            fact
            for window in closed
            for view in window.views
            for fact in facts_of(view, window.start_micros, description)
        ]

    def state(self) -> dict[str, Any]:
        """What a restart needs to know, as JSON; as of the last `close`."""
        closed = self._admission.closed_until_micros or 0
        return {
            "job": self._job,
            "closed_until_micros": {"job": closed, "subject": self._subjects_until},
            "closes": self._admission.state(),
            "progress": self._progress.state(),
            "clocks": self._clocks.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over where `state` was taken; in a new object, before the first row."""
        self._job = str(state["job"])
        self._subjects_until = int(state["closed_until_micros"]["subject"])
        self._admission.restore(state["closes"])
        self._progress.restore(state["progress"])
        self._clocks.restore(state["clocks"])

    def _event_micros(self, rows: StepRows, source: Source) -> IntArray:
        return self._clocks.event_micros(
            source, rows.attempt, rows.rank, rows.ended_at_micros, rows.appended_at_micros, rows.offset
        )

    def _judge(self, rows: Table, event: IntArray, source: Source) -> Judged:
        panes = event // self._pane_micros * self._pane_micros
        return self._admission.judge(source, rows.offset, panes, self._pane_micros)

    def _admit(self, rows: T, source: Source) -> tuple[T, IntArray, Judged, int]:
        """Samples and servers: no clock of a rank to learn, but none may run ahead of the broker either."""
        fresh = self._admission.fresh(source, rows.offset)
        rows = rows.take(fresh)
        ended, appended = rows.ended_at_micros, rows.appended_at_micros  # type: ignore[attr-defined]
        grace = round(self._settings.clock_grace_seconds * MICROS)
        event: IntArray = np.where(ended > appended + grace, appended, ended)
        return rows, event, self._judge(rows, event, source), int((~fresh).sum())

    def _count_twice(self, rows: StepRows, series: IntArray, judged: Judged, kept: Any) -> Any:
        twice = np.zeros(len(rows), bool)
        at = np.flatnonzero(kept & ~judged.late)
        length = self._settings.subject_window_seconds * MICROS
        window = judged.pane_micros[at] // length * length
        twice[at] = self._sequences.repeated(series[at], rows.seq[at], window)
        self._mark(series, judged.pane_micros, np.flatnonzero(twice), "duplicate_records")
        return twice

    def _count(self, rows: StepRows, series: IntArray, event: IntArray, pane: IntArray, at: IntArray) -> None:
        skew: FloatArray = (rows.ended_at_micros - event) / MICROS
        samples = step_samples(rows, np.where(skew == 0, np.nan, skew))
        for start in np.unique(pane[at]).tolist():
            mine = at[pane[at] == start]
            self._pane(start).add_steps(series[mine], samples[mine], rows.attempt[mine], rows.step[mine])

    def _mark(self, series: IntArray, pane: IntArray, at: IntArray, column: str) -> None:
        for start in np.unique(pane[at]).tolist():
            mine = at[pane[at] == start]
            self._pane(start).steps.add(series[mine], bookkeeping(series[mine], column))

    def _added(self, accepted: int, duplicate: int, late: Table, event: IntArray, panes: IntArray) -> Added:
        newest = int(panes.max()) if len(panes) else None
        return Added(accepted, duplicate, late, int(event.max(initial=0)), newest)

    def _pane(self, start_micros: int) -> Pane:
        return self._panes.setdefault(start_micros, Pane())

    def _starts(self, length: int, after: int, until: int) -> list[int]:
        """Starts of the windows between two ends that hold anything."""
        starts = {pane // length * length for pane in self._panes if after <= pane < until}
        return sorted(starts)

    def _window(self, start: int, length: int) -> Pane:
        return merged(self._panes[pane] for pane in sorted(self._panes) if start <= pane < start + length)

    def _close_job(self, start: int) -> ClosedWindow:
        seconds = self._settings.job_window_seconds
        window = self._window(start, seconds * MICROS)
        view = whole_job_view(window, self._job, self._ranks.subjects, self._progress, seconds)
        return ClosedWindow(start, seconds, (view,))

    def _close_subjects(self, start: int) -> ClosedWindow:
        seconds = self._settings.subject_window_seconds
        window = self._window(start, seconds * MICROS)
        views = (
            *rank_views(window, self._ranks.subjects, seconds),
            *node_views(window, self._nodes.subjects, seconds, self._progress.last_attempt),
            *shard_views(window, self._shards.subjects, seconds),
        )
        return ClosedWindow(start, seconds, views)

    def _forget(self, until: int, subjects_until: int) -> None:
        self._subjects_until = subjects_until
        self._admission.close(until, subjects_until)
        self._sequences.forget_before(subjects_until)
        for start in [start for start in self._panes if start < subjects_until]:
            del self._panes[start]
