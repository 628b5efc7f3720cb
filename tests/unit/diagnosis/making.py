"""Frames made of plain numbers, for detectors that look at one or two columns of a step."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from gradcube.diagnosis import Detector, Finding, StepFrame
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING

START = 1_800_000_000_000_000
STEP_MICROS = 1_000_000


def frame(step: int, ranks: int | list[int] = 4, **columns: Any) -> StepFrame:
    """One step: `frame(3, loss=2.1, staleness=[0, 1, 0, 9])`; what is not given was not measured.

    `seq`, `dropped`, `stage` and `bucket_absmax` may be given as well; two ranks share a node.
    """
    rank = np.arange(ranks) if isinstance(ranks, int) else np.array(ranks)
    n = len(rank)
    floats = np.full((n, len(FLOAT_FIELDS)), np.nan, np.float32)
    counts = np.full((n, len(COUNT_FIELDS)), MISSING, np.int64)
    own = {"seq": step, "dropped": 0, "stage": 0, "bucket_absmax": np.nan}
    for name, values in columns.items():
        if name in FLOAT_FIELDS:
            floats[:, FLOAT_FIELDS.index(name)] = values
        elif name in COUNT_FIELDS:
            counts[:, COUNT_FIELDS.index(name)] = values
        else:
            own[name] = values
    return StepFrame(
        "bert", 0, step, START + step * STEP_MICROS, rank.astype(np.int32),
        np.broadcast_to(own["stage"], n).astype(np.int32), np.arange(n, dtype=np.int32),
        np.array([f"node-{r // 2}" for r in rank.tolist()], object), floats, counts,
        np.broadcast_to(own["seq"], n).astype(np.int64), np.broadcast_to(own["dropped"], n).astype(np.int64),
        np.broadcast_to(own["bucket_absmax"], n).astype(np.float32),
    )  # fmt: skip


def watch(detector: Detector, frames: Iterable[StepFrame]) -> list[Finding]:
    """All that a detector says of these steps."""
    return [finding for each in frames for finding in detector.observe(each)]


def states(findings: Iterable[Finding]) -> list[str]:
    """What is said in what order."""
    return [finding.state for finding in findings]
