"""Greyhound: Bayesian online change points with verification.

Source: Wu et al., USENIX ATC 2025: change points of each worker's time by Adams & MacKay (2007), verified by a change
of more than 10 % of the mean before and after. Open choices: a normal-inverse-gamma prior from the first 10 steps,
hazard 1/100, run lengths up to 64, means over up to 10 steps before and at least 3 after (the paper reacts in 2-3); the
rank's own time as the signal, where the paper times collectives and then profiles the ranks: which is kinder.
"""

import math

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray, IntArray
from tests.bench.diagnosis.recordings import Recording

VERIFIED_RATIO = 1.10
HAZARD = 1 / 100
LONGEST_RUN = 64
PRIOR_STEPS = 10
SIDE_STEPS = 10
AFTER_STEPS = 3


def flags(recording: Recording) -> BoolArray:
    """A rank is slow while its last change point is young and verified as a slow-down."""
    seconds = recording.own_seconds()
    slow = np.zeros(seconds.shape, bool)
    for at, run in enumerate(_run_lengths(seconds)):
        for column in np.flatnonzero((run >= AFTER_STEPS) & (run <= SIDE_STEPS)).tolist():
            start = at - int(run[column]) + 1
            before = seconds[max(0, start - SIDE_STEPS) : start, column]
            if len(before) >= AFTER_STEPS:
                slow[at, column] = seconds[start : at + 1, column].mean() > VERIFIED_RATIO * before.mean()
    return slow


def _run_lengths(seconds: FloatArray) -> list[IntArray]:
    """The most probable number of steps since the last change, of each rank after each step."""
    first = seconds[:PRIOR_STEPS]
    centre = np.median(first, axis=0)
    spread = np.maximum(first.var(axis=0), (1e-3 * centre) ** 2)
    runs = np.arange(LONGEST_RUN + 1)
    kappa, alpha = 1.0 + runs, 1.0 + runs / 2
    mu = np.tile(centre[:, None], LONGEST_RUN + 1)
    beta = np.tile(spread[:, None], LONGEST_RUN + 1)
    weight = np.zeros_like(mu)
    weight[:, 0] = 1.0
    constant = np.array([math.lgamma(a + 0.5) - math.lgamma(a) for a in alpha.tolist()])
    best = []
    for x in seconds:
        gap = x[:, None] - mu
        scale = beta * (kappa + 1) / (alpha * kappa)
        density = np.exp(constant - (alpha + 0.5) * np.log1p(gap**2 / (2 * alpha * scale))) / np.sqrt(alpha * scale)
        joint = weight * density
        changed = np.concatenate([centre[:, None], (mu * kappa + x[:, None]) / (kappa + 1)], axis=1)
        beta = _shifted(spread, beta + kappa * gap**2 / (2 * (kappa + 1)))
        mu = changed[:, : LONGEST_RUN + 1]
        weight = _shifted(HAZARD * joint.sum(axis=1), (1 - HAZARD) * joint)
        weight[:, -1] += (1 - HAZARD) * joint[:, -1]
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
        best.append(np.argmax(weight, axis=1))
    return best


def _shifted(first: FloatArray, values: FloatArray) -> FloatArray:
    """Every run is one step longer, and a new one begins."""
    return np.concatenate([first[:, None], values[:, :-1]], axis=1)
