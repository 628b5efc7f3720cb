"""The signals of a frame: a rank's own time, against its peers, and the evidence for what made it long."""

from collections.abc import Sequence

import numpy as np

from gradcube.diagnosis.findings import Evidence
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.verdicts import Cause, phase_that_moved
from gradcube.windows.columns import FloatArray
from gradcube.windows.peers import peer_median, peer_ratio

OWN_PHASES = ("data_seconds", "forward_seconds", "backward_seconds")
"""What a rank does by itself. The rest of a step is waiting for the others, which makes all ranks as slow as one."""
EVIDENCE = (*OWN_PHASES, "sync_wait_seconds", "cpu_seconds", "step_seconds")


def own_seconds(frame: StepFrame) -> FloatArray:
    """The time that each rank spent on its own part of the step, (r,); NaN where it is unknown.

    Data, forward and backward, those that were measured. A job that measures none of them is compared by the step's
    wall time: right where ranks do not wait for one another, and the same for all where they do.
    """
    phases = np.stack([frame.column(name) for name in OWN_PHASES])
    measured = np.isfinite(phases[1:]).any(axis=0)
    if not measured.any():
        return frame.column("step_seconds")
    return np.where(measured, np.nansum(phases, axis=0), np.nan)


def log_ratios(frame: StepFrame) -> FloatArray:
    """log of `own_seconds` over the stage peers' median, (r,); NaN without two peers."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(peer_ratio(own_seconds(frame), frame.stage))
    return np.where(np.isfinite(logs), logs, np.nan)


def gather_evidence(frames: Sequence[StepFrame], rank: int) -> tuple[Evidence, ...]:
    """Medians over the frames of each measured signal, of the rank and of its stage peers."""
    found = []
    for name in EVIDENCE:
        own, peers = _medians(frames, rank, name)
        if np.isfinite(own):
            found.append(Evidence(name, own, peers if np.isfinite(peers) else None, "seconds"))
    return tuple(found)


def cause_of(evidence: Sequence[Evidence], ratio: float, before: Sequence[StepFrame], rank: int) -> Cause:
    """What the rank's CPU time and phases say about why it is slow.

    CPU time is compared with the rank's own of the steps `before` when there are some, since a rank's share of the
    other work (loading, logging) is its own; else with its peers'. It has "grown" when it grew at least half as
    much as the wall time did.
    """
    phase = phase_that_moved(evidence)
    if phase is not None and phase.signal == "data_seconds":
        return "data"
    cpu = next((piece for piece in evidence if piece.signal == "cpu_seconds"), None)
    reference = _medians(before, rank, "cpu_seconds")[0] if before else float("nan")
    if cpu is not None and not reference > 0:
        reference = cpu.peers or float("nan")
    if cpu is None or not reference > 0:
        return "unknown"
    return "more_cpu" if cpu.value / reference - 1 > (ratio - 1) / 2 else "not_scheduled"


def _medians(frames: Sequence[StepFrame], rank: int, name: str) -> tuple[float, float]:
    own, peers = [], []
    for frame in frames:
        at = np.flatnonzero(frame.rank == rank)
        values = frame.column(name)
        if len(at) and np.isfinite(values[at[0]]):
            own.append(float(values[at[0]]))
            peers.append(float(peer_median(values, frame.stage)[at[0]]))
    finite = [value for value in peers if np.isfinite(value)]
    return (
        float(np.median(own)) if own else float("nan"),
        float(np.median(finite)) if finite else float("nan"),
    )
