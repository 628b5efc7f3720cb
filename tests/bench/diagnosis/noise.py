"""How noisy a run is, and the least delay that theory allows in such noise; a healthy recording comes in."""

import math
from dataclasses import dataclass

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from tests.bench.diagnosis.injections import Injection, Level
from tests.bench.diagnosis.recordings import Recording

MAD_TO_SIGMA = 1.4826
SKIPPED_STEPS = 10
BASELINE_STEPS = 32
MAX_CORRELATION = 0.9
STEPS_BETWEEN_ALARMS = 1e6
SIEGMUND = 1.166
"""Twice the overshoot (0.583 a side) by which Siegmund (1985, section 10.2) corrects a CUSUM's limit."""


@dataclass(frozen=True)
class Noise:
    """Robust sigma of log time in one step around the median of the steps before it, and its lag-1 correlation."""

    sigma: float
    correlation: float

    @property
    def effective(self) -> float:
        """The sigma that counts for sums over many steps."""
        r = min(max(self.correlation, 0.0), MAX_CORRELATION)
        return self.sigma * math.sqrt((1 + r) / (1 - r))


@dataclass(frozen=True)
class Floors:
    """`peers`: a rank against its stage peers; `alone`: the same after regressing on the other stages of the same

    replica and step; `stage`: a stage's median against the other stages'; `time`: the whole job against its past.
    None where the run has no such thing.
    """

    peers: Noise | None
    alone: Noise | None
    stage: Noise | None
    time: Noise

    def of(self, level: Level) -> Noise:
        """The lowest floor on which a slow-down of that level stands out."""
        if level == "job":
            return self.time
        known = [self.stage, self.time] if level == "stage" else [self.peers, self.alone]
        return min((n for n in known if n is not None), key=lambda n: n.effective)


def floors(recording: Recording) -> Floors:
    """Of a healthy run, its first steps left out."""
    logs = np.log(recording.own_seconds())[SKIPPED_STEPS:]
    time = _noise(np.median(logs, axis=1, keepdims=True))
    if recording.num_ranks == 1:
        return Floors(None, None, None, time)
    residual = _against_peers(logs, recording.stage)
    residual -= np.median(residual, axis=0)
    stages = [np.median(logs[:, recording.stage == s], axis=1) for s in np.unique(recording.stage)]
    if len(stages) == 1:
        return Floors(_noise(residual), None, None, time)
    medians = np.stack(stages, axis=1)
    stage = _noise(_against_peers(medians, np.zeros(len(stages), np.int64)))
    return Floors(_noise(residual), _noise(_alone(residual, recording)), stage, time)


def least_delay(noise: Noise, ratio: float) -> float:
    """Steps after the first slow one that a CUSUM needs, if it may be wrong once in 10^6 rank-steps.

    The CUSUM that knows the size of the shift is optimal (Lorden 1971, Moustakides 1986); run lengths by Siegmund's
    approximation (exp(-2 d b) + 2 d b - 1) / (2 d^2), b = h + 1.166, for Gaussian noise: real tails are heavier.
    """
    half = math.log(ratio) / noise.effective / 2
    low, high = 0.0, 60.0 / half
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _run_length(-half, middle) < STEPS_BETWEEN_ALARMS else (low, middle)
    return max(0.0, _run_length(half, max(low, SIEGMUND)) - 1)


def allowed(injection: Injection, noise: Noise) -> bool:
    """Whether the noise leaves room, a rule that asks nobody's detector.

    The slow-down must last 5 steps and four times the least delay of its size (for a flap, of its mean size).
    """
    mean = 1 + (injection.ratio - 1) * injection.slow_share
    return injection.end - injection.counted_from >= 5 + 4 * least_delay(noise, mean)


def _run_length(drift: float, limit: float) -> float:
    exponent = min(-2 * drift * limit, 60.0)
    return (math.exp(exponent) - exponent - 1) / (2 * drift**2)


def _against_peers(logs: FloatArray, group: IntArray) -> FloatArray:
    """Each column less the median of the others of its group, per step."""
    result = np.empty_like(logs)
    for column in range(logs.shape[1]):
        others = np.flatnonzero((group == group[column]) & (np.arange(logs.shape[1]) != column))
        result[:, column] = logs[:, column] - np.median(logs[:, others], axis=1)
    return result


def _alone(residual: FloatArray, recording: Recording) -> FloatArray:
    """What is left of each rank after a regression on the mean of the other stages of its replica, per step."""
    left = residual.copy()
    for column in range(residual.shape[1]):
        same = recording.replica == recording.replica[column]
        others = np.flatnonzero(same & (recording.stage != recording.stage[column]))
        if len(others):
            shared = residual[:, others].mean(axis=1)
            scatter = float(shared @ shared)
            left[:, column] -= shared * (float(shared @ residual[:, column]) / scatter if scatter else 0.0)
    return left


def _noise(values: FloatArray) -> Noise:
    at = range(SKIPPED_STEPS, len(values))
    centred = np.stack([values[t] - np.median(values[max(0, t - BASELINE_STEPS) : t], axis=0) for t in at])
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(centred)))
    clipped = np.clip(centred, -3 * sigma, 3 * sigma)
    spread = float(np.sum(clipped**2))
    return Noise(sigma, float(np.sum(clipped[1:] * clipped[:-1])) / spread if spread else 0.0)
