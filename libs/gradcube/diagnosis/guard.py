"""A detector at arm's length: whatever it does, the other detectors and the service go on.

Questions to the detector come in, findings that can be written go out. One that raises, answers with something else,
or takes more than its share of the time is switched off, and a finding says so.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Finding, Subject, finding_id, to_record
from gradcube.events import encode

KIND = "OTHER"
WATCHED_CALLS = 64
FREE_SECONDS = 2.0
"""What a detector may take within the watched calls whatever its share: warm caches, a machine that was busy."""
MICROS = 1_000_000

Question = Callable[[Detector], list[Finding]]


@dataclass(frozen=True)
class Budget:
    """How much of the time a detector may take: `Budget(time.perf_counter, share=0.25)`; without a clock, all of it.

    Its time over that which passed during its last WATCHED_CALLS calls, by the clock or in the job, whichever is more:
    a backlog is read faster than it happened, and then a detector has more than its share of the clock.
    """

    clock: Callable[[], float] | None = None
    share: float = 0.25


@dataclass(frozen=True)
class Reached:
    """How far the attempt has come: the last step that came out and its time; -1 and 0 before the first."""

    step: int = -1
    at_micros: int = 0


class Stopwatch:
    """The last calls of one detector. The longest of them is left out: the process may have been frozen in it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._calls: deque[tuple[float, float, int]] = deque(maxlen=WATCHED_CALLS)
        self._spent = 0.0

    def now(self) -> float:
        """Seconds of the clock, 0 without one."""
        return self._budget.clock() if self._budget.clock else 0.0

    def excess(self, begun: float, at_micros: int) -> str:
        """Takes a call that has just ended; why its detector is too slow, or ''."""
        cost = self.now() - begun
        if len(self._calls) == WATCHED_CALLS:
            self._spent -= self._calls[0][1]
        self._calls.append((begun, cost, at_micros))
        self._spent += cost
        if self._spent < FREE_SECONDS:
            return ""
        return self._judge(begun + cost)

    def _judge(self, ended: float) -> str:
        longest = max(cost for _, cost, _ in self._calls)
        spent = self._spent - longest
        first_begun, _, first_micros = self._calls[0]
        passed = max(ended - first_begun - longest, (self._calls[-1][2] - first_micros) / MICROS)
        if spent < FREE_SECONDS or spent <= self._budget.share * passed:
            return ""
        share = f"{spent / passed:.0%} of the time" if passed > 0 else "all of the time"
        return f"it took {share} ({spent:.1f} s in {len(self._calls)} calls), {self._budget.share:.0%} is its share"


class Guard:
    """One detector of one attempt, on or off. `detector` is None while it is off."""

    def __init__(self, name: str, job: str, attempt: int, budget: Budget) -> None:
        self.name = name
        self.detector: Detector | None = None
        self._job = job
        self._attempt = attempt
        self._watch = Stopwatch(budget)
        self._open: dict[str, Finding] = {}
        self._wanted: tuple[bool, Any] | None = None

    @property
    def finding_id(self) -> str:
        """Of the finding that says that it was switched off: one for each detector and attempt."""
        return finding_id(self._job, self._attempt, f"{KIND}/{self.name}", Subject(), 0)

    def hold(self, detector: Detector) -> None:
        """Takes a detector that is ready."""
        self.detector = detector
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

    def ask(self, question: Question, reached: Reached) -> list[Finding]:
        """The detector's answer, and what there is to say when it gave none or took too long."""
        if self.detector is None:
            return []
        begun = self._watch.now()
        found: list[Finding] = []
        failure = self._try(lambda: found.extend(self._checked(question)), reached)
        self._note(found)
        too_slow = self._watch.excess(begun, reached.at_micros)
        if too_slow and not failure:
            failure = self._fail(too_slow, reached)
        return found + failure

    def _start(self, kind: type[Detector], settings: Any) -> None:
        self.detector = kind(settings)

    def _configure(self, settings: Any) -> None:
        assert self.detector is not None
        self.detector.configure(settings)

    def _try(self, action: Callable[[], object], reached: Reached) -> list[Finding]:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a detector of somebody's raises, the others go on
            return self._fail(f"it raised {type(error).__name__}: {error}"[:300], reached)
        return []

    def _checked(self, question: Question) -> list[Finding]:
        """The answer. Raises TypeError or ValueError for what cannot be written as findings of this detector."""
        assert self.detector is not None
        answer = question(self.detector)
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
        self.detector = None
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
