"""Traces for tests: tidy tables as files, and a job of a few ranks of which one is slow for a while."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from pyarrow import csv, parquet
from tests.unit.diagnosis.simulating import noise
from tests.unit.windows.making import make_rows

from gradcube.windows.rows import StepRows


def write(path: Path, **columns: Any) -> Path:
    """A file of these columns; a scalar holds for every row."""
    length = max(len(column) for column in columns.values() if not isinstance(column, int | float | str))
    full = {
        name: [column] * length if isinstance(column, int | float | str) else column for name, column in columns.items()
    }
    table = arrow.table({name: arrow.array(column) for name, column in full.items()})
    csv.write_csv(table, path) if path.suffix == ".csv" else parquet.write_table(table, path)
    return path


def text(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def slowed_job(steps: int = 110, ranks: int = 4, seed: int = 1) -> StepRows:
    """Rank 1 computes 1.7 times as long in steps 60 to 89."""
    compute = 0.1 * noise(steps, ranks, 0.03, 0.3, seed)
    compute[60:90, 1] *= 1.7
    step, rank = np.divmod(np.arange(steps * ranks), ranks)
    slowest = compute.max(axis=1)
    seconds, node = (step * 0.25 + rank * 0.001).tolist(), [f"node-{r}" for r in rank]
    return make_rows(
        seconds, rank=rank.tolist(), step=step, seq=step, node=node,
        forward_seconds=compute.ravel() / 3, backward_seconds=compute.ravel() * 2 / 3, loss=2.0,
        step_seconds=np.repeat(slowest + 0.01, ranks), sync_wait_seconds=(slowest[:, None] - compute).ravel() + 0.005,
        cpu_seconds=0.1, grad_norm=1.0, tokens=512,
    )  # fmt: skip


def timed_trace(path: Path, steps: int = 110, ranks: int = 4, seed: int = 1) -> Path:
    """The same job as other recorders would write it: step, rank, metric, value."""
    compute = 0.1 * noise(steps, ranks, 0.03, 0.3, seed)
    compute[60:90, 1:2] *= 1.7
    step, rank = np.divmod(np.arange(steps * ranks), ranks)
    return write(path, step=step, rank=rank, metric="backward_seconds", value=compute.ravel())
