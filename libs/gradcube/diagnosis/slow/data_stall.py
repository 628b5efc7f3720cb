"""The data-stall detector: the whole job waits for its data, more than it used to.

Frames in the order of steps come in; an episode that opens, goes on or is over goes out as a finding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.episodes import Episodes, Moment, Sight, steps
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.medians import SlidingMedian
from gradcube.windows.columns import FloatArray

KIND = "DATA_STALL"
JOB = Subject()
KEPT_STEPS = 128


@dataclass(frozen=True)
class DataStallSettings:
    """How much of the step, how much more than usual, for how long. Defaults: see `DataStallDetector`."""

    warmup_steps: int = 10
    baseline_steps: int = 16
    min_ratio: float = 2.0
    min_share: float = 0.10
    run_steps: int = 4
    calm_steps: int = 8


class DataStallDetector(Detector):
    """The time for data that three of four ranks exceed, against the last 128 healthy steps and against the whole step.

    Open after `run_steps` in a row at `min_ratio` of the usual that cost `min_share` of the step more: a loader that
    has to fill its queue anew at the end of an epoch, or a checkpoint that shares its disk, takes one or two steps.
    Only what most ranks share is a stall of the job; one rank that loads slowly is a straggler with that cause. The
    first `warmup_steps` fill caches. Silent where the time for data or the step's is not measured. Assumes that most
    steps are healthy, so a job that has waited from its first step is as it is. 0.4 ms with 8 192 ranks.
    """

    name = "data_stall"
    kinds = frozenset({KIND})
    Settings = DataStallSettings
    settings: DataStallSettings

    def __init__(self, settings: DataStallSettings | None = None) -> None:
        super().__init__(settings)
        self._episodes = Episodes()
        self._warmup_left = self.settings.warmup_steps
        self._usual = SlidingMedian(KEPT_STEPS)
        self._run: list[Moment] = []
        self._last_bad_step = -1

    def restore(self, findings: Sequence[Finding]) -> None:
        """An open episode goes on, against the usual time that it was opened at."""
        self._episodes.restore(findings)
        finding = self._episodes.get(KIND, JOB)
        if finding is not None and finding.evidence[0].peers is not None:
            self._usual.extend([finding.evidence[0].peers] * self.settings.baseline_steps)
            self._warmup_left = 0
            self._last_bad_step = finding.detected_step

    def observe(self, frame: StepFrame) -> list[Finding]:
        """What this step shows; see `Detector`."""
        data, step = _most_ranks(frame.column("data_seconds")), frame.median("step_seconds")
        if math.isnan(data) or not step > 0:
            return []
        if self._warmup_left > 0:
            self._warmup_left -= 1
            return []
        if len(self._usual) < self.settings.baseline_steps:
            self._usual.append(data)
            return []
        return self._judge(Moment.of(frame), data, step)

    def _judge(self, moment: Moment, data: float, step: float) -> list[Finding]:
        usual, opened = self._usual.value, self._episodes.get(KIND, JOB)
        share = (data - usual) / step
        if data < self.settings.min_ratio * usual or share < self.settings.min_share:
            self._run = []
            self._usual.append(data)
            if opened is not None and moment.step - self._last_bad_step >= self.settings.calm_steps:
                count = steps(self._last_bad_step - opened.onset_step + 1)
                verdict = f"data comes as before since step {self._last_bad_step + 1}, after {count} of stall"
                return self._episodes.close(self._last_bad_step, KIND, JOB, verdict, opened.magnitude)
            return []
        self._run = [*self._run, moment][-self.settings.run_steps :]
        self._last_bad_step = moment.step
        sight = _sight(data, usual, step)
        if opened is not None:
            return self._episodes.update(moment, KIND, JOB, sight) if moment.step > opened.detected_step else []
        if len(self._run) < self.settings.run_steps:
            return []
        return self._episodes.open(moment, self._run[0], KIND, JOB, sight)


def _most_ranks(seconds: FloatArray) -> float:
    """What three quarters of the ranks reach, all of two to four; NaN where nobody measured it."""
    measured = np.sort(seconds[np.isfinite(seconds)])
    return float(measured[(len(measured) - 1) // 4]) if len(measured) else math.nan


def _sight(data: float, usual: float, step: float) -> Sight:
    verdict = (
        f"all ranks wait for data: {data:.3g} s of a step of {step:.3g} s, {usual:.3g} s before; check the storage "
        f"that they share, its network, and the number of data workers"
    )
    evidence = (Evidence("data_seconds", data, usual, "seconds"), Evidence("step_seconds", step, None, "seconds"))
    # What the step takes now over what it would take with the data as fast as before.
    return Sight(verdict, step / max(step - (data - usual), 1e-9), 0.9, evidence)
