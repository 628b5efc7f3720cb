"""The straggler detector's findings: who an episode is about in the words of the schema, with evidence and verdict."""

import math
from dataclasses import dataclass, replace

import numpy as np

from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.slow.grid import Grid
from gradcube.diagnosis.slow.locate import Culprit
from gradcube.diagnosis.slow.slowdown import Episode
from gradcube.diagnosis.slow.verdicts import (
    Cause,
    constant_verdict,
    gone_verdict,
    imbalance_verdict,
    normal_verdict,
    slow_verdict,
)
from gradcube.windows.columns import IntArray

MOST_CONFIDENT = 0.99


@dataclass(frozen=True)
class Report:
    """How an episode stands: log excess, onset (step, micros), whom it is about, and why one believes it."""

    excess: float
    onset: tuple[int, int]
    subject: Subject
    confidence: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    cause: Cause = "unknown"

    @property
    def ratio(self) -> float:
        """How many times as slow."""
        return math.exp(self.excess)

    @property
    def verdict(self) -> str:
        """The sentence."""
        return slow_verdict(self.subject, self.ratio, self.onset[0], self.confidence, self.evidence, self.cause)

    def explained(self, evidence: tuple[Evidence, ...], cause: Cause, scale: float, steps: int) -> "Report":
        """With a confidence from the strength of the signal; less when waits contradict it: a slow rank waits least."""
        confidence = min(MOST_CONFIDENT, 1 - math.exp(-self.excess / scale * math.sqrt(steps) / 3))
        wait = next((piece for piece in evidence if piece.signal == "sync_wait_seconds"), None)
        waits_more = wait is not None and wait.peers is not None and wait.value > wait.peers
        if waits_more and self.subject.rank is not None and self.subject.link is None:
            confidence /= 2
        return replace(self, confidence=confidence, evidence=evidence, cause=cause)


def subject_of(grid: Grid, culprit: Culprit) -> Subject:
    """A culprit as the schema names it: a rank with all that is known of its place, a group by its name alone."""
    if culprit.kind == "job":
        return Subject()
    if culprit.kind in ("rank", "link"):
        rank = int(grid.rank[culprit.number])
        place = {kind: grid.label(kind, culprit.number) for kind in ("node", "stage", "replica")}
        link = f"rank {rank}" if culprit.kind == "link" else None
        return Subject(rank, place["node"] or None, int(place["stage"]), int(place["replica"]), link=link)
    return Subject(**{culprit.kind: grid.groups[culprit.kind].names[culprit.number]})  # type: ignore[arg-type]


def key_of(subject: Subject) -> tuple[str, object]:
    """Kind and name of whom a subject is about."""
    if subject.link is not None:
        return "link", subject.rank
    for kind in ("rank", "node", "stage", "replica"):
        if getattr(subject, kind) is not None:
            return kind, getattr(subject, kind)
    return "job", None


def columns_of(grid: Grid, subject: Subject) -> IntArray:
    """The columns of a subject's ranks, (k,); none of a rank or group that is not there."""
    kind, name = key_of(subject)
    if kind == "job":
        return np.arange(len(grid))
    if kind in ("rank", "link"):
        return np.flatnonzero(grid.rank == name)
    names = grid.groups[kind].names
    return grid.members(kind, names.index(name)) if name in names else np.empty(0, np.int64)


def opened(frame: StepFrame, culprit: Culprit, report: Report) -> Finding:
    """The first word about an episode."""
    kind = "STRAGGLER" if culprit.kind == "rank" else "FAIL_SLOW"
    onset_step, onset_at_micros = report.onset
    return Finding(
        finding_id(frame.job, frame.attempt, kind, report.subject, onset_step), frame.job, frame.attempt, kind,
        "OPENED", report.subject, onset_step, frame.step, None, onset_at_micros, frame.at_micros,
        report.ratio, report.confidence, report.evidence, report.verdict,
    )  # fmt: skip


def updated(episode: Episode, report: Report, step: int) -> Finding:
    """How it stands by now; the episode remembers."""
    episode.reported_step = step
    episode.finding = episode.finding.updated(
        "UPDATED", magnitude=report.ratio, confidence=report.confidence, evidence=report.evidence,
        verdict=report.verdict,
    )  # fmt: skip
    return episode.finding


def closed(episode: Episode) -> Finding:
    """The last word about an episode."""
    finding, ratio, end = episode.finding, math.exp(episode.excess), episode.slow_step
    if episode.absent:
        verdict = gone_verdict(finding.subject, ratio, end)
    else:
        verdict = normal_verdict(finding.subject, ratio, finding.onset_step, end)
    return finding.updated("CLOSED", end_step=end, magnitude=ratio, verdict=verdict)


def constant(
    frame: StepFrame, grid: Grid, first: tuple[int, int], culprit: Culprit, ratio: float, steps: int
) -> Finding:
    """The one word about what has been so from the first step."""
    subject = subject_of(grid, culprit)
    verdict = (imbalance_verdict if culprit.kind == "stage" else constant_verdict)(subject, ratio, steps)
    evidence = (Evidence("own_time_ratio", ratio, 1.0, "ratio"),)
    return Finding(
        finding_id(frame.job, frame.attempt, "OTHER", subject, first[0]), frame.job, frame.attempt, "OTHER",
        "CLOSED", subject, first[0], frame.step, frame.step, first[1], frame.at_micros,
        ratio, MOST_CONFIDENT, evidence, verdict,
    )  # fmt: skip
