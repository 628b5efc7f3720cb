"""A run of the fleet in, its records beside the steps out: what its devices used, what was evaluated, its life."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from tests.integration.questions.runs import H100, PARAMETERS, Run
from tests.integration.questions.simulation import expected_loss, generator

from gradcube.windows.columns import IntArray

SAMPLE_SECONDS = 5
EVALUATED_EVERY = 100
HELD_OUT_GAP = 0.15
"""How much higher the loss is on held-out data, in nats."""
HBM_BYTES = 80 * 2**30
THERMAL_BIT = 0x40
Record = dict[str, Any]


def resource_samples(run: Run, ended: IntArray) -> Iterator[Record]:
    """One of each rank's GPU and one of its process every five seconds, while steps end at `ended` (s,)."""
    random = generator(run, "resources")
    for at in range(run.start_micros, int(ended[-1]), SAMPLE_SECONDS * 1_000_000):
        step = run.first + int(np.searchsorted(ended, at))
        for rank in run.ranks:
            who = {"node": run.node_of(rank), "job": run.job, "attempt": run.attempt, "rank": rank, "sampled_at": at}
            yield who | _process(run, rank, random)
            yield who | _gpu(run, rank, step, random)


def _process(run: Run, rank: int, random: np.random.Generator) -> Record:
    cores, used_bytes = (2.1, 14e9) if run.model == "gpt-1b" else (1.2, 6e9)
    return {
        "device": f"process:{1000 + rank}", "cpu_utilization_ratio": cores + 0.1 * random.random(),
        "memory_used_bytes": int(used_bytes + 1e7 * random.random()), "memory_total_bytes": 2**40,
    }  # fmt: skip


def _gpu(run: Run, rank: int, step: int, random: np.random.Generator) -> Record:
    """A GPU that is too hot slows its own clock, and says so."""
    local, first, end = run.throttled or (-1, 0, 0)
    hot = rank == local and first <= step < end
    watts, clock = (690.0, 1.755e9) if run.hardware == H100 else (395.0, 1.410e9)
    return {
        "device": f"gpu:{rank % 4}", "gpu_utilization_ratio": 0.97 - 0.02 * random.random(),
        "gpu_memory_used_bytes": int(HBM_BYTES * (0.62 if run.model == "gpt-1b" else 0.41)),
        "gpu_memory_total_bytes": HBM_BYTES, "gpu_power_watts": (0.7 if hot else 1.0) * watts - 10 * random.random(),
        "gpu_temperature_celsius": (93.0 if hot else 68.0) + random.random(),
        "gpu_sm_clock_hertz": (0.75 if hot else 1.0) * clock, "gpu_throttle_reasons": THERMAL_BIT if hot else 0,
    }  # fmt: skip


def evaluations(run: Run, ended: IntArray) -> Iterator[Record]:
    """Of the checkpoint of every hundredth step: loss, accuracy, recall and F1 on a thousand held-out samples."""
    for step in range(run.first, run.last):
        if (step + 1) % EVALUATED_EVERY:
            continue
        accuracy = run.quality * (1 - np.exp(-(step + 20) / 120))
        found = {"accuracy": accuracy, "recall": accuracy * 0.94, "f1": accuracy * 0.96}
        found["loss"] = expected_loss(np.array([step]))[0] + HELD_OUT_GAP
        for metric, value in found.items():
            yield {
                "job": run.job, "attempt": run.attempt, "step": step + 1, "ended_at": int(ended[step - run.first]),
                "dataset": f"{run.dataset}-held-out", "metric": metric,
                "value": round(float(value), 4), "samples": 1000,
            }  # fmt: skip


def lifecycle(run: Run, ended: IntArray) -> Iterator[Record]:
    """That it began, and that it ended, if it did: an attempt that died is followed by the next without a word."""
    who = {
        "job": run.job, "attempt": run.attempt, "rank": None, "node": None, "shard": None, "detail": "",
        "model": run.model, "model_parameters": PARAMETERS[run.model], "hardware": run.hardware,
        "dataset": run.dataset, "world_size": len(run.ranks),
    }  # fmt: skip
    yield who | {"kind": "JOB_STARTED", "at": run.start_micros, "epoch": 1, "step": None}
    if run.finished:
        yield who | {"kind": "JOB_FINISHED", "at": int(ended[-1]), "epoch": 2, "step": run.last - 1}
