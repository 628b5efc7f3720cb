"""The gradient detector: one rank's gradient leaves its peers', as silent data corruption makes it do.

Frames in the order of steps come in; an episode that opens, goes on or is over goes out as a finding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.episodes import rank_subject
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.gradients.gradient_verdicts import (
    calm_verdict,
    deviation_sight,
    nonfinite_sight,
    overflow_sight,
)
from gradcube.diagnosis.gradients.lasting import LastingEpisodes
from gradcube.diagnosis.gradients.peer_deviation import LEARN_STEPS, PeerDeviation
from gradcube.windows.columns import FloatArray
from gradcube.windows.peers import MIN_PEERS

KIND = "GRADIENT_ANOMALY"
JOB = Subject()
SIGNALS = ("grad_norm", "bucket_absmax")
NAMED_SHARE = 0.25
"""Of the ranks: when more leave the others at once, there is no saying who is wrong."""


@dataclass(frozen=True)
class GradientAnomalySettings:
    """How far outside, and for how long. Defaults: see `GradientAnomalyDetector`."""

    run_steps: int = 3
    sigmas: float = 8.0
    min_ratio: float = 1.5
    at_once_sigmas: float = 20.0
    at_once_min_ratio: float = 30.0
    nonfinite_steps: int = 3
    calm_steps: int = 8


class GradientAnomalyDetector(Detector):
    """log gradient norm and largest gradient of a rank against its stage peers, less its own usual difference.

    Outside is `min_ratio` and `sigmas`, up or down, `run_steps` in a row; or `at_once_min_ratio` and `at_once_sigmas`
    in one step, as a flipped exponent bit does it. Tails of gradient norms are heavy but made of single steps, hence
    the run. Gradient elements that are no number on a rank whose peers have none count at once; on most ranks only
    after `nonfinite_steps` in a row, since loss scaling of 16-bit training overflows by design and skips the step.
    Assumes that the ranks of a stage see batches of the same kind, and gradients before the reduction: after it
    they are all the same, and nothing is found. Needs three ranks a stage and 32 steps. 3 ms with 8 192 ranks.
    """

    name = "gradient_anomaly"
    kinds = frozenset({KIND})
    Settings = GradientAnomalySettings
    settings: GradientAnomalySettings

    def __init__(self, settings: GradientAnomalySettings | None = None) -> None:
        super().__init__(settings)
        self._episodes = LastingEpisodes(KIND)
        self._deviations = {name: PeerDeviation(min_sigma=0.02) for name in SIGNALS}
        self._overflow_steps = 0

    def restore(self, findings: Sequence[Finding]) -> None:
        """Open episodes go on."""
        self._episodes.restore(findings)
        for deviation in self._deviations.values():
            deviation.trust(self._episodes.ranks())

    def observe(self, frame: StepFrame) -> list[Finding]:
        """What this step shows; see `Detector`."""
        self._episodes.begin(frame)
        findings = self._watch_numbers(frame)
        for name in SIGNALS:
            values = frame.column(name) if name != "bucket_absmax" else frame.bucket_absmax.astype(np.float64)
            if np.isfinite(values).any():
                findings += self._watch(frame, name, values)
        if self._episodes.num_steps < LEARN_STEPS:  # after a restart the noise is not known yet
            return findings
        return findings + self._episodes.close_calm(self.settings.calm_steps, calm_verdict)

    def _watch(self, frame: StepFrame, name: str, values: FloatArray) -> list[Finding]:
        deviation, settings = self._deviations[name], self.settings
        if len(values) <= MIN_PEERS:
            deviation.pass_over(frame)
            return []
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(values > 0, np.log(values), np.nan)
        deviation.take(frame, logs, (math.log(settings.min_ratio), settings.sigmas), self._episodes.ranks())
        far = max(math.log(settings.at_once_min_ratio), settings.at_once_sigmas * deviation.sigma)
        enough = (deviation.run >= settings.run_steps) | deviation.held
        who = np.flatnonzero((deviation.outside & enough) | (np.abs(deviation.excess) > far))
        if len(who) > max(1, NAMED_SHARE * len(values)):
            return []
        findings: list[Finding] = []
        for at in who.tolist():
            ratio = math.exp(deviation.excess[at])
            evidence = Evidence(name, float(values[at]), math.exp(deviation.peers[at]), "norm")
            subject = rank_subject(frame, at)
            sight = deviation_sight(subject, ratio, evidence)
            findings += self._episodes.note(subject, int(deviation.run[at]), sight)
        return findings

    def _watch_numbers(self, frame: StepFrame) -> list[Finding]:
        """Gradient elements that are no number; the one that stands for the loss is left to the loss detectors."""
        loss, nonfinite = frame.column("loss"), frame.column("nonfinite")
        if not (nonfinite > 0).any():
            self._overflow_steps = 0
            return []
        own = ~np.isfinite(loss) & np.isfinite(loss).any()
        count = np.nan_to_num(nonfinite) - own
        wrong = np.flatnonzero(count > 0)
        many = len(wrong) > max(1, NAMED_SHARE * len(count)) or len(count) == 1
        self._overflow_steps = self._overflow_steps + 1 if many and len(wrong) else 0
        if self._overflow_steps >= self.settings.nonfinite_steps:
            sight = overflow_sight(len(wrong), len(count), self._overflow_steps)
            return self._episodes.note(JOB, self._overflow_steps, sight)
        findings: list[Finding] = []
        for at in [] if many else wrong.tolist():
            subject = rank_subject(frame, at)
            findings += self._episodes.note(subject, 1, nonfinite_sight(subject, float(count[at])))
        return findings
