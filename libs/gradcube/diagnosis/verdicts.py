"""The sentence that a person reads: who, how much, since when, what moved, and what to look at."""

from collections.abc import Sequence
from typing import Literal

from gradcube.diagnosis.findings import Evidence, Subject

Cause = Literal["not_scheduled", "more_cpu", "data", "unknown"]

_CAUSE = {
    "not_scheduled": "CPU time unchanged: the process is not being scheduled",
    "more_cpu": "CPU time grew as well: more work, or a slower processor",
    "data": "the time went into loading data",
    "unknown": "CPU time not measured",
}
_ADVICE = {
    "not_scheduled": "check {node} for CPU limits, stopped or competing processes",
    "more_cpu": "check {node} for clock frequency and temperature, and the rank for longer batches",
    "data": "check the storage and data workers of {node}",
    "unknown": "check {node}",
}


def slow_verdict(subject: Subject, ratio: float, onset_step: int, phase: Evidence | None, cause: Cause) -> str:
    """`rank 2 is 1.6x slower than its peers since step 140 (backward 62 ms, peers 39 ms; ...); check node-b for ...`.

    `phase` is the part of the step that moved most.
    """
    moved = "" if phase is None else f"{_phase(phase)}; "
    node = f"node {subject.node}" if subject.node else "its node"
    return (
        f"rank {subject.rank} is {_times(ratio)} slower than its peers since step {onset_step} "
        f"({moved}{_CAUSE[cause]}); {_ADVICE[cause].format(node=node)}"
    )


def normal_verdict(subject: Subject, ratio: float, onset_step: int, end_step: int) -> str:
    """`rank 2 is back to normal since step 212 after 72 steps at 1.6x`."""
    steps = end_step - onset_step + 1
    return (
        f"rank {subject.rank} is back to normal since step {end_step + 1} after "
        f"{steps} step{'s' * (steps != 1)} at {_times(ratio)}"
    )


def gone_verdict(subject: Subject, ratio: float, end_step: int) -> str:
    """For a rank that was slow when its reports stopped."""
    return f"rank {subject.rank} has not reported since step {end_step}, it was {_times(ratio)} slower than its peers"


def phase_that_moved(evidence: Sequence[Evidence]) -> Evidence | None:
    """The part of a step that lies most seconds above its peers; None when none of them was measured."""
    parts = [e for e in evidence if e.peers is not None and e.signal in _PHASES]
    return max(parts, key=lambda e: e.value - (e.peers or 0.0), default=None)


_PHASES = ("data_seconds", "forward_seconds", "backward_seconds", "step_seconds")


def _phase(piece: Evidence) -> str:
    name = piece.signal.removesuffix("_seconds")
    return f"{name} {_milliseconds(piece.value)}, peers {_milliseconds(piece.peers or 0.0)}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 1.2 else f"{ratio:.1f}x"
