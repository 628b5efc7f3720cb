"""Simulated jobs: ranks with noise that has heavy tails and memory, one of them slow for a while."""

from collections.abc import Iterator

import numpy as np

from gradcube.diagnosis import Finding, StepFrame, StragglerDetector
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.windows.columns import FloatArray, IntArray

START = 1_800_000_000_000_000


def noise(steps: int, ranks: int, sigma: float, memory: float, seed: int) -> FloatArray:
    """Factors around 1, (steps, ranks): log-normal, `memory` is the lag-1 correlation, one step in 50 a tail."""
    rng = np.random.default_rng(seed)
    fresh = rng.normal(0, sigma, (steps, ranks))
    logs = np.zeros_like(fresh)
    for step in range(steps):
        before = logs[step - 1] if step else 0.0
        logs[step] = memory * before + np.sqrt(1 - memory**2) * fresh[step]
    tails = np.where(rng.random((steps, ranks)) < 0.02, rng.exponential(3 * sigma, (steps, ranks)), 0.0)
    return np.exp(logs + tails)


def frames_of(
    compute: FloatArray,
    *,
    cpu: FloatArray | float = 0.1,
    late: FloatArray | float = 0.0,
    tokens: IntArray | int = MISSING,
    stage: list[int] | None = None,
    replica: list[int] | None = None,
    node: list[str] | None = None,
    first_step: int = 0,
) -> Iterator[StepFrame]:
    """Frames of a synchronous job whose ranks compute for `compute` (steps, ranks) seconds, a third of it forward.

    NaN is a rank that did not report the step; `late` (steps, ranks) seconds is how long after the others the update
    reaches a rank.
    """
    steps, ranks = compute.shape
    cpu_seconds, late_seconds = np.broadcast_to(cpu, compute.shape), np.broadcast_to(late, compute.shape)
    counts = np.full((*compute.shape, len(COUNT_FIELDS)), MISSING, np.int64)
    counts[:, :, COUNT_FIELDS.index("tokens")] = tokens
    for step in range(steps):
        floats = np.full((ranks, len(FLOAT_FIELDS)), np.nan, np.float32)
        slowest = np.nanmax(compute[step])
        for name, values in {
            "step_seconds": slowest + late_seconds[step].max() + 0.01,
            "data_seconds": 0.001,
            "forward_seconds": compute[step] / 3,
            "backward_seconds": compute[step] * 2 / 3,
            "sync_wait_seconds": slowest - compute[step] + 0.005 + late_seconds[step],
            "cpu_seconds": cpu_seconds[step],
        }.items():
            floats[:, FLOAT_FIELDS.index(name)] = values
        at = np.flatnonzero(np.isfinite(compute[step]))
        yield StepFrame(
            "bert", 0, first_step + step, START + step * 150_000, at.astype(np.int32),
            np.array(stage or [0] * ranks, np.int32)[at], np.array(replica or range(ranks), np.int32)[at],
            np.array(node or [f"node-{r}" for r in range(ranks)], object)[at], floats[at], counts[step][at],
            np.full(len(at), step), np.zeros(len(at), np.int64), np.full(len(at), np.nan, np.float32),
        )  # fmt: skip


def watch(compute: FloatArray, **how: object) -> list[Finding]:
    """All findings of a fresh straggler detector."""
    detector = StragglerDetector()
    return [finding for frame in frames_of(compute, **how) for finding in detector.observe(frame)]  # type: ignore[arg-type]
