"""The signals of a frame: what a rank does by itself, and with the exchange; and what recorded ones say of a cause."""

from collections.abc import Mapping

import numpy as np

from gradcube.diagnosis.findings import Evidence
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.slow.center import median
from gradcube.diagnosis.slow.recording import SIGNALS
from gradcube.diagnosis.slow.verdicts import Cause, phase_that_moved
from gradcube.windows.columns import FloatArray

OWN_PHASES = ("data_seconds", "forward_seconds", "backward_seconds")
"""What a rank does by itself. The rest of a step is waiting for the others, which makes all ranks as slow as one."""

Medians = Mapping[str, float]


def own_log_seconds(frame: StepFrame) -> FloatArray:
    """Log of the time that each rank spent on its own part of the step, (r,); NaN where it is unknown.

    Data, forward and backward, those that were measured. A job that measures none of them is compared by the step's
    wall time: right where ranks do not wait for one another, and the same for all where they do.
    """
    data, forward, backward = (frame.column(name) for name in OWN_PHASES)
    measured = np.isfinite(forward) | np.isfinite(backward)
    if not measured.any():
        return _log(frame.column("step_seconds"))
    own = sum(np.where(np.isnan(phase), 0.0, phase) for phase in (data, forward, backward))
    return _log(np.where(measured, own, np.nan))


def exchange_log_seconds(frame: StepFrame, own_log: FloatArray) -> FloatArray:
    """Log of the time from a step's start until the update is there, (r,); NaN where the wait was not measured.

    `own_log` is `own_log_seconds` of the frame.
    In a synchronous job it is the same for all, whoever is slow, but for a rank that the update reaches late.
    """
    return _log(np.exp(own_log) + frame.column("sync_wait_seconds"))


def job_log_seconds(frame: StepFrame, own_log: FloatArray) -> float:
    """Log of the median rank's step time; of its own time where that was not measured, NaN without either."""
    for logs in (_log(frame.column("step_seconds")), own_log):
        if np.isfinite(logs).any():
            return median(logs)
    return float("nan")


def evidence_of(own: Medians, peers: Medians) -> tuple[Evidence, ...]:
    """Each measured signal of the subject beside its peers'; for the whole job the peers are its earlier steps."""
    return tuple(Evidence(name, own[name], peers.get(name), "seconds") for name in SIGNALS if name in own)


def cause_of(evidence: tuple[Evidence, ...], ratio: float, before: Medians) -> Cause:
    """What CPU time and phases say about why the subject is slow.

    CPU time is compared with the subject's own of the steps `before` when there are some, since a rank's share of the
    other work (loading, logging) is its own; else with its peers'. It has "grown" when it grew at least half as
    much as the wall time did.
    """
    phase = phase_that_moved(evidence)
    if phase is not None and phase.signal in ("data_seconds", "sync_wait_seconds"):
        return "data" if phase.signal == "data_seconds" else "exchange"
    cpu = next((piece for piece in evidence if piece.signal == "cpu_seconds"), None)
    if cpu is None:
        return "unknown"
    reference = before.get("cpu_seconds") or cpu.peers or 0.0
    if not reference > 0:
        return "unknown"
    return "more_cpu" if cpu.value / reference - 1 > (ratio - 1) / 2 else "not_scheduled"


def _log(seconds: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(seconds)
    return np.where(np.isfinite(logs), logs, np.nan)
