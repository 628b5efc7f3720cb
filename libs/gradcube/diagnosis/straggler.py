"""The straggler detector: which rank is slower than the peers of its own stage, for more than a moment.

Frames in the order of steps come in; an episode that opens, goes on or is over goes out as a finding.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gradcube.diagnosis.baseline import Baseline
from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.signals import cause_of, gather_evidence, log_ratios
from gradcube.diagnosis.verdicts import gone_verdict, normal_verdict, phase_that_moved, slow_verdict
from gradcube.windows.columns import FloatArray

KIND = "STRAGGLER"
KEPT_FRAMES = 64
KEPT_STEPS = 256


@dataclass(frozen=True)
class StragglerSettings:
    """How sure to be, in units of the job's own noise. Defaults: see `StragglerDetector`."""

    warmup_steps: int = 10
    baseline_steps: int = 16
    slack: float = 0.75
    youth: float = 2.0
    clip: float = 3.0
    open_at: float = 8.0
    close_at: float = 4.0
    min_ratio: float = 1.04
    max_level_ratio: float = 1.10
    min_noise: float = 0.005
    update_steps: int = 50
    absent_steps: int = 50


@dataclass
class _Suspicion:
    """The CUSUM of one rank, and the steps since it left 0: (step, time, log ratio above the baseline)."""

    total: float = 0.0
    steps: deque[tuple[int, int, float]] = field(default_factory=lambda: deque(maxlen=KEPT_STEPS))

    def excesses(self) -> list[float]:
        return [excess for _, _, excess in self.steps]

    def since_onset(self) -> list[tuple[int, int, float]]:
        """From the first slow step on: the CUSUM may have left 0 by noise, a step or two before."""
        half = float(np.median(self.excesses())) / 2
        steps = list(self.steps)
        first = next(at for at, (_, _, excess) in enumerate(steps) if excess >= half)
        return steps[first:]


@dataclass
class _Episode:
    """An open finding, and the CUSUM that will close it."""

    finding: Finding
    reported_step: int
    slow_step: int
    relief: float = 0.0
    absent: int = 0
    excesses: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))

    @property
    def excess(self) -> float:
        return float(np.median(self.excesses)) if self.excesses else math.log(self.finding.magnitude)


class StragglerDetector(Detector):
    """CUSUM per rank over the log of its time against its stage peers, less its own baseline, in units of noise.

    Each step adds z - slack, z clipped at `clip`, never below 0; an episode opens at `open_at`. The slack is `slack`
    plus `youth` / sqrt(steps in the baseline). So a burst of three steps, however slow, adds at most
    3 x (3 - 0.75) = 6.75 and opens nothing; a rank that is three sigma slow is named at its fourth or fifth slow
    step. Page's CUSUM with slack 0.75 and limit 8 gives Gaussian noise one false alarm in about 10^6 rank-steps
    (Siegmund's approximation, exp(2 x 0.75 x 9.2)); simulated noise with heavy tails and memory gave fewer
    than 10. `min_ratio` is the least slowdown worth a sentence: good traces have a noise floor of 0.4-1 %.
    The first steps of an attempt (`warmup_steps`) are compilation and cold caches and are left out; the next
    `baseline_steps` tell the noise. While anybody is suspected, nobody's baseline moves.
    """

    name = "straggler"
    kinds = frozenset({KIND})
    Settings = StragglerSettings
    settings: StragglerSettings

    def __init__(self, settings: StragglerSettings | None = None) -> None:
        super().__init__(settings)
        self._baseline = Baseline(math.log(self.settings.max_level_ratio), self.settings.min_noise)
        self._warmup_left = self.settings.warmup_steps
        self._frames: deque[StepFrame] = deque(maxlen=KEPT_FRAMES)
        self._suspicions: dict[int, _Suspicion] = {}
        self._episodes: dict[int, _Episode] = {}
        self._resolved: dict[int, int] = {}

    def restore(self, findings: Sequence[Finding]) -> None:
        """Open episodes go on under their ids; what is closed is not opened again for the same steps."""
        for finding in findings:
            rank = finding.subject.rank
            if finding.kind != KIND or rank is None:
                continue
            if finding.state == "CLOSED":
                end = finding.detected_step if finding.end_step is None else finding.end_step
                self._resolved[rank] = max(end, self._resolved.get(rank, -1))
            else:
                self._episodes[rank] = _Episode(finding, finding.detected_step, finding.detected_step)

    def observe(self, frame: StepFrame) -> list[Finding]:
        """What this step shows; see `Detector`."""
        if self._warmup_left > 0:
            self._warmup_left -= 1
            return []
        self._frames.append(frame)
        ratios = log_ratios(frame)
        columns = self._baseline.columns(frame.rank.astype(np.int64))
        known = np.isin(frame.rank, list(self._episodes))
        if self._baseline.steps < self.settings.baseline_steps:
            self._baseline.take(columns, ratios, np.isfinite(ratios) & ~known)
            return []
        excess = ratios - self._baseline.level(columns)
        findings = self._follow(frame, excess)
        findings += self._suspect(frame, excess)
        if not self._episodes and not self._suspicions_above(self.settings.open_at / 2):
            self._baseline.take(columns, ratios, np.isfinite(ratios))
        return findings

    def _suspicions_above(self, limit: float) -> bool:
        return any(suspicion.total > limit for suspicion in self._suspicions.values())

    def _suspect(self, frame: StepFrame, excess: FloatArray) -> list[Finding]:
        """Moves the CUSUM of every rank that has no episode; only those above 0 are kept."""
        z = np.minimum(excess / self._baseline.scale, self.settings.clip)
        # The baseline itself is uncertain while it is young.
        moved = z - self.settings.slack - self.settings.youth / math.sqrt(self._baseline.steps)
        opened = []
        with np.errstate(invalid="ignore"):
            rising = set(frame.rank[moved > 0].tolist())
        for rank in sorted(rising | self._suspicions.keys()):
            at = np.flatnonzero(frame.rank == rank)
            if rank in self._episodes or not len(at) or not np.isfinite(moved[at[0]]):
                continue
            if self._move(rank, float(moved[at[0]]), float(excess[at[0]]), frame):
                opened.append(self._open(rank, frame, int(at[0])))
        return opened

    def _move(self, rank: int, moved: float, excess: float, frame: StepFrame) -> bool:
        """Adds one step to a rank's CUSUM; whether that is enough."""
        suspicion = self._suspicions.setdefault(rank, _Suspicion())
        suspicion.steps.append((frame.step, frame.at_micros, excess))
        # Bounded: what is below the least ratio worth a word must not pile up until the noise tips it over.
        suspicion.total = min(suspicion.total + moved, 2 * self.settings.open_at)
        if suspicion.total <= 0 or frame.step <= self._resolved.get(rank, -1):
            del self._suspicions[rank]
            return False
        enough = float(np.median(suspicion.excesses())) >= math.log(self.settings.min_ratio)
        return enough and suspicion.total >= self.settings.open_at

    def _open(self, rank: int, frame: StepFrame, at: int) -> Finding:
        steps = self._suspicions.pop(rank).since_onset()
        onset_step, onset_at_micros, _ = steps[0]
        excesses = [excess for _, _, excess in steps]
        subject = _subject(frame, at)
        ratio = math.exp(float(np.median(excesses)))
        evidence, verdict = self._explain(subject, ratio, onset_step)
        finding = Finding(
            id=finding_id(frame.job, frame.attempt, KIND, subject, onset_step),
            job=frame.job,
            attempt=frame.attempt,
            kind=KIND,
            state="OPENED",
            subject=subject,
            onset_step=onset_step,
            detected_step=frame.step,
            end_step=None,
            onset_at_micros=onset_at_micros,
            detected_at_micros=frame.at_micros,
            magnitude=ratio,
            confidence=self._confidence(ratio, len(steps), evidence),
            evidence=evidence,
            verdict=verdict,
        )
        self._episodes[rank] = _Episode(finding, frame.step, frame.step)
        self._episodes[rank].excesses.extend(excesses)
        return finding

    def _follow(self, frame: StepFrame, excess: FloatArray) -> list[Finding]:
        """Goes on with the open episodes: updates now and then, and the end when the rank has recovered."""
        findings = []
        for rank, episode in list(self._episodes.items()):
            if frame.step <= episode.finding.detected_step:
                continue  # a replay of steps that the episode was opened on
            at = np.flatnonzero(frame.rank == rank)
            if not len(at) or not np.isfinite(excess[at[0]]):
                episode.absent += 1
                over = episode.absent >= self.settings.absent_steps
            else:
                episode.absent = 0
                over = self._relieved(episode, float(excess[at[0]]), frame.step)
            if over:
                findings.append(self._close(rank, episode))
            elif frame.step - episode.reported_step >= self.settings.update_steps:
                findings.append(self._update(episode, frame))
        return findings

    def _relieved(self, episode: _Episode, excess: float, step: int) -> bool:
        """The mirror image of opening: a CUSUM of how far the rank is below half of its slowdown."""
        half = episode.excess / 2
        z = (half - excess) / min(self._baseline.scale, half)
        episode.relief = max(0.0, episode.relief + min(max(z, -self.settings.clip), 1.0))
        if episode.relief == 0.0:
            episode.slow_step = step
        if excess > half:
            episode.excesses.append(excess)
        return episode.relief >= self.settings.close_at

    def _close(self, rank: int, episode: _Episode) -> Finding:
        del self._episodes[rank]
        end = episode.slow_step
        self._resolved[rank] = end
        ratio = math.exp(episode.excess)
        subject = episode.finding.subject
        if episode.absent:
            verdict = gone_verdict(subject, ratio, end)
        else:
            verdict = normal_verdict(subject, ratio, episode.finding.onset_step, end)
        return episode.finding.updated("CLOSED", end_step=end, magnitude=ratio, verdict=verdict)

    def _update(self, episode: _Episode, frame: StepFrame) -> Finding:
        episode.reported_step = frame.step
        ratio = math.exp(episode.excess)
        evidence, verdict = self._explain(episode.finding.subject, ratio, episode.finding.onset_step)
        confidence = self._confidence(ratio, len(episode.excesses), evidence)
        episode.finding = episode.finding.updated(
            "UPDATED", magnitude=ratio, confidence=confidence, evidence=evidence, verdict=verdict
        )
        return episode.finding

    def _explain(self, subject: Subject, ratio: float, onset_step: int) -> tuple[tuple[Evidence, ...], str]:
        assert subject.rank is not None
        during = [frame for frame in self._frames if frame.step >= onset_step]
        before = [frame for frame in self._frames if frame.step < onset_step]
        evidence = gather_evidence(during, subject.rank)
        cause = cause_of(evidence, ratio, before, subject.rank)
        phase = phase_that_moved(evidence)
        return evidence, slow_verdict(subject, ratio, onset_step, phase, cause)

    def _confidence(self, ratio: float, steps: int, evidence: Sequence[Evidence]) -> float:
        """From the strength of the signal; less when the waits contradict it, for the culprit waits least."""
        sigmas = math.log(ratio) / self._baseline.scale * math.sqrt(steps)
        confidence = min(0.99, 1 - math.exp(-sigmas / 3))
        wait = next((piece for piece in evidence if piece.signal == "sync_wait_seconds"), None)
        contradicted = wait is not None and wait.peers is not None and wait.value > wait.peers
        return confidence / 2 if contradicted else confidence


def _subject(frame: StepFrame, at: int) -> Subject:
    return Subject(
        rank=int(frame.rank[at]),
        node=str(frame.node[at]) or None,
        stage=int(frame.stage[at]),
        replica=int(frame.replica[at]),
    )
