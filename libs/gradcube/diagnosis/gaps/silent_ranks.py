"""Ranks whose records stop while their peers go on. Frames come in, findings go out."""

from collections import deque

import numpy as np

from gradcube.diagnosis.episodes import RECENT_STEPS, Episodes, Moment, Sight, named, steps
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.rank_memory import RankMemory
from gradcube.windows.columns import IntArray

SIGNAL = "silent_ranks"
SHOWN_RANKS = 4


class SilentRanks:
    """One episode for those that fall silent at once: of a rank, a node, or the job.

    It ends when one of them is back, or after `forget_steps` without any.
    """

    def __init__(self, kind: str) -> None:
        self.episodes = Episodes()
        self._kind = kind
        self._memory = RankMemory()
        self._frame = self._memory.field(0.0)
        self._frames = 0
        self._recent: deque[Moment] = deque(maxlen=RECENT_STEPS)
        self._node: dict[int, str] = {}
        self._groups: dict[Subject, IntArray] = {}

    def observe(self, frame: StepFrame, silent_steps: int, forget_steps: int) -> list[Finding]:
        """What this step shows."""
        at = self._memory.columns(frame.rank)
        self._frames += 1
        self._recent.append(Moment.of(frame))
        self._frame.values[at] = self._frames
        if len(self._node) < len(self._frame.values):
            self._node |= dict(zip(frame.rank.tolist(), frame.node.tolist(), strict=True))
        findings = self._close(frame, forget_steps)
        fallen = self._memory.ranks[self._frames - self._frame.values == silent_steps]
        return findings + (self._open(frame, fallen, silent_steps) if len(fallen) else [])

    def _open(self, frame: StepFrame, fallen: IntArray, silent_steps: int) -> list[Finding]:
        subject = self._subject(fallen)
        moment = Moment.of(frame)
        onset = self._recent[-min(silent_steps, len(self._recent))]
        found = self.episodes.open(
            moment, onset, self._kind, subject, _sight(subject, fallen, onset.step, len(frame.rank))
        )
        self._groups[subject] = fallen
        return found

    def _subject(self, fallen: IntArray) -> Subject:
        nodes = {self._node[rank] for rank in fallen.tolist()}
        node = next(iter(nodes)) if len(nodes) == 1 else ""
        if len(fallen) == 1:
            return Subject(rank=int(fallen[0]), node=node or None)
        return Subject(node=node or None)

    def _close(self, frame: StepFrame, forget_steps: int) -> list[Finding]:
        findings: list[Finding] = []
        for subject in self.episodes.subjects(self._kind):
            opened = self.episodes.get(self._kind, subject)
            assert opened is not None
            # After a restart the members of a group are not known: the first report of anybody it names ends it.
            group = self._groups.get(subject, frame.rank if subject.rank is None else np.array([subject.rank]))
            is_back = bool(np.isin(frame.rank, group).any())
            if is_back or frame.step - opened.detected_step >= forget_steps:
                self._groups.pop(subject, None)
                count = steps(frame.step - opened.onset_step)
                end = f"reports again since step {frame.step}" if is_back else "has stayed away and is not waited for"
                verdict = f"{named(subject)} {end}, after {count} without records"
                findings += self.episodes.close(frame.step - 1, self._kind, subject, verdict, opened.magnitude)
        return findings


def _sight(subject: Subject, fallen: IntArray, onset_step: int, others: int) -> Sight:
    shown = ", ".join(str(rank) for rank in fallen[:SHOWN_RANKS].tolist())
    more = f" and {len(fallen) - SHOWN_RANKS} more" if len(fallen) > SHOWN_RANKS else ""
    who = named(subject) if subject.rank is not None else f"ranks {shown}{more}"
    where = f" on {subject.node}" if subject.rank is None and subject.node else ""
    verdict = (
        f"no records of {who}{where} since step {onset_step}, while {others} ranks go on: the process is lost if ranks "
        f"do not wait for one another, else its monitor or its network; look at its log"
    )
    return Sight(verdict, float(len(fallen)), 0.8, (Evidence(SIGNAL, float(len(fallen)), float(others), "count"),))
