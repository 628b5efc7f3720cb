"""Records and partials for the tests of the metrics service."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from gradcube.events import StepIdentity, StepSyncEncoder

START = 1_700_000_000_000_000
MICROS = 1_000_000


def step_record(job: str, rank: int, step: int, *, offset: int, slow: float = 1.0, at_micros: int | None = None) -> Any:
    """One record of gradcube.steps: a step a second."""
    ended = START + step * MICROS if at_micros is None else at_micros
    value = StepSyncEncoder(StepIdentity(job, 0, rank, f"node-{rank}")).encode(
        step=step, seq=step, dropped=0, ended_at_micros=ended, counts=[0, step, None, 4, 10, 99, 2, 8],
        floats=[1.0, 0.1, 0.2 * slow, 0.4 * slow, 0.02 if slow > 1 else 0.6, 0.1, 0.5, 2.0, 1.0, 1.0, 0.1, 9.0, 0.01],
        buckets=np.zeros((8, 2), np.float32),
    )  # fmt: skip
    return SimpleNamespace(offset=offset, timestamp=ended // 1000 + 1, value=value)
