"""The life of an episode under one id: opened, updated now and then, closed, and gone on with after a restart.

What a detector sees of a subject comes in; findings go out, and none twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id
from gradcube.diagnosis.frames import StepFrame

RECENT_STEPS = 64
"""Moments that a detector keeps to tell the onset of what it has seen for some steps."""
UPDATE_STEPS = 50
"""Steps between two updates of an episode that goes on."""


@dataclass(frozen=True)
class Moment:
    """Where an attempt of a job stands: what a finding needs to know of a frame."""

    job: str
    attempt: int
    step: int
    at_micros: int

    @classmethod
    def of(cls, frame: StepFrame) -> "Moment":
        """The moment of a step."""
        return cls(frame.job, frame.attempt, frame.step, frame.at_micros)


@dataclass(frozen=True)
class Sight:
    """What is seen of an episode now; the fields are those of Finding."""

    verdict: str
    magnitude: float
    confidence: float
    evidence: tuple[Evidence, ...] = ()


@dataclass
class Episodes:
    """The episodes of one detector, at most one open for each kind and subject.

    An open one is bounded by the subjects that exist. After `restore`, what an earlier process opened goes on, and
    what it closed is not opened again for the same steps.
    """

    update_steps: int = UPDATE_STEPS
    _open: dict[tuple[str, Subject], Finding] = field(default_factory=dict)
    _reported: dict[tuple[str, Subject], int] = field(default_factory=dict)
    _settled: dict[tuple[str, Subject], int] = field(default_factory=dict)

    def get(self, kind: str, subject: Subject) -> Finding | None:
        """The open episode of a subject."""
        return self._open.get((kind, subject))

    def subjects(self, kind: str) -> list[Subject]:
        """Who has an open episode of this kind."""
        return [subject for own, subject in self._open if own == kind]

    def open(self, moment: Moment, onset: Moment, kind: str, subject: Subject, sight: Sight) -> list[Finding]:
        """Begins an episode at `onset`, seen at `moment`; nothing where one is open or was closed later."""
        key = kind, subject
        if key in self._open or moment.step <= self._settled.get(key, -1):
            return []
        self._reported[key] = moment.step
        self._open[key] = Finding(
            id=finding_id(moment.job, moment.attempt, kind, subject, onset.step),
            job=moment.job, attempt=moment.attempt, kind=kind, state="OPENED", subject=subject,
            onset_step=onset.step, detected_step=moment.step, end_step=None,
            onset_at_micros=onset.at_micros, detected_at_micros=moment.at_micros,
            magnitude=sight.magnitude, confidence=sight.confidence, evidence=sight.evidence, verdict=sight.verdict,
        )  # fmt: skip
        return [self._open[key]]

    def update(self, moment: Moment, kind: str, subject: Subject, sight: Sight) -> list[Finding]:
        """Says how an open episode stands, once in `update_steps`."""
        key = kind, subject
        if moment.step - self._reported[key] < self.update_steps:
            return []
        self._reported[key] = moment.step
        self._open[key] = self._open[key].updated("UPDATED", **vars(sight))
        return [self._open[key]]

    def close(self, end_step: int, kind: str, subject: Subject, verdict: str, magnitude: float) -> list[Finding]:
        """Ends an open episode whose last step was `end_step`."""
        key = kind, subject
        finding = self._open.pop(key)
        del self._reported[key]
        end_step = max(end_step, finding.onset_step)
        self._settled[key] = max(end_step, finding.detected_step)
        return [finding.updated("CLOSED", end_step=end_step, verdict=verdict, magnitude=magnitude)]

    def restore(self, findings: Sequence[Finding]) -> None:
        """Takes the last finding of each episode of an earlier process."""
        for finding in findings:
            key = finding.kind, finding.subject
            if finding.state == "CLOSED":
                end = max(finding.end_step or 0, finding.detected_step)
                self._settled[key] = max(end, self._settled.get(key, -1))
            else:
                self._open[key] = finding
                self._reported[key] = finding.detected_step


def steps(count: int) -> str:
    """`1 step`, `5 steps`."""
    return f"{count} step{'s' * (count != 1)}"


def rank_subject(frame: StepFrame, at: int) -> Subject:
    """The rank at position `at` of a frame, with its place in the job."""
    node = str(frame.node[at]) or None
    return Subject(int(frame.rank[at]), node, int(frame.stage[at]), int(frame.replica[at]))


def ranks_of(subjects: Iterable[Subject]) -> list[int]:
    """The ranks among them."""
    return [subject.rank for subject in subjects if subject.rank is not None]


def named(subject: Subject) -> str:
    """`rank 2 on node-b`, `node-b`, `the job`."""
    if subject.rank is not None:
        return f"rank {subject.rank}" + (f" on {subject.node}" if subject.node else "")
    return subject.node or "the job"
