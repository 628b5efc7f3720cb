"""The diagnosis of one attempt of a job: what is read comes in, the findings of all detectors go out."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.frames import StepAssembler, StepFrame
from gradcube.windows.rows import ResourceRows, StepRows


class Diagnosis:
    """All detectors over one attempt.

        diagnosis = Diagnosis("bert", 0, catalog.build())
        findings = diagnosis.add(rows) + diagnosis.advance(watermark_micros)

    Rows may come in any order, and again after a restart.
    """

    def __init__(self, job: str, attempt: int, detectors: Sequence[Detector]) -> None:
        self._detectors = detectors
        self._attempt = attempt
        self._assembler = StepAssembler(job, attempt)
        self._watermark = 0

    @property
    def missed_rows(self) -> int:
        """Rows that came after their step had been looked at."""
        return self._assembler.missed

    def add(self, rows: StepRows) -> list[Finding]:
        """Findings of the steps that these rows complete; rows of other attempts are left out."""
        return self._observe(self._assembler.add(rows))

    def add_resources(self, rows: ResourceRows) -> list[Finding]:
        """Findings of resource samples; those of other attempts are left out, those of nodes without one are not."""
        own = rows.take((rows.attempt == self._attempt) | (rows.attempt < 0))
        return self._ask(lambda detector: detector.observe_resources(own)) if len(own) else []

    def add_lifecycle(self, event: Mapping[str, Any]) -> list[Finding]:
        """Findings of a Lifecycle record; that of another attempt is left out."""
        return self._ask(lambda detector: detector.observe_lifecycle(event)) if self._is_own(event) else []

    def advance(self, watermark_micros: int) -> list[Finding]:
        """Findings of the steps that nothing more is expected for, and of the time that has passed."""
        findings = self._observe(self._assembler.advance(watermark_micros))
        if watermark_micros > self._watermark:
            self._watermark = watermark_micros
            waiting = self._assembler.waiting()
            findings += self._ask(lambda detector: detector.pass_time(watermark_micros, waiting))
        return findings

    def restore(self, findings: Sequence[Finding]) -> None:
        """Hands the last finding of each earlier episode to the detectors, closed ones too."""
        for detector in self._detectors:
            detector.restore([finding for finding in findings if finding.kind in detector.kinds])

    def _is_own(self, event: Mapping[str, Any]) -> bool:
        return bool(event["attempt"] == self._attempt)

    def _observe(self, frames: Sequence[StepFrame]) -> list[Finding]:
        return [found for frame in frames for found in self._ask(partial(_observe, frame))]

    def _ask(self, question: Callable[[Detector], list[Finding]]) -> list[Finding]:
        return [finding for detector in self._detectors for finding in question(detector)]


def _observe(frame: StepFrame, detector: Detector) -> list[Finding]:
    return detector.observe(frame)
