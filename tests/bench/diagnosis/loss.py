"""Loss curves: alarms on runs that converged, and spikes of the shape of BLOOM-176B's first, put into them by seed."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from tests.bench.diagnosis.comparators import LOSS_RULES, LossRule
from tests.bench.diagnosis.recordings import Recording, made, recorded
from tests.bench.diagnosis.slow import OURS
from tests.bench.diagnosis.watching import episodes_of, findings_of

LOSS_RATIOS = (1.010, 1.180, 1.019, 1.067, 2.318, 1.588, 1.461, 1.276)
GRAD_RATIOS = (3.91, 9.88, 65.6, 600.0, 3968.0, 1461.0, 1567.0, 2687.0)
"""BLOOM-176B, steps 31215 to 31222 over step 31214: bigscience's chronicles. The fifth is the peak."""
PEAK = LOSS_RATIOS.index(max(LOSS_RATIOS))
DECAY_STEPS = 8.0
TAIL_STEPS = 28
SCALES = (0.5, 1.0, 1.5)
"""How high, as a power of BLOOM's ratios."""
LOSS_KINDS = frozenset({"LOSS_SPIKE", "DIVERGENCE", "GRADIENT_ANOMALY"})
HISTORY_STEPS = 150
AFTER_STEPS = 50
LONGEST_CURVE = 6000
"""Steps of a curve that are looked at: a few are 20 000 long and would be most of the benchmark."""
EARLIEST_ONSET = 500
"""Steps from which a spike may start; before it loss falls too steeply for anyone."""
GRAD_NOISE, GRAD_MEMORY = 0.10, 0.5


@dataclass(frozen=True)
class SpikeCase:
    """By method the step of its first alarm from the spike's onset on, counted from the peak (negative: before it)."""

    with_grad_norm: bool
    scale: float
    alarms: dict[str, int | None]
    early: dict[str, int]
    """Alarms before the onset."""


@dataclass
class LossRun:
    """Alarms on whole healthy curves by method, ours by kind too, and the spikes."""

    steps: int = 0
    settled_steps: int = 0
    """Steps from EARLIEST_ONSET on."""
    alarms: dict[str, int] = field(default_factory=dict)
    settled_alarms: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    spikes: list[SpikeCase] = field(default_factory=list)


def run_loss(traces: Path, seed: int, quick: bool) -> LossRun:
    """All curves, or a few short ones."""
    paths = sorted((traces / "nanogpt_loss").glob("*.parquet"))
    curves = [recorded(path).between(0, LONGEST_CURVE) for path in (paths[-3:] if quick else paths)]
    result = LossRun()
    for curve in curves:
        _healthy(curve, result)
        result.spikes += _spikes(curve, seed)
    return result


def spike(loss: FloatArray, grad_norm: FloatArray, onset: int, scale: float) -> tuple[FloatArray, FloatArray]:
    """The curves (steps,) with BLOOM's spike from `onset` on, its ratios to the power of `scale`."""
    decay = np.exp(-np.arange(1, TAIL_STEPS + 1) / DECAY_STEPS)
    spiked = []
    for values, ratios in ((loss, LOSS_RATIOS), (grad_norm, GRAD_RATIOS)):
        logs = np.concatenate([np.log(ratios), np.log(ratios[-1]) * decay])
        factor = np.ones(len(values))
        factor[onset : onset + len(logs)] = np.exp(scale * logs)[: len(values) - onset]
        spiked.append(values * factor)
    return spiked[0], spiked[1]


def healthy_grad_norm(steps: int, rng: np.random.Generator) -> FloatArray:
    """A gradient norm as healthy runs have it, for curves that were recorded without: noise of 10 % with memory."""
    logs = rng.normal(0, GRAD_NOISE, steps)
    for at in range(1, steps):
        logs[at] = GRAD_MEMORY * logs[at - 1] + np.sqrt(1 - GRAD_MEMORY**2) * logs[at]
    return 0.3 * np.exp(logs)


def _healthy(curve: Recording, result: LossRun) -> None:
    loss = curve.grid("loss")[:, 0]
    result.steps += len(loss)
    result.settled_steps += max(0, len(loss) - EARLIEST_ONSET)
    opened = [first for first, _ in episodes_of(findings_of(curve))]
    for finding in opened:
        result.kinds[finding.kind] = result.kinds.get(finding.kind, 0) + 1
    at = {OURS: np.searchsorted(curve.steps, [finding.detected_step for finding in opened])}
    at |= {name: _rising(rule, loss, None) for name, rule in LOSS_RULES.items()}
    for name, steps in at.items():
        result.alarms[name] = result.alarms.get(name, 0) + len(steps)
        settled = int((steps >= EARLIEST_ONSET).sum())
        result.settled_alarms[name] = result.settled_alarms.get(name, 0) + settled


def _spikes(curve: Recording, seed: int) -> Iterator[SpikeCase]:
    for scale in SCALES:
        rng = np.random.default_rng((seed, zlib.crc32(f"{curve.name}/{scale}".encode())))
        onset = int(rng.integers(EARLIEST_ONSET, curve.num_steps - AFTER_STEPS))
        piece = curve.grid("loss")[onset - HISTORY_STEPS : onset + AFTER_STEPS, 0]
        loss, grad_norm = spike(piece, healthy_grad_norm(len(piece), rng), HISTORY_STEPS, scale)
        yield _spike_case(curve.name, loss, grad_norm, scale)
        yield _spike_case(curve.name, loss, None, scale)


def _spike_case(name: str, loss: FloatArray, grad_norm: FloatArray | None, scale: float) -> SpikeCase:
    at = {OURS: _alarms(name, loss, grad_norm)}
    at |= {rule_name: _rising(rule, loss, grad_norm) for rule_name, rule in LOSS_RULES.items()}
    first = {own: steps[steps >= HISTORY_STEPS] for own, steps in at.items()}
    return SpikeCase(
        with_grad_norm=grad_norm is not None,
        scale=scale,
        alarms={own: int(steps[0]) - HISTORY_STEPS - PEAK if len(steps) else None for own, steps in first.items()},
        early={own: int((steps < HISTORY_STEPS).sum()) for own, steps in at.items()},
    )


def _alarms(name: str, loss: FloatArray, grad_norm: FloatArray | None) -> IntArray:
    values = {"loss": loss[:, None]} | ({} if grad_norm is None else {"grad_norm": grad_norm[:, None]})
    alone = np.zeros(1, np.int64)
    opened = episodes_of(findings_of(made(name, values, alone, alone, [""])), LOSS_KINDS)
    return np.sort(np.array([first.detected_step for first, _ in opened], np.int64))


def _rising(rule: LossRule, loss: FloatArray, grad_norm: FloatArray | None) -> IntArray:
    """The steps at which a rule's flag goes up; a flag for 20 steps in a row is one alarm."""
    flags = rule(loss, grad_norm)
    return np.flatnonzero(flags & ~np.concatenate([[False], flags[:-1]]))
