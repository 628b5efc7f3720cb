"""The public traces as frames; they lie in shared/ beside the checkout, which not every machine has."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from gradcube.diagnosis import StepFrame
from gradcube.events import FLOAT_FIELDS

NAMES = {
    "forward_compute_seconds": "forward_seconds",
    "backward_compute_seconds": "backward_seconds",
    "step_seconds": "step_seconds",
}


def trace_directory() -> Path:
    """Where the traces are; skips the test with the reason when they are not."""
    beside = Path(__file__).resolve().parents[4] / "shared/data/traces"
    found = Path(os.environ.get("GRADCUBE_TRACES", beside))
    if not found.is_dir():
        pytest.skip(f"no public traces at {found}: set GRADCUBE_TRACES to their directory")
    return found


def trace_frames(path: Path, job: str) -> Iterator[StepFrame]:
    """The frames of a tidy table; rows about the whole job (rank null) are left out unless there are no others."""
    rows = parquet.read_table(path).to_pylist()
    ranked = [row for row in rows if row["rank"] is not None]
    by_step: dict[int, dict[int, dict[str, float]]] = {}
    for row in ranked or rows:
        field = NAMES.get(row["metric"])
        if field is not None:
            entry = by_step.setdefault(row["step"], {}).setdefault(row["rank"] or 0, dict(row))
            entry[field] = float(row["value"])
    for step in sorted(by_step):
        yield _frame(job, step, by_step[step])


def _frame(job: str, step: int, ranks: dict[int, dict[str, float]]) -> StepFrame:
    order = sorted(ranks)
    floats = [[ranks[rank].get(name, np.nan) for name in FLOAT_FIELDS] for rank in order]

    def place(name: str) -> np.ndarray:
        return np.array([ranks[rank].get(name) or 0 for rank in order], np.int32)

    return StepFrame(
        job, 0, step, step * 1_000_000, np.array(order, np.int32), place("stage"), place("replica"),
        np.array([f"node-{rank}" for rank in order], object), np.array(floats, np.float32),
        np.full((len(order), 8), -1, np.int64),
    )  # fmt: skip
