"""The hang detector: no step for much longer than is usual for the job, and who is missing.

Steps, leases, resource samples and the passing of time come in; a hang goes out, and its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Evidence, Finding, finding_id
from gradcube.diagnosis.frames import StepFrame, Waiting
from gradcube.diagnosis.hangs.hang_verdicts import ended_verdict, hang_verdict, over_verdict
from gradcube.diagnosis.hangs.roll_call import RollCall
from gradcube.diagnosis.medians import SlidingMedian
from gradcube.windows.rows import ResourceRows

KIND = "HANG"
MICROS = 1_000_000
KEPT_INTERVALS = 256


@dataclass(frozen=True)
class HangSettings:
    """How long without a step is a hang. Defaults: see `HangDetector`."""

    factor: float = 10.0
    min_seconds: float = 120.0
    max_seconds: float = 600.0
    pause_factor: float = 2.0
    warmup_steps: int = 10


class HangDetector(Detector):
    """No step for longer than the job's own pauses explain.

    The limit is `factor` times the median time from step to step (a whole job that has become slow is not ten times
    slower), at least `min_seconds`, and at least `pause_factor` times the longest pause that the job has come back
    from: evaluations and checkpoints are usual once they were seen. What is learnt of pauses stays below
    `max_seconds`, after which PyTorch's own watchdog ends a collective (ProcessGroupNCCL's default, 10 minutes); so
    long is also waited for while fewer than `warmup_steps` steps tell what is usual (compilation, cold caches).

    Silence alone may be the end of a run that nobody announced. It is a hang when somebody is known to be missing,
    when the coordinator knows the attempt as running, or when ranks still send resource samples. A finished attempt,
    one that all ranks have left, and one that a later attempt follows, are none. Before its first step a job is
    not judged. A step costs one comparison of its ranks with those before.
    """

    name = "hang"
    kinds = frozenset({KIND})
    Settings = HangSettings
    settings: HangSettings

    def __init__(self, settings: HangSettings | None = None) -> None:
        super().__init__(settings)
        self._intervals = SlidingMedian(KEPT_INTERVALS)
        self._longest_seconds = 0.0
        self._last: StepFrame | None = None
        self._ranks = RollCall()
        self._announced = False
        self._sampled_micros = 0
        self._over = False
        self._episode: Finding | None = None

    def restore(self, findings: Sequence[Finding]) -> None:
        """An open hang goes on."""
        for finding in findings:
            self._episode = None if finding.state == "CLOSED" else finding

    def observe(self, frame: StepFrame) -> list[Finding]:
        """A step ends a hang; otherwise it tells what is usual."""
        before, self._last = self._last, frame
        self._ranks.observe(frame)
        episode = self._episode
        if episode is not None and frame.step >= episode.onset_step:
            seconds = (frame.at_micros - episode.onset_at_micros) / MICROS
            return self._close(frame.step, seconds, over_verdict(frame.step, seconds, self._ranks.back()))
        if before is not None:
            seconds = (frame.at_micros - before.at_micros) / MICROS
            self._intervals.append(seconds)
            self._longest_seconds = max(self._longest_seconds, seconds)
        return []

    def observe_resources(self, rows: ResourceRows) -> list[Finding]:
        """Samples of ranks show that their processes live."""
        alive = rows.ended_at_micros[(rows.rank >= 0) & (rows.attempt >= 0)]
        self._sampled_micros = max(self._sampled_micros, int(alive.max(initial=0)))
        return []

    def observe_lifecycle(self, event: Mapping[str, Any]) -> list[Finding]:
        """Leases: who was lost, who has left, and when all is over."""
        self._announced = True
        kind, rank = event["kind"], event["rank"]
        everybody_left = kind == "RANK_LEFT" and event["world_size"] == 0
        if kind == "JOB_FINISHED" or everybody_left:
            self._over = True
            return self._end(event)
        if kind in ("JOB_STARTED", "RANK_JOINED"):
            self._over = False
        if rank is not None:
            self._ranks.lease(kind, rank, event["node"])
        return self._name(event) if kind in ("RANK_LOST", "RANK_LEFT") else []

    def pass_time(self, now_micros: int, waiting: Waiting) -> list[Finding]:
        """Whether it is too long since the last step."""
        if self._last is None or self._over or self._episode is not None:
            return []
        limit = self._limit_seconds()
        deadline = self._last.at_micros + round(limit * MICROS)
        if now_micros < deadline:
            return []
        self._ranks.expect(waiting)
        sampled_since = self._sampled_micros - self._last.at_micros > limit / 2 * MICROS
        if not (self._ranks.culprits() or self._announced or sampled_since):
            return []
        return self._open(self._last, limit, deadline)

    def _limit_seconds(self) -> float:
        own = self.settings
        if len(self._intervals) < own.warmup_steps:
            return max(own.min_seconds, own.max_seconds)
        pauses = min(max(own.min_seconds, own.pause_factor * self._longest_seconds), own.max_seconds)
        return max(pauses, own.factor * self._usual_seconds())

    def _usual_seconds(self) -> float:
        return self._intervals.value if len(self._intervals) else 0.0

    def _open(self, last: StepFrame, seconds: float, deadline_micros: int) -> list[Finding]:
        step, usual, subject = last.step + 1, self._usual_seconds(), self._ranks.subject()
        self._episode = Finding(
            id=finding_id(last.job, last.attempt, KIND, subject, step),
            job=last.job, attempt=last.attempt, kind=KIND, state="OPENED", subject=subject,
            onset_step=step, detected_step=step, end_step=None,
            onset_at_micros=last.at_micros, detected_at_micros=deadline_micros, magnitude=self._times(seconds),
            confidence=0.95 if self._ranks.culprits() else 0.75,
            evidence=self._evidence(seconds),
            verdict=hang_verdict(step, seconds, usual, self._ranks.missing(), self._ranks.lost()),
        )  # fmt: skip
        return [self._episode]

    def _name(self, event: Mapping[str, Any]) -> list[Finding]:
        """A lease that ends during a hang says who it is, or who gave up."""
        episode = self._episode
        seconds = 0.0 if episode is None else (event["at"] - episode.onset_at_micros) / MICROS
        if episode is None or seconds <= 0:
            return []
        verdict = hang_verdict(
            episode.onset_step, seconds, self._usual_seconds(), self._ranks.missing(), self._ranks.lost()
        )
        self._episode = episode.updated(
            "UPDATED",
            magnitude=self._times(seconds),
            confidence=0.95,
            evidence=self._evidence(seconds),
            verdict=verdict,
        )
        return [self._episode]

    def _end(self, event: Mapping[str, Any]) -> list[Finding]:
        if self._episode is None:
            return []
        seconds = (event["at"] - self._episode.onset_at_micros) / MICROS
        return self._close(self._episode.onset_step, seconds, ended_verdict(self._episode.onset_step, event["detail"]))

    def _close(self, step: int, seconds: float, verdict: str) -> list[Finding]:
        assert self._episode is not None
        magnitude = max(self._times(seconds), self._episode.magnitude)
        closed = self._episode.updated("CLOSED", end_step=step, magnitude=magnitude, verdict=verdict)
        self._episode = None
        return [closed]

    def _times(self, seconds: float) -> float:
        usual = self._usual_seconds()
        return seconds / usual if usual > 0 else seconds

    def _evidence(self, seconds: float) -> tuple[Evidence, ...]:
        usual = self._usual_seconds()
        return (
            Evidence("seconds_without_a_step", seconds, usual if usual > 0 else None, "seconds"),
            Evidence("missing_ranks", float(len(self._ranks.missing())), None, "count"),
            Evidence("lost_leases", float(len(self._ranks.lost())), None, "count"),
        )
