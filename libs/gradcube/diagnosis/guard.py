"""A detector at arm's length: whatever it does, the other detectors and the service go on.

Questions to the detector come in, findings that can be written go out. One that raises, answers with something else,
or takes more than its share of the time is switched off, and a finding says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Finding, Subject, finding_id, to_record
from gradcube.diagnosis.stopwatch import Budget, Stopwatch
from gradcube.events import encode

KIND = "OTHER"
QUESTIONS = ("observe", "observe_resources", "observe_servers", "observe_lifecycle", "pass_time")
"""The methods of a detector that answer with findings."""


@dataclass(frozen=True)
class Reached:
    """How far the attempt has come: the last step that came out and its time; -1 and 0 before the first."""

    step: int = -1
    at_micros: int = 0


class Guard:
    """One detector of one attempt, on or off. `detector` is None while it is off."""

    def __init__(self, name: str, job: str, attempt: int, budget: Budget) -> None:
        self.name = name
        self.detector: Detector | None = None
        self._job = job
        self._attempt = attempt
        self._watch = Stopwatch(budget)
        self._heard: frozenset[str] = frozenset()
        self._open: dict[str, Finding] = {}
        self._wanted: tuple[bool, Any] | None = None

    @property
    def finding_id(self) -> str:
        """Of the finding that says that it was switched off: one for each detector and attempt."""
        return finding_id(self._job, self._attempt, f"{KIND}/{self.name}", Subject(), 0)

    def hold(self, detector: Detector) -> None:
        """Takes a detector that is ready."""
        self._take(detector)
        self._wanted = (True, detector.settings)

    def configure(self, kind: type[Detector], on: bool, settings: Any, reached: Reached) -> list[Finding]:
        """Switches on or off, or hands other thresholds on; what is as it was before stays as it is.

        So a detector that failed comes back only when it is switched off and on again.
        """
        if self._wanted == (on, settings):
            return []
        self._wanted = (on, settings)
        if not on:
            return self._stop("it was switched off", reached)
        if self.detector is None:
            return self._try(lambda: self._start(kind, settings), reached)
        return self._try(lambda: self._configure(settings), reached)

    def restore(self, findings: Sequence[Finding], reached: Reached) -> list[Finding]:
        """Hands the last finding of each earlier episode on."""
        if self.detector is None:
            return []
        detector = self.detector
        own = [found for found in findings if detector.is_own(found) and found.id != self.finding_id]
        self._note(own)
        return self._try(lambda: detector.restore(own), reached)

    def ask(self, question: str, told: tuple[Any, ...], reached: Reached) -> list[Finding]:
        """The answer to one of QUESTIONS, and what there is to say when there was none or it took too long.

        A detector is not asked what it does not override.
        """
        if question not in self._heard:
            return []
        begun = self._watch.now()
        found: list[Finding] = []
        failure = self._try(lambda: found.extend(self._checked(question, told)), reached)
        if found:
            self._note(found)
        too_slow = self._watch.excess(begun, reached.at_micros)
        if too_slow and not failure:
            failure = self._fail(too_slow, reached)
        return found + failure

    def _start(self, kind: type[Detector], settings: Any) -> None:
        self._take(kind(settings))

    def _take(self, detector: Detector) -> None:
        self.detector = detector
        self._heard = frozenset(name for name in QUESTIONS if _overrides(detector, name))

    def _configure(self, settings: Any) -> None:
        assert self.detector is not None
        self.detector.configure(settings)

    def _try(self, action: Callable[[], object], reached: Reached) -> list[Finding]:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a detector of somebody's raises, the others go on
            return self._fail(f"it raised {type(error).__name__}: {error}"[:300], reached)
        return []

    def _checked(self, question: str, told: tuple[Any, ...]) -> list[Finding]:
        """The answer. Raises TypeError or ValueError for what cannot be written as findings of this detector."""
        assert self.detector is not None
        answer = getattr(self.detector, question)(*told)
        if not isinstance(answer, list) or not all(isinstance(each, Finding) for each in answer):
            raise TypeError(f"its answer is no list of findings: {answer!r:.100}")
        for finding in answer:
            if finding.kind not in self.detector.kinds:
                raise ValueError(f"a finding of kind {finding.kind}, its kinds are {sorted(self.detector.kinds)}")
            encode("Finding", to_record(finding))
        return answer

    def _note(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.state == "CLOSED":
                self._open.pop(finding.id, None)
            else:
                self._open[finding.id] = finding

    def _stop(self, reason: str, reached: Reached) -> list[Finding]:
        """Off; its open episodes end here, since nobody follows them any more."""
        self.detector, self._heard = None, frozenset()
        last, self._open = list(self._open.values()), {}
        verdict = f"nobody follows this any more: the detector {self.name} is off, {reason}; last seen: "
        return [
            found.updated("CLOSED", end_step=max(reached.step, found.onset_step), verdict=verdict + found.verdict)
            for found in last
        ]

    def _fail(self, reason: str, reached: Reached) -> list[Finding]:
        closed = self._stop(reason, reached)
        step = max(reached.step, 0)
        verdict = (
            f"the detector {self.name} is switched off for this attempt: {reason}; all others go on. Mend it, then: "
            f"gradcube set {self._job} {self.name}.enabled=false, and =true"
        )
        off = Finding(
            id=self.finding_id, job=self._job, attempt=self._attempt, kind=KIND, state="CLOSED", subject=Subject(),
            onset_step=step, detected_step=step, end_step=step, onset_at_micros=reached.at_micros,
            detected_at_micros=reached.at_micros, magnitude=1.0, confidence=1.0, evidence=(), verdict=verdict,
        )  # fmt: skip
        return [*closed, off]


def _overrides(detector: Detector, name: str) -> bool:
    return getattr(getattr(detector, name), "__func__", None) is not getattr(Detector, name)
