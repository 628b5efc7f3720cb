"""Simulated jobs: layouts of clusters with noise of the size and shape that the public traces show, by seed."""

from dataclasses import dataclass

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from tests.bench.diagnosis.recordings import Recording, made

WARMUP_STEPS = 5
CHECKPOINT_EVERY = 60
CHECKPOINT_SECONDS = 4.0
TAIL_SHARE = 0.01
RANKS_PER_NODE = 8


@dataclass(frozen=True)
class Layout:
    """`noise` is that of one rank and step, `memory` its lag-1 correlation, `batch_noise` what a replica's stages share

    (variable sequence lengths); all as shares of a step's time. `waits`: all-reduce makes every step as long as the
    slowest rank's; without it (a parameter server, asynchronous) each rank's step is its own.
    """

    name: str
    stages: int
    replicas: int
    noise: float
    memory: float = 0.0
    batch_noise: float = 0.0
    waits: bool = True
    steps: int = 120
    ranks_per_node: int = RANKS_PER_NODE


def simulate(layout: Layout, seed: int) -> Recording:
    """A healthy run: slow first steps, checkpoint pauses, ranks that differ by 1 % for good, a costlier last stage."""
    rng = np.random.default_rng((seed, layout.stages, layout.replicas, int(layout.batch_noise * 1e4)))
    stage = np.repeat(np.arange(layout.stages), layout.replicas)
    replica = np.tile(np.arange(layout.replicas), layout.stages)
    compute = _compute(layout, stage, replica, rng)
    node = [f"node-{rank // layout.ranks_per_node}" for rank in range(len(stage))]
    return made(f"{layout.name}-{seed}", _phases(compute, layout.waits), stage, replica, node)


def _compute(layout: Layout, stage: IntArray, replica: IntArray, rng: np.random.Generator) -> FloatArray:
    cost = np.where((stage == layout.stages - 1) & (layout.stages > 1), 1.3, 1.0)
    level = rng.normal(0, 0.01, len(stage))
    batch = rng.normal(0, 1, (layout.steps, layout.replicas))[:, replica] * layout.batch_noise
    logs = level + batch + _noise(layout, len(stage), rng)
    compute: FloatArray = 0.8 * cost * np.exp(logs)
    compute[:WARMUP_STEPS] *= np.linspace(4, 1.2, WARMUP_STEPS)[:, None]
    return compute


def _noise(layout: Layout, ranks: int, rng: np.random.Generator) -> FloatArray:
    fresh = rng.normal(0, layout.noise, (layout.steps, ranks))
    logs = fresh.copy()
    for step in range(1, layout.steps):
        logs[step] = layout.memory * logs[step - 1] + np.sqrt(1 - layout.memory**2) * fresh[step]
    tails = rng.exponential(3 * layout.noise, logs.shape)
    return np.where(rng.random(logs.shape) < TAIL_SHARE, logs + tails, logs)


def _phases(compute: FloatArray, waits: bool) -> dict[str, FloatArray]:
    if not waits:
        return {"step_seconds": compute}
    slowest = compute.max(axis=1, keepdims=True)
    pause = np.where(np.arange(len(compute)) % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1, CHECKPOINT_SECONDS, 0.0)
    return {
        "forward_seconds": compute / 3,
        "backward_seconds": compute * 2 / 3,
        "sync_wait_seconds": slowest - compute + 0.02,
        "step_seconds": np.broadcast_to(slowest + 0.05 + pause[:, None], compute.shape),
    }
