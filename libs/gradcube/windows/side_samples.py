"""Which numbers of a resource sample, a server's update or an evaluation are accumulated, and under which name.

Rows come in; a matrix (rows, names) goes out, NaN where a row has no value.
"""

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import RESOURCE_FLOATS, SERVER_FLOATS, EvaluationRows, ResourceRows, ServerRows
from gradcube.windows.settings import MICROS

THERMAL, POWER, OTHER = 0x20 | 0x40, 0x04 | 0x80, 0x08 | 0x10
"""NVML's clock event reasons (nvml.h): software and hardware thermal slow-down; power cap and power brake; hardware
slow-down of no stated cause and sync boost. Idle and clocks set by the user are no throttling."""

RESOURCE_COLUMNS = (
    *RESOURCE_FLOATS, "gpu_memory_used_ratio", "memory_used_ratio", "memory_limit_ratio", "gpu_throttled_ratio",
    "gpu_thermal_throttled_ratio", "gpu_power_throttled_ratio", "sample_delay_seconds",
)  # fmt: skip
RESOURCE_COLUMN = {name: at for at, name in enumerate(RESOURCE_COLUMNS)}
SERVER_COLUMNS = (*SERVER_FLOATS, "versions", "server_delay_seconds")
SERVER_COLUMN = {name: at for at, name in enumerate(SERVER_COLUMNS)}

EVALUATED = ("loss", "perplexity", "accuracy", "precision", "recall", "f1")
"""Names of an Evaluation's metric that have facts; written as `f1`, `F1`, `f1_score` or `eval_f1`."""
EVALUATION_COLUMNS = (
    *(f"evaluation_{name}" for name in EVALUATED),
    *(f"{name}_weighted" for name in EVALUATED),
    *(f"{name}_samples" for name in EVALUATED),
    "unknown_evaluations",
)
EVALUATION_COLUMN = {name: at for at, name in enumerate(EVALUATION_COLUMNS)}


def resource_samples(rows: ResourceRows, event_micros: IntArray) -> FloatArray:
    """(rows, RESOURCE_COLUMNS)."""
    table = np.full((len(rows), len(RESOURCE_COLUMNS)), np.nan)
    table[:, : len(RESOURCE_FLOATS)] = rows.floats
    of = {name: table[:, at] for name, at in RESOURCE_COLUMN.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        of["gpu_memory_used_ratio"][:] = of["gpu_memory_used_bytes"] / of["gpu_memory_total_bytes"]
        of["memory_used_ratio"][:] = of["memory_used_bytes"] / of["memory_total_bytes"]
        of["memory_limit_ratio"][:] = of["memory_used_bytes"] / of["cgroup_memory_limit_bytes"]
    reasons = np.nan_to_num(of["gpu_throttle_reasons"]).astype(np.int64)
    unknown = np.where(np.isnan(of["gpu_throttle_reasons"]), np.nan, 0.0)
    of["gpu_throttled_ratio"][:] = ((reasons & (THERMAL | POWER | OTHER)) != 0) + unknown
    of["gpu_thermal_throttled_ratio"][:] = ((reasons & THERMAL) != 0) + unknown
    of["gpu_power_throttled_ratio"][:] = ((reasons & POWER) != 0) + unknown
    of["sample_delay_seconds"][:] = np.maximum(rows.appended_at_micros - event_micros, 0) / MICROS
    return table


def server_samples(rows: ServerRows, event_micros: IntArray) -> FloatArray:
    """(rows, SERVER_COLUMNS)."""
    table = np.empty((len(rows), len(SERVER_COLUMNS)))
    table[:, : len(SERVER_FLOATS)] = rows.floats
    table[:, SERVER_COLUMN["versions"]] = 1
    table[:, SERVER_COLUMN["server_delay_seconds"]] = np.maximum(rows.appended_at_micros - event_micros, 0) / MICROS
    return table


def evaluation_samples(rows: EvaluationRows) -> FloatArray:
    """(rows, EVALUATION_COLUMNS); a row that does not say how many samples it measured counts as one sample."""
    table = np.full((len(rows), len(EVALUATION_COLUMNS)), np.nan)
    for at, name in enumerate(_evaluated(metric) for metric in rows.metric.tolist()):
        if name is None:
            table[at, EVALUATION_COLUMN["unknown_evaluations"]] = 1
        elif np.isfinite(rows.value[at]):
            samples = max(int(rows.samples[at]), 1)
            table[at, EVALUATION_COLUMN[f"evaluation_{name}"]] = rows.value[at]
            table[at, EVALUATION_COLUMN[f"{name}_weighted"]] = rows.value[at] * samples
            table[at, EVALUATION_COLUMN[f"{name}_samples"]] = samples
    return table


def _evaluated(metric: str) -> str | None:
    name = metric.strip().lower().removeprefix("eval_").removesuffix("_score").removesuffix("_ratio")
    return name if name in EVALUATED else None
