"""Records that a monitor lost: what ranks say they dropped, and what their counts skip. Frames in, findings out."""

import numpy as np

from gradcube.diagnosis.episodes import Episodes, Moment, Sight, named, rank_subject
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.rank_memory import RankMemory
from gradcube.windows.columns import FloatArray, IntArray

JOB = Subject()
SIGNAL = "lost_records"
MIN_ABSENT = 3
"""So many absences within `calm_steps` count as lost: a single one may have come too late, and nobody need know."""


class LostRecords:
    """One episode at a time, for the rank or the job that loses; it ends after `calm_steps` without a loss."""

    def __init__(self, kind: str) -> None:
        self.episodes = Episodes()
        self._kind = kind
        self._memory = RankMemory()
        self._seq = self._memory.field(-1.0)
        self._step = self._memory.field(-1.0)
        self._frame = self._memory.field(-1.0)
        self._absences = self._memory.field(0.0)
        self._frames = 0
        self._total = 0
        self._last_step = -1

    def observe(self, frame: StepFrame, calm_steps: int) -> list[Finding]:
        """What this step shows."""
        at = self._memory.columns(frame.rank)
        lost = self._count(frame, at, calm_steps)
        self._frames += 1
        self._seq.values[at], self._step.values[at], self._frame.values[at] = frame.seq, frame.step, self._frames
        opened = next(iter(self.episodes.subjects(self._kind)), None)
        if lost.any():
            self._total += int(lost.sum())
            self._last_step = frame.step
            return self._tell(frame, lost, opened)
        return self._close_calm(frame, opened, calm_steps) if opened is not None else []

    def _count(self, frame: StepFrame, at: IntArray, calm_steps: int) -> FloatArray:
        """How many records each rank has lost since its last one, (r,).

        Dropped; or skipped by `seq` more than by the steps; or absent, more than once or twice, from frames that others
        are in. A recording of every tenth step of all ranks has lost nothing.
        """
        if self._frames % calm_steps == 0:
            self._absences.values[:] = 0
        if self._is_next(frame, at):
            return np.zeros(len(at))
        known = self._seq.values[at] >= 0
        made = frame.seq - self._seq.values[at]
        skipped = made - (frame.step - self._step.values[at])
        absent = self._absent(at, np.where(known, np.minimum(self._frames - self._frame.values[at], made - 1), 0))
        # A monitor that started anew counts from 0 again: a step back, and no loss.
        lost: FloatArray = np.maximum(frame.dropped, np.where(known, np.maximum(np.maximum(skipped, absent), 0), 0))
        return lost

    def _is_next(self, frame: StepFrame, at: IntArray) -> bool:
        """Whether all ranks were in the last frame, and have counted on since as steps have: nothing is lost."""
        if not (self._frame.values[at] == self._frames).all() or frame.dropped.any():
            return False
        return not (frame.seq - self._seq.values[at] - (frame.step - self._step.values[at])).any()

    def _absent(self, at: IntArray, absent: FloatArray) -> FloatArray:
        """Absences that are more than chance; they count once, and are forgotten after a calm time."""
        self._absences.values[at] += np.maximum(absent, 0)
        enough = self._absences.values >= MIN_ABSENT
        lost = np.where(enough, self._absences.values, 0.0)
        self._absences.values[enough] = 0
        return lost[at]

    def _tell(self, frame: StepFrame, lost: FloatArray, opened: Subject | None) -> list[Finding]:
        moment, who = Moment.of(frame), np.flatnonzero(lost)
        if opened is not None:
            return self.episodes.update(moment, self._kind, opened, _sight(opened, self._total, len(who)))
        subject = rank_subject(frame, int(who[0])) if len(who) == 1 < len(lost) else JOB
        return self.episodes.open(moment, moment, self._kind, subject, _sight(subject, self._total, len(who)))

    def _close_calm(self, frame: StepFrame, subject: Subject, calm_steps: int) -> list[Finding]:
        opened = self.episodes.get(self._kind, subject)
        assert opened is not None
        end = max(self._last_step, opened.detected_step)
        if frame.step - end < calm_steps:
            return []
        total, self._total = max(float(self._total), opened.magnitude), 0
        verdict = f"no record of {named(subject)} has been lost since step {end + 1}; {total:.0f} were before"
        return self.episodes.close(end, self._kind, subject, verdict, total)


def _sight(subject: Subject, total: int, ranks: int) -> Sight:
    of = f"{ranks} ranks of the job" if subject == JOB and ranks > 1 else named(subject)
    verdict = (
        f"{total} record{'s' * (total != 1)} of {of} were lost or came too late: what is said of these steps rests "
        f"on the others; check the monitor's buffer, its connection and the broker"
    )
    return Sight(verdict, float(total), 0.95, (Evidence(SIGNAL, float(total), 0.0, "count"),))
