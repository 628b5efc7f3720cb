"""Detectors that misbehave, as somebody's own may."""

from dataclasses import dataclass
from typing import Any

from gradcube.diagnosis import Detector, Finding, StepFrame, Subject, finding_id


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""

    at_step: int = 20


class Ill(Detector):
    """Opens a finding at its first step, and misbehaves at step `at_step`."""

    name = "ill"
    kinds = frozenset({"PLATEAU"})
    Settings = NoSettings

    def observe(self, frame: StepFrame) -> list[Finding]:
        if frame.step == self.settings.at_step:
            return self.misbehave(frame)
        return [_finding(frame)] if frame.step == 0 else []

    def misbehave(self, frame: StepFrame) -> Any:
        raise ZeroDivisionError("of its own making")


class NoFinding(Ill):
    def misbehave(self, frame: StepFrame) -> Any:
        return ["rank 1 is slow"]


class WrongKind(Ill):
    def misbehave(self, frame: StepFrame) -> Any:
        return [Finding(**{**vars(_finding(frame)), "kind": "HANG"})]


class CannotBeWritten(Ill):
    def misbehave(self, frame: StepFrame) -> Any:
        return [Finding(**{**vars(_finding(frame)), "magnitude": "large"})]


class Stillborn(Ill):
    def __init__(self, settings: Any = None) -> None:
        raise RuntimeError("not today")


def _finding(frame: StepFrame) -> Finding:
    return Finding(
        id=finding_id(frame.job, frame.attempt, "PLATEAU", Subject(), frame.step), job=frame.job,
        attempt=frame.attempt, kind="PLATEAU", state="OPENED", subject=Subject(), onset_step=frame.step,
        detected_step=frame.step, end_step=None, onset_at_micros=frame.at_micros, detected_at_micros=frame.at_micros,
        magnitude=1.0, confidence=0.5, evidence=(), verdict="nothing moves",
    )  # fmt: skip
