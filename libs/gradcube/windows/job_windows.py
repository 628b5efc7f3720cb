"""The event-time windows of one job: rows of all its sources in, closed windows and their facts out.

Everything is decided by the rows' offsets and times, so that the same rows give the same facts, in one run or over
any number of restarts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gradcube.events import Fact
from gradcube.windows.admission import Source
from gradcube.windows.course import Course
from gradcube.windows.facts import facts_of
from gradcube.windows.intake import Added, Intake
from gradcube.windows.panes import Pane, merged
from gradcube.windows.rows import EvaluationRows, ResourceRows, ServerRows, StepRows
from gradcube.windows.settings import MICROS, Clipping, JobDescription, WindowSettings
from gradcube.windows.windowing import ClosedWindow, job_window, subject_window


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
        self._intake = Intake(settings)
        self._course = Course()

    @property
    def open_windows(self) -> int:
        """Panes that hold something that is not yet written for all subjects."""
        return len(self._intake.panes)

    @property
    def unwritten_from_micros(self) -> int:
        """Start of the oldest pane that may still be part of a window to write; 0 before the first close."""
        return self._intake.written_until_micros

    def clip(self, clipping: Mapping[int, Clipping]) -> None:
        """Says by attempt above which norms gradients are clipped; the rows that follow are counted by it.

        It is no part of `state`: who restores says it again before the first row.
        """
        self._intake.clipping = clipping

    def add(self, rows: StepRows, source: Source) -> Added:
        """Adds step records; their offsets within `source` ascend. The caller may feed any rows again."""
        self._job = self._job or rows.job
        return self._intake.add_steps(rows, source)

    def add_resources(self, rows: ResourceRows, source: Source) -> Added:
        """Adds resource samples: those of a rank to the rank, the others to the node."""
        return self._intake.add_resources(rows, source)

    def add_servers(self, rows: ServerRows, source: Source) -> Added:
        """Adds applied versions of the parameter servers' shards."""
        return self._intake.add_servers(rows, source)

    def add_evaluations(self, rows: EvaluationRows, source: Source) -> Added:
        """Adds measured qualities of checkpoints."""
        self._job = self._job or rows.job
        return self._intake.add_evaluations(rows, source)

    def close(self, watermark_micros: int) -> list[ClosedWindow]:
        """The windows that end at or before the watermark and were not closed before, in the order of their ends."""
        job_length = self._settings.job_window_seconds * MICROS
        until = watermark_micros // job_length * job_length
        before = self._intake.admission.closed_until_micros or 0
        if until <= before:
            return []
        length = self._settings.subject_window_seconds * MICROS
        written_until = max(until // length * length, self.unwritten_from_micros)
        due = [(start + job_length, 0, start) for start in self._starts(job_length, before, until)]
        due += [(start + length, 1, start) for start in self._starts(length, self.unwritten_from_micros, written_until)]
        # By their ends, so that what a window knows of those before it does not depend on how many close at once.
        closed = [
            self._close_subjects(start) if of_subjects else self._close_job(start)
            for _, of_subjects, start in sorted(due)
        ]
        self._intake.forget(until, written_until)
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
        closed = self._intake.admission.closed_until_micros or 0
        return {
            "job": self._job,
            "closed_until_micros": {"job": closed, "subject": self.unwritten_from_micros},
            "closes": self._intake.admission.state(),
            "clocks": self._intake.clocks.state(),
            "course": self._course.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over where `state` was taken; in a new object, before the first row."""
        self._job = str(state["job"])
        self._intake.written_until_micros = int(state["closed_until_micros"]["subject"])
        self._intake.admission.restore(state["closes"])
        self._intake.clocks.restore(state["clocks"])
        # Release 0.1 saved the progress alone.
        self._course.restore(state.get("course") or {**Course().state(), "progress": state["progress"]})

    def _starts(self, length: int, after: int, until: int) -> list[int]:
        """Starts of the windows between two ends that hold anything."""
        return sorted({pane // length * length for pane in self._intake.panes if after <= pane < until})

    def _window(self, start: int, length: int) -> Pane:
        panes = self._intake.panes
        return merged(panes[pane] for pane in sorted(panes) if start <= pane < start + length)

    def _close_job(self, start: int) -> ClosedWindow:
        seconds = self._settings.job_window_seconds
        window = self._window(start, seconds * MICROS)
        return job_window(window, start, seconds, self._job, self._intake.tables, self._course)

    def _close_subjects(self, start: int) -> ClosedWindow:
        seconds = self._settings.subject_window_seconds
        window = self._window(start, seconds * MICROS)
        return subject_window(window, start, seconds, self._intake.tables, self._course.progress.last_attempt)
