"""The diagnosis of one attempt of a job: what is read comes in, the findings of all detectors go out."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradcube.diagnosis import catalog
from gradcube.diagnosis.assembler import StepAssembler
from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.guard import Guard, Reached
from gradcube.diagnosis.stopwatch import Budget
from gradcube.windows.rows import ResourceRows, ServerRows, StepRows


class Diagnosis:
    """All detectors over one attempt, each behind a Guard.

        diagnosis = Diagnosis("bert", 0, catalog.build())
        findings = diagnosis.add(rows) + diagnosis.advance(watermark_micros)

    Rows may come in any order, and again after a restart. `configure` changes thresholds and switches at any time.
    """

    def __init__(
        self, job: str, attempt: int, detectors: Sequence[Detector] = (), budget: Budget | None = None
    ) -> None:
        self._job = job
        self._attempt = attempt
        self._budget = budget or Budget()
        self._guards: list[Guard] = []
        self._assembler = StepAssembler(job, attempt)
        self._reached = Reached()
        self._watermark = 0
        self._followed_by: int | None = None
        for detector in detectors:
            self._guard(detector.name).hold(detector)

    @property
    def missed_rows(self) -> int:
        """Rows that came after their step had been looked at."""
        return self._assembler.missed

    def configure(
        self, thresholds: Mapping[str, str], known: tuple[type[Detector], ...] = catalog.DETECTORS
    ) -> list[Finding]:
        """Thresholds and switches from here on, see `catalog.parse`; also the ends of episodes that are let go of.

        A detector of `known` that was not there is there now. Raises ConfigError, and has changed nothing then.
        """
        wanted, guards = catalog.parse(thresholds, known), {guard.name: guard for guard in self._guards}
        findings = []
        for kind in known:
            guard = guards.get(kind.name) or self._guard(kind.name)
            findings += guard.configure(kind, *wanted[kind.name], self._reached)
        return findings

    def add(self, rows: StepRows) -> list[Finding]:
        """Findings of the steps that these rows complete; rows of other attempts are left out."""
        return self._observe(self._assembler.add(rows))

    def add_resources(self, rows: ResourceRows) -> list[Finding]:
        """Findings of resource samples; those of other attempts are left out, those of nodes without one are not."""
        own = rows.take((rows.attempt == self._attempt) | (rows.attempt < 0))
        return self._ask("observe_resources", own) if len(own) else []

    def add_servers(self, rows: ServerRows) -> list[Finding]:
        """Findings of applied versions; those of other attempts are left out."""
        own = rows.take(rows.attempt == self._attempt)
        return self._ask("observe_servers", own) if len(own) else []

    def add_lifecycle(self, event: Mapping[str, Any]) -> list[Finding]:
        """Findings of a Lifecycle record; that of a later attempt says that this one is over."""
        if event["attempt"] > self._attempt:
            return self.follow_by(event["attempt"], event["at"])
        if event["attempt"] < self._attempt:
            return []
        return self._ask("observe_lifecycle", event)

    def follow_by(self, attempt: int, at_micros: int) -> list[Finding]:
        """A later attempt is there: detectors are told once, as a JOB_FINISHED of this one."""
        if self._followed_by is not None:
            return []
        self._followed_by = attempt
        event = {
            "job": self._job, "attempt": self._attempt, "kind": "JOB_FINISHED", "at": at_micros, "epoch": 0,
            "rank": None, "node": None, "shard": None, "step": None, "detail": f"attempt {attempt} took over",
            "model": "", "model_parameters": 0, "hardware": "", "dataset": "", "world_size": 0,
        }  # fmt: skip
        return self._ask("observe_lifecycle", event)

    def advance(self, watermark_micros: int) -> list[Finding]:
        """Findings of the steps that nothing more is expected for, and of the time that has passed."""
        findings = self._observe(self._assembler.advance(watermark_micros))
        if watermark_micros > self._watermark:
            self._watermark = watermark_micros
            findings += self._ask("pass_time", watermark_micros, self._assembler.waiting())
        return findings

    def restore(self, findings: Sequence[Finding]) -> list[Finding]:
        """Hands the last finding of each earlier episode to the detectors, closed ones too."""
        return [found for guard in self._guards for found in guard.restore(findings, self._reached)]

    def _guard(self, name: str) -> Guard:
        self._guards.append(Guard(name, self._job, self._attempt, self._budget))
        return self._guards[-1]

    def _observe(self, frames: Sequence[StepFrame]) -> list[Finding]:
        findings = []
        for frame in frames:
            self._reached = Reached(frame.step, frame.at_micros)
            findings += self._ask("observe", frame)
        return findings

    def _ask(self, question: str, *told: Any) -> list[Finding]:
        return [finding for guard in self._guards for finding in guard.ask(question, told, self._reached)]
