"""The diagnosis of one attempt of a job: rows and the watermark in, findings of all detectors out."""

from collections.abc import Sequence
from typing import Protocol

from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.frames import StepAssembler, StepFrame
from gradcube.windows.rows import StepRows


class Detector(Protocol):
    """One way of finding something. It sees each step once, in order, and nothing of the steps to come."""

    def observe(self, frame: StepFrame) -> list[Finding]:
        """What the step shows: episodes that it opens, updates or closes."""

    def restore(self, findings: Sequence[Finding]) -> None:
        """Goes on with the episodes that an earlier process reported; given before the first step."""


class Diagnosis:
    """All detectors over one attempt.

        diagnosis = Diagnosis("bert", 0, [StragglerDetector()])
        findings = diagnosis.add(rows) + diagnosis.advance(watermark_micros)

    Rows may come in any order, and again after a restart.
    """

    def __init__(self, job: str, attempt: int, detectors: Sequence[Detector]) -> None:
        self._detectors = detectors
        self._assembler = StepAssembler(job, attempt)

    @property
    def missed_rows(self) -> int:
        """Rows that came after their step had been looked at."""
        return self._assembler.missed

    def add(self, rows: StepRows) -> list[Finding]:
        """Findings of the steps that these rows complete; rows of other attempts are left out."""
        return self._observe(self._assembler.add(rows))

    def advance(self, watermark_micros: int) -> list[Finding]:
        """Findings of the steps that nothing more is expected for."""
        return self._observe(self._assembler.advance(watermark_micros))

    def restore(self, findings: Sequence[Finding]) -> None:
        """Hands the last finding of each earlier episode to the detectors, closed ones too."""
        for detector in self._detectors:
            detector.restore(findings)

    def _observe(self, frames: Sequence[StepFrame]) -> list[Finding]:
        return [finding for frame in frames for detector in self._detectors for finding in detector.observe(frame)]
