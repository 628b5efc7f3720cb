"""The diagnoses of one job, attempt by attempt: rows, events, thresholds and time in; findings that are new out."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gradcube.diagnosis import Detector, Diagnosis, Finding, catalog, word_of
from gradcube.diagnosis.stopwatch import Budget
from gradcube.windows import ResourceRows, ServerRows, StepRows

KEPT_ATTEMPTS = 3
"""Two may run at once for a while; of older ones nothing is said any more."""

FindingKey = tuple[str, str, float]
Source = tuple[str, int]
Side = TypeVar("Side", ResourceRows, ServerRows)


@dataclass(frozen=True)
class Detectors:
    """Which detectors there are, and how much of the time each may take."""

    known: tuple[type[Detector], ...] = catalog.DETECTORS
    budget: Budget = field(default_factory=lambda: Budget(time.perf_counter))


class JobDiagnoses:
    """All diagnoses of one job. `earlier` are the findings that are written: they are gone on with, not repeated."""

    def __init__(self, job: str, detectors: Detectors, earlier: Sequence[Finding]) -> None:
        self._job = job
        self._detectors = detectors
        self._earlier = earlier
        self._known: set[FindingKey] = {word_of(finding) for finding in earlier}
        self._attempts: dict[int, Diagnosis] = {}
        self._events: list[Mapping[str, Any]] = []
        self._thresholds: Mapping[str, str] = {}
        self._next_row: dict[Source, int] = {}

    def configure(self, thresholds: Mapping[str, str]) -> list[Finding]:
        """Thresholds from here on. They are known to be right."""
        if thresholds == self._thresholds:
            return []
        self._thresholds = dict(thresholds)
        return self._of_all(lambda each: each.configure(self._thresholds, self._detectors.known))

    def add_lifecycle(self, events: Iterable[Mapping[str, Any]]) -> list[Finding]:
        """Lifecycle records of the job, in their order."""
        findings = []
        for event in events:
            self._events.append(event)
            findings += self._of_all(lambda each, event=event: each.add_lifecycle(event))  # type: ignore[misc]
        newest = max((event["attempt"] for event in self._events), default=0)
        self._events = [event for event in self._events if event["attempt"] > newest - KEPT_ATTEMPTS]
        return findings

    def add(self, rows: StepRows) -> list[Finding]:
        """Step records, also such as were read before."""
        findings: list[Finding] = []
        for attempt in np.unique(rows.attempt).tolist():
            own = rows.take(rows.attempt == attempt)
            for diagnosis, begun in self._diagnosis(attempt, int(own.ended_at_micros.min())):
                findings += begun + diagnosis.add(own)
        return self._new(findings)

    def add_resources(self, rows: ResourceRows, source: Source) -> list[Finding]:
        """Resource samples; those that were read before from this partition are left out."""
        own = self._unread(rows, source)
        return self._of_all(lambda each: each.add_resources(own)) if len(own) else []

    def add_servers(self, rows: ServerRows, source: Source) -> list[Finding]:
        """Applied versions; those that were read before from this partition are left out."""
        own = self._unread(rows, source)
        return self._of_all(lambda each: each.add_servers(own)) if len(own) else []

    def _unread(self, rows: Side, source: Source) -> Side:
        own = rows.take(rows.offset >= self._next_row.get(source, 0))
        if len(own):
            self._next_row[source] = int(own.offset.max()) + 1
        return own

    def advance(self, watermark_micros: int) -> list[Finding]:
        """How far event time has come."""
        return self._of_all(lambda each: each.advance(watermark_micros))

    def _diagnosis(self, attempt: int, at_micros: int) -> Iterator[tuple[Diagnosis, list[Finding]]]:
        """The attempt's diagnosis and what its beginning led to; none for an attempt that is too old."""
        findings: list[Finding] = []
        newest = max(self._attempts, default=attempt)
        if attempt not in self._attempts and attempt > newest - KEPT_ATTEMPTS:
            findings = self._begin(attempt)
            for older in [each for each in self._attempts if each < attempt]:
                findings += self._attempts[older].follow_by(attempt, at_micros)
            for old in [each for each in self._attempts if each <= attempt - KEPT_ATTEMPTS]:
                del self._attempts[old]
        if attempt in self._attempts:
            yield self._attempts[attempt], findings

    def _begin(self, attempt: int) -> list[Finding]:
        diagnosis = Diagnosis(self._job, attempt, budget=self._detectors.budget)
        self._attempts[attempt] = diagnosis
        last = {finding.id: finding for finding in self._earlier if finding.attempt == attempt}
        findings = diagnosis.configure(self._thresholds, self._detectors.known)
        findings += diagnosis.restore(list(last.values()))
        for event in self._events:
            findings += diagnosis.add_lifecycle(event)
        newer = [each for each in self._attempts if each > attempt]
        return findings + (diagnosis.follow_by(min(newer), 0) if newer else [])

    def _of_all(self, ask: Callable[[Diagnosis], list[Finding]]) -> list[Finding]:
        return self._new([found for each in list(self._attempts.values()) for found in ask(each)])

    def _new(self, findings: Sequence[Finding]) -> list[Finding]:
        fresh = [finding for finding in findings if word_of(finding) not in self._known]
        self._known.update(map(word_of, fresh))
        return fresh
