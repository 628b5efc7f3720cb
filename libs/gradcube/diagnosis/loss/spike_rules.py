"""When a loss spike begins: the loss and the gradient norm of a job, each against its own trend.

Steps come in; the moment that a spike began goes out, or None.
"""

import math
from dataclasses import dataclass

from gradcube.diagnosis.episodes import Moment
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.gradients.largest import Largest
from gradcube.diagnosis.loss.training_curve import Curve, Regime, job_gradient_norm


@dataclass(frozen=True)
class LossSpikeSettings:
    """Limits in sigma of the curve's own noise, and as least ratios. Defaults: see `LossSpikeDetector`."""

    warmup_steps: int = 64
    single_sigmas: float = 15.0
    single_min_ratio: float = 1.10
    pair_sigmas: float = 6.0
    pair_min_ratio: float = 1.05
    gradient_sigmas: float = 6.0
    gradient_min_ratio: float = 2.0
    joint_gradient_sigmas: float = 5.0
    joint_gradient_min_ratio: float = 4.0
    joint_loss_sigmas: float = 4.0
    joint_loss_min_ratio: float = 1.03
    calm_sigmas: float = 4.0
    calm_steps: int = 8
    max_steps: int = 200


@dataclass(frozen=True)
class CurveStep:
    """A step's loss and gradient norm, and the logs of their ratios to the trend; NaN and 0 where not measured."""

    moment: Moment
    loss: float
    gradient: float
    loss_excess: float
    gradient_excess: float

    @property
    def is_measured(self) -> bool:
        """Whether it says anything."""
        return math.isfinite(self.loss) or math.isfinite(self.gradient)


class SpikeRules:
    """The trends of healthy steps and the four rules of `LossSpikeDetector`.

    A step joins the trends only when the next one has shown that it was no precursor.
    """

    def __init__(self, settings: LossSpikeSettings) -> None:
        self.settings = settings
        self._regime = Regime()
        self.forget()

    def forget(self) -> None:
        """Begins anew: what was normal no longer is."""
        self.loss = Curve(min_sigma=0.002, young_sigma=0.03)
        self.gradient = Curve(min_sigma=0.02, young_sigma=0.3)
        self._joints = Largest()
        self._pending: CurveStep | None = None

    def measure(self, frame: StepFrame) -> CurveStep:
        """The step against the trends; of another batch size or sequence length, it begins new ones."""
        if self._regime.has_changed(frame):
            self.forget()
        loss, gradient = frame.median("loss"), job_gradient_norm(frame)
        return CurveStep(Moment.of(frame), loss, gradient, self.loss.excursion(loss), self.gradient.excursion(gradient))

    def take(self, step: CurveStep) -> None:
        """Takes a step for healthy, as long as the next one does not say otherwise."""
        if self._pending is not None:
            self.loss.take(self._pending.loss)
            self.gradient.take(self._pending.gradient)
            self._joints.take(self._joint_sigmas(self._pending))
        self._pending = step

    def drop_pending(self) -> None:
        """The step that was taken last belongs to a spike."""
        self._pending = None

    def onset(self, now: CurveStep) -> Moment | None:
        """When the spike began that this step gives away; None when it gives none away."""
        if now.moment.step < self.settings.warmup_steps:
            return None
        before = self._pending
        if before is not None and (self._loss_pair(before, now) or self._gradient_pair(before, now)):
            return before.moment
        return now.moment if self._loss_alone(now) or self._joint(now) else None

    def is_bad(self, now: CurveStep) -> bool:
        """Whether a step still belongs to a spike: out of the usual, though less than opens one."""
        sigmas, settings = self.settings.calm_sigmas, self.settings
        return now.loss_excess > max(
            sigmas * self.loss.sigma, math.log(settings.joint_loss_min_ratio)
        ) or now.gradient_excess > max(sigmas * self.gradient.sigma, math.log(settings.gradient_min_ratio))

    def _loss_alone(self, now: CurveStep) -> bool:
        floor = math.log(self.settings.single_min_ratio)
        return now.loss_excess > self.loss.single_limit(self.settings.single_sigmas, floor)

    def _loss_pair(self, before: CurveStep, now: CurveStep) -> bool:
        floor = math.log(self.settings.pair_min_ratio)
        return min(before.loss_excess, now.loss_excess) > self.loss.pair_limit(self.settings.pair_sigmas, floor)

    def _gradient_pair(self, before: CurveStep, now: CurveStep) -> bool:
        sigmas, floor = self.settings.gradient_sigmas, math.log(self.settings.gradient_min_ratio)
        first = self.gradient.pair_limit(sigmas * 2 / 3, floor / 2)
        return before.gradient_excess > first and now.gradient_excess > max(first, floor, sigmas * self.gradient.sigma)

    def _joint(self, now: CurveStep) -> bool:
        settings = self.settings
        loss = max(settings.joint_loss_sigmas * self.loss.sigma, math.log(settings.joint_loss_min_ratio))
        gradient = max(
            settings.joint_gradient_sigmas * self.gradient.sigma, math.log(settings.joint_gradient_min_ratio)
        )
        both = now.loss_excess > loss and now.gradient_excess > gradient
        return both and self._joint_sigmas(now) > self._joints.news

    def _joint_sigmas(self, now: CurveStep) -> float:
        """How far out both signals are, in sigma of each."""
        return min(now.loss_excess / self.loss.sigma, now.gradient_excess / self.gradient.sigma)
