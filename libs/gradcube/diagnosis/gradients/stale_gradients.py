"""The staleness detector: gradients computed from parameters that are older than they used to be, or than the peers'.

Frames in the order of steps come in; an episode that opens, goes on or is over goes out as a finding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.episodes import Sight, named, rank_subject, steps
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.gradients.lasting import LastingEpisodes
from gradcube.diagnosis.gradients.peer_deviation import PeerDeviation
from gradcube.diagnosis.medians import SlidingMedian
from gradcube.windows.peers import MIN_PEERS

KIND = "STALE_GRADIENTS"
JOB = Subject()
KEPT_STEPS = 128
LEARN_STEPS = 32


@dataclass(frozen=True)
class StaleGradientsSettings:
    """How many versions older, and for how long. Defaults: see `StaleGradientsDetector`."""

    min_versions: float = 4.0
    sigmas: float = 6.0
    run_steps: int = 5
    job_ratio: float = 2.0
    job_run_steps: int = 10
    calm_steps: int = 10


class StaleGradientsDetector(Detector):
    """Staleness (version at the update less version used) of a rank against its peers, and of the job against before.

    A rank: `min_versions` and `sigmas` above its stage peers and its own usual difference, `run_steps` in a row. The
    job: the median over ranks `job_ratio` times and `min_versions` above its own median of 128 healthy steps,
    `job_run_steps` in a row. The least number is the bound that stale-synchronous training is commonly run at (SSP,
    NIPS 2013: 4 or more costs convergence per update); it follows a learning rate divided by the staleness. A rank that
    has always been later than the others is as it is. Silent where there is no parameter server. Assumes 32 steps of
    health at the start. 1.4 ms with 8 192 ranks.
    """

    name = "stale_gradients"
    kinds = frozenset({KIND})
    Settings = StaleGradientsSettings
    settings: StaleGradientsSettings

    def __init__(self, settings: StaleGradientsSettings | None = None) -> None:
        super().__init__(settings)
        self._episodes = LastingEpisodes(KIND)
        self._deviation = PeerDeviation(min_sigma=0.5)
        self._history = SlidingMedian(KEPT_STEPS)
        self._run = 0

    def restore(self, findings: Sequence[Finding]) -> None:
        """Open episodes go on."""
        self._episodes.restore(findings)
        self._deviation.trust(self._episodes.ranks())
        job = self._episodes.get(JOB)
        if job is not None and job.evidence[0].peers is not None:
            self._history.extend([job.evidence[0].peers] * LEARN_STEPS)

    def observe(self, frame: StepFrame) -> list[Finding]:
        """What this step shows; see `Detector`."""
        now = frame.median("staleness")
        if math.isnan(now):
            return []
        self._episodes.begin(frame)
        findings = self._watch_job(now) + self._watch_ranks(frame)
        return findings + self._episodes.close_calm(self.settings.calm_steps, _calm_verdict)

    def _watch_job(self, now: float) -> list[Finding]:
        usual = self._history.value if len(self._history) >= LEARN_STEPS else now
        settings = self.settings
        if now <= max(settings.job_ratio * usual, usual + settings.min_versions):
            self._run = 0
            self._history.append(now)
            return []
        self._run += 1
        if self._run < settings.job_run_steps and self._episodes.get(JOB) is None:
            return []
        return self._episodes.note(JOB, self._run, _sight(JOB, now, usual))

    def _watch_ranks(self, frame: StepFrame) -> list[Finding]:
        deviation, findings, staleness = self._deviation, list[Finding](), frame.column("staleness")
        if len(staleness) <= MIN_PEERS:
            deviation.pass_over(frame)
            return []
        limits = self.settings.min_versions, self.settings.sigmas
        deviation.take(frame, staleness, limits, self._episodes.ranks())
        enough = (deviation.run >= self.settings.run_steps) | deviation.held
        late = deviation.outside & enough & (deviation.excess > 0)
        for at in np.flatnonzero(late).tolist():
            subject = rank_subject(frame, at)
            sight = _sight(subject, float(staleness[at]), float(deviation.peers[at]))
            findings += self._episodes.note(subject, int(deviation.run[at]), sight)
        return findings


def _sight(subject: Subject, now: float, usual: float) -> Sight:
    against = "before" if subject == JOB else "its peers"
    advice = (
        "look for servers that have become slow, or for more workers than they can take"
        if subject == JOB
        else "look at how long its steps and its pulls take, and lower its learning rate meanwhile"
    )
    verdict = (
        f"the gradients of {named(subject)} are {now:.0f} versions old when they are applied, {usual:.0f} with "
        f"{against}: {advice}"
    )
    return Sight(verdict, now - usual, 0.9, (Evidence("staleness", now, usual, "count"),))


def _calm_verdict(subject: Subject, onset_step: int, end_step: int) -> str:
    count = steps(end_step - onset_step + 1)
    return f"the gradients of {named(subject)} are fresh again since step {end_step + 1}, after {count}"
