"""Simulated jobs: ranks with noise that has heavy tails and memory, one of them slow for a while."""

from collections.abc import Iterator

import numpy as np

from gradcube.diagnosis import Finding, StepFrame, StragglerDetector
from gradcube.events import FLOAT_FIELDS
from gradcube.windows.columns import FloatArray

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
    compute: FloatArray, *, cpu: FloatArray | float = 0.1, stage: list[int] | None = None, first_step: int = 0
) -> Iterator[StepFrame]:
    """Frames of a synchronous job whose ranks compute for `compute` (steps, ranks) seconds, a third of it forward."""
    steps, ranks = compute.shape
    cpu_seconds = np.broadcast_to(cpu, compute.shape)
    for step in range(steps):
        floats = np.full((ranks, len(FLOAT_FIELDS)), np.nan, np.float32)
        slowest = compute[step].max()
        for name, values in {
            "step_seconds": slowest + 0.01,
            "data_seconds": 0.001,
            "forward_seconds": compute[step] / 3,
            "backward_seconds": compute[step] * 2 / 3,
            "sync_wait_seconds": slowest - compute[step] + 0.005,
            "cpu_seconds": cpu_seconds[step],
        }.items():
            floats[:, FLOAT_FIELDS.index(name)] = values
        yield StepFrame(
            "bert", 0, first_step + step, START + step * 150_000, np.arange(ranks, dtype=np.int32),
            np.array(stage or [0] * ranks, np.int32), np.arange(ranks, dtype=np.int32),
            np.array([f"node-{r}" for r in range(ranks)], object), floats, np.full((ranks, 8), -1, np.int64),
            np.full(ranks, step), np.zeros(ranks, np.int64), np.full(ranks, np.nan, np.float32),
        )  # fmt: skip


def watch(compute: FloatArray, **how: object) -> list[Finding]:
    """All findings of a fresh straggler detector."""
    detector = StragglerDetector()
    return [finding for frame in frames_of(compute, **how) for finding in detector.observe(frame)]  # type: ignore[arg-type]
