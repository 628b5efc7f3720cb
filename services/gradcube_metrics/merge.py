"""Stage two without Kafka: the windows and the diagnosis of each job of one partition of partials.

Partials and the time come in; findings, facts to write and the batches that are written out whole come out.
"""

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradcube.diagnosis import Finding
from gradcube.windows import Added, JobDescription, JobWindows, Watermarks, WindowSettings
from gradcube.windows.fact_records import FactRecord, fact_records
from gradcube.windows.settings import MICROS
from gradcube_metrics.diagnosing import Detectors, JobDiagnoses
from gradcube_metrics.partials import EVALUATIONS, RESOURCES, SERVER_SYNCS, STEPS, Partial
from gradcube_metrics.settings import MetricsSettings


@dataclass
class Recovered:
    """What the own output says about a job: where its windows stand, and what is already written beyond that."""

    state: dict[str, Any] | None = None
    fact_ids: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Hold:
    """A batch of partials that waits for `open` windows or writes; `batch.written` is set when none is left."""

    batch: Any
    open: int = 1

    def release(self) -> None:
        """One reason less to wait."""
        self.open -= 1
        if not self.open:
            self.batch.written = True


@dataclass(frozen=True)
class Closing:
    """The facts of windows that are due; `state` goes along with the last one."""

    job: str
    facts: list[FactRecord]
    state: bytes


@dataclass(frozen=True)
class Heard:
    """What one partial led to; `late` is None or the rows that came too late."""

    findings: list[Finding]
    late: Partial | None
    duplicates: int = 0


class JobMerge:
    """One job: `hear` a partial, `close` what is due, write it, then `settle`."""

    def __init__(
        self,
        job: str,
        settings: MetricsSettings,
        recovered: Recovered,
        now_micros: int,
        detectors: Detectors | None = None,
    ) -> None:
        self.job = job
        self.heard_events = 0
        """The number of the last lifecycle record taken in, see `Descriptions.events_after`."""
        self.diagnoses = JobDiagnoses(job, detectors or Detectors(), recovered.findings)
        self.windows = JobWindows(
            WindowSettings(settings.pane_seconds, settings.job_window_seconds, settings.subject_window_seconds),
            job,
        )
        if recovered.state is not None:
            self.windows.restore(recovered.state)
        self._adds: Mapping[str, Any] = {
            STEPS: self.windows.add,
            RESOURCES: self.windows.add_resources,
            SERVER_SYNCS: self.windows.add_servers,
            EVALUATIONS: self.windows.add_evaluations,
        }
        self._steps_heard = False
        self._written = recovered.fact_ids
        self._marks = Watermarks(settings.grace_seconds, settings.idle_seconds)
        self._step_marks = Watermarks(settings.grace_seconds, settings.diagnosis_idle_seconds)
        self._window_micros = settings.subject_window_seconds * MICROS
        # Until every partition of the source had its chance to speak, a backlog of one is not the end of another.
        self._closes_from_micros = now_micros + round(settings.idle_seconds * MICROS)
        self._holds: list[tuple[int, int, Hold]] = []
        self._held = 0
        self._watermark = 0

    def hear(self, partial: Partial, hold: Hold, now_micros: int) -> Heard:
        """Takes a partial in. `hold` is kept until all windows that it touches are settled."""
        topic = partial.source[0]
        added: Added = self._adds[topic](partial.rows, partial.source)
        self._steps_heard |= topic == STEPS
        # The samples of nodes in no job have only their own time to go by, as have evaluations when nobody trains.
        if topic == STEPS or not self.job or (topic == EVALUATIONS and not self._steps_heard):
            self._marks.observe(partial.source, added.max_event_micros, now_micros)
        if topic == STEPS:
            self._step_marks.observe(partial.source, added.max_event_micros, now_micros)
        # Late rows count in the pane that is open now, so the batch waits for that one too.
        self._keep(max(added.max_event_micros, self._watermark), hold)
        late = Partial(partial.source, added.late) if len(added.late) else None
        return Heard(self._diagnose(partial), late, added.duplicate)

    def remember(self, partial: Partial, now_micros: int) -> list[Finding]:
        """Lets the detectors hear again what all windows are written of.

        Its partition is waited for from now on: it may be silent only because its reader was killed as well.
        """
        if partial.source[0] == STEPS:
            latest = np.minimum(partial.rows.ended_at_micros, partial.rows.appended_at_micros).max(initial=0)
            self._step_marks.observe(partial.source, int(latest), now_micros)
        return self._diagnose(partial)

    def remembered(self, now_micros: int) -> list[Finding]:
        """The end of that: event time has come as far as in the partition that has come least far.

        Not as far as windows are closed: the rest of their rows may lie behind the committed offset.
        """
        return self.diagnoses.advance(self._step_marks.watermark(now_micros))

    def close(self, now_micros: int, description: JobDescription) -> Closing | None:
        """The windows that are due, or None. They count as closed from here on, and must be written."""
        if now_micros < self._closes_from_micros:
            return None
        self._watermark = self._marks.watermark(now_micros)
        closed = self.windows.close(self._watermark)
        if not closed:
            return None
        fresh = [fact for fact in fact_records(closed, description) if fact.id not in self._written]
        state = json.dumps(self.windows.state(), separators=(",", ":")).encode()
        return Closing(self.job, fresh, state)

    def advance(self, now_micros: int) -> list[Finding]:
        """What the passing of time tells the detectors: steps that a lost rank will never complete."""
        if now_micros < self._closes_from_micros:
            return []
        return self.diagnoses.advance(self._step_marks.watermark(now_micros))

    def settle(self) -> None:
        """All that `close` gave is written: lets go of the batches that waited for it."""
        written_until = self.windows.unwritten_from_micros
        while self._holds and self._holds[0][0] <= written_until:
            heapq.heappop(self._holds)[2].release()

    @property
    def open_windows(self) -> int:
        """Panes that hold something that is not yet written."""
        return self.windows.open_windows

    def _diagnose(self, partial: Partial) -> list[Finding]:
        topic = partial.source[0]
        if topic == STEPS:
            return self.diagnoses.add(partial.rows)
        if topic == SERVER_SYNCS:
            return self.diagnoses.add_servers(partial.rows, partial.source)
        return self.diagnoses.add_resources(partial.rows, partial.source) if topic == RESOURCES else []

    def _keep(self, event_micros: int, hold: Hold) -> None:
        hold.open += 1
        self._held += 1
        needed = (event_micros // self._window_micros + 1) * self._window_micros
        heapq.heappush(self._holds, (needed, self._held, hold))


class PartitionMerge:
    """The jobs of one partition of partials, since this process owns it."""

    def __init__(
        self,
        settings: MetricsSettings,
        recovered: Mapping[str, Recovered],
        replay_until: int = 0,
        detectors: Detectors | None = None,
    ) -> None:
        self._settings = settings
        self._detectors = detectors
        self._replay_until = replay_until
        self._recovered = dict(recovered)
        self.jobs: dict[str, JobMerge] = {}

    def reached(self, offset: int) -> None:
        """All partials up to `offset` were heard."""
        if offset + 1 >= self._replay_until:
            self._replay_until = 0

    @property
    def replayed(self) -> bool:
        """Whether all that the process before had read is heard again; no window may close before that."""
        return not self._replay_until

    def job(self, name: str, now_micros: int) -> JobMerge:
        """The job's merge, with what was recovered of it when it is heard of first."""
        if name not in self.jobs:
            recovered = self._recovered.pop(name, Recovered())
            self.jobs[name] = JobMerge(name, self._settings, recovered, now_micros, self._detectors)
        return self.jobs[name]
