"""Traces and findings for the report, small or of 8 192 ranks."""

import numpy as np

from gradcube.diagnosis.findings import Evidence, Finding, State, Subject, finding_id
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.traces import Trace
from gradcube.windows.rows import StepRows


def trace(
    ranks: int = 8, steps: int = 40, *, stages: int = 2, job: str = "bert", node: str = "node-", seed: int = 0
) -> Trace:
    """Forward and backward 0.3 s together with 2 % of noise, the last stage longer; loss and gradient norm fall."""
    draw = np.random.default_rng(seed)
    count = ranks * steps
    step, rank = np.repeat(np.arange(steps), ranks), np.tile(np.arange(ranks), steps).astype(np.int32)
    stage = (rank * stages // ranks).astype(np.int32)
    floats = np.full((count, len(FLOAT_FIELDS)), np.nan, np.float32)
    forward = 0.1 * (1 + 0.3 * (stage == stages - 1)) * np.exp(draw.normal(0, 0.02, count))
    for name, values in {
        "forward_seconds": forward, "backward_seconds": 2 * forward, "step_seconds": np.full(count, 0.5),
        "loss": 2 + 8 * np.exp(-step / 20), "global_grad_norm": 1 + 0.01 * step,
    }.items():  # fmt: skip
        floats[:, FLOAT_FIELDS.index(name)] = values
    zeros = np.zeros(count, np.int64)
    nodes = np.array([f"{node}{number // 8}" for number in range(ranks)], object)
    rows = StepRows(
        job=job, attempt=zeros.astype(np.int32), rank=rank, stage=stage,
        replica=(rank % max(ranks // stages, 1)).astype(np.int32), node=np.tile(nodes, steps), step=step, seq=step,
        dropped=zeros, ended_at_micros=step * 500_000, appended_at_micros=zeros, offset=zeros,
        counts=np.full((count, len(COUNT_FIELDS)), MISSING, np.int64), floats=floats,
        bucket_absmax=np.full(count, np.nan, np.float32),
    )  # fmt: skip
    return Trace(rows, ())


def slow(of: Trace, rank: int, first: int, last: int, factor: float) -> Trace:
    """The same trace with one rank slower from one step to another, both included."""
    at = (of.rows.rank == rank) & (of.rows.step >= first) & (of.rows.step <= last)
    for name in ("forward_seconds", "backward_seconds"):
        of.rows.floats[at, FLOAT_FIELDS.index(name)] *= factor
    return of


def finding(
    subject: Subject, first: int, last: int | None = None, *, kind: str = "STRAGGLER", state: State = "OPENED",
    verdict: str = "rank 3 is 1.5x slower than its peers", magnitude: float = 1.5,
) -> Finding:  # fmt: skip
    evidence = (Evidence("forward_seconds", 0.2, 0.1, "seconds"), Evidence("cpu_seconds", 0.1, None, "seconds"))
    return Finding(
        finding_id("bert", 0, kind, subject, first), "bert", 0, kind, state, subject, first, first + 2, last, 0, 0,
        magnitude, 0.98, evidence, verdict,
    )  # fmt: skip
