"""The healthy runs that slow-downs are put into, by family: public traces without their culprits, simulated jobs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tests.bench.diagnosis.recordings import Recording, recorded
from tests.bench.diagnosis.simulated import Layout, simulate

SLOW_REPLICA_0_STAGE_0 = 0
"""The rank of bytedance_AR that truth.json names."""
WORKER_6 = 6
"""The worker of alibaba_job_1 that the traces' README names."""
LAYOUTS = (
    Layout("data parallel, 16 ranks, 0.5 %", 1, 16, 0.005, ranks_per_node=4),
    Layout("pipeline 4 x 8, 0.5 %", 4, 8, 0.005, ranks_per_node=4),
    Layout("pipeline 4 x 8, variable lengths", 4, 8, 0.008, batch_noise=0.1, ranks_per_node=4),
    Layout("parameter server, 32 workers, 2 %", 1, 32, 0.02, memory=0.5, waits=False, steps=160),
    Layout("pipeline 4 x 64, 1 %", 4, 64, 0.01, steps=100),
)


@dataclass(frozen=True)
class Family:
    """`recordings` are healthy; `repeats` is how often each level, shape and size is drawn in a full run."""

    name: str
    recordings: tuple[Recording, ...]
    repeats: int
    is_real: bool = True


def families(traces: Path, seed: int, quick: bool) -> list[Callable[[], Family]]:
    """How to make each family: they are made one at a time, so that only one is held."""
    runs = 1 if quick else 3
    made = [partial(_simulated, layout, seed, runs) for layout in (LAYOUTS[:3] if quick else LAYOUTS)]
    return [partial(_bytedance, traces), partial(_alibaba, traces), partial(_mlperf, traces, quick), *made]


def large_runs(traces: Path) -> list[Recording]:
    """The healthy Llama-3.1-405B runs, each a whole job without ranks."""
    return [recorded(path) for path in sorted((traces / "mlperf_405b").glob("*.parquet"))]


def _bytedance(traces: Path) -> Family:
    """Its nodes are not recorded: 8 GPUs a node, by rank, are taken for them."""
    run = recorded(traces / "bytedance_AR.parquet").without_ranks((SLOW_REPLICA_0_STAGE_0,))
    node = np.array([f"node-{rank // 8}" for rank in run.rows.rank.tolist()], object)
    return Family("bytedance_AR", (run.relabelled(node),), 2)


def _alibaba(traces: Path) -> Family:
    return Family("alibaba_job_1", (recorded(traces / "alibaba_job_1.parquet").without_ranks((WORKER_6,)),), 1)


def _mlperf(traces: Path, quick: bool) -> Family:
    runs = large_runs(traces)
    return Family("mlperf_405b", tuple(runs[:3] if quick else runs), len(runs) // 3)


def _simulated(layout: Layout, seed: int, runs: int) -> Family:
    recordings = tuple(simulate(layout, seed * 100 + number) for number in range(runs))
    return Family(layout.name, recordings, 1, is_real=False)
