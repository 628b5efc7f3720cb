"""The sentence that a person reads: who, how much, since when, what moved, how sure, and what to look at."""

from collections.abc import Sequence
from typing import Literal

from gradcube.diagnosis.findings import Evidence, Subject

Cause = Literal["not_scheduled", "more_cpu", "data", "exchange", "unknown"]

_CAUSE = {
    "not_scheduled": "CPU time unchanged: the process is not being scheduled",
    "more_cpu": "CPU time grew as well: more work, or a slower processor",
    "data": "the time went into loading data",
    "exchange": "the time went into waiting for the exchange, not into computing",
    "unknown": "CPU time not measured",
}
_ADVICE = {
    "not_scheduled": "check {where} for CPU limits, stopped or competing processes",
    "more_cpu": "check {where} for clock frequency and temperature, and the ranks for longer batches",
    "data": "check the storage and data workers of {where}",
    "exchange": "check the network and the servers that {where} exchanges with",
    "unknown": "check {where}",
}
_PHASES = ("data_seconds", "forward_seconds", "backward_seconds", "step_seconds")


def slow_verdict(
    subject: Subject, ratio: float, onset_step: int, confidence: float, evidence: Sequence[Evidence], cause: Cause
) -> str:
    """`rank 2 is 1.6x slower than its peers since step 140 (backward 62 ms, peers 39 ms; ...), 99 % sure; check ...`"""
    phase = phase_that_moved(evidence)
    other = "before" if is_whole_job(subject) else "peers"
    moved = "" if phase is None else f"{_phase(phase, other)}; "
    compared = "its peers" if subject.rank is not None else "before" if is_whole_job(subject) else "the others"
    return (
        f"{who(subject)} is {_times(ratio)} slower than {compared} since step {onset_step} "
        f"({moved}{_CAUSE[cause]}), {confidence:.0%} sure; {_ADVICE[cause].format(where=_where(subject))}"
    )


def normal_verdict(subject: Subject, ratio: float, onset_step: int, end_step: int) -> str:
    """`rank 2 is back to normal since step 212 after 72 steps at 1.6x`."""
    steps = end_step - onset_step + 1
    return (
        f"{who(subject)} is back to normal since step {end_step + 1} after "
        f"{steps} step{'s' * (steps != 1)} at {_times(ratio)}"
    )


def gone_verdict(subject: Subject, ratio: float, end_step: int) -> str:
    """For a subject that was slow when its reports stopped."""
    return f"{who(subject)} has not reported since step {end_step}, it was {_times(ratio)} slower than its peers"


def constant_verdict(subject: Subject, ratio: float, steps: int) -> str:
    """For a rank or node that is a little slower than its peers from the first step, and is reported once."""
    return (
        f"{who(subject)} has been {_times(ratio)} slower than its peers from the first step, for {steps} steps: "
        f"no event, but everybody waits for it; compare {_where(subject)} with the others when there is time"
    )


def imbalance_verdict(subject: Subject, ratio: float, steps: int) -> str:
    """For a pipeline stage that costs more than the others in all its replicas, and is reported once."""
    return (
        f"{who(subject)} has cost {_times(ratio)} what the other stages cost from the first step, for {steps} steps "
        "and in all its replicas: an imbalance of the pipeline, no rank's fault; give the stage fewer layers"
    )


def who(subject: Subject) -> str:
    """`rank 2`, `node a`, `stage 1`, `the link of rank 2`, `the whole job`."""
    if subject.link is not None:
        return f"the link of {subject.link}"
    for name in ("rank", "node", "stage", "replica"):
        if getattr(subject, name) is not None:
            return f"{name} {getattr(subject, name)}"
    return "the whole job"


def is_whole_job(subject: Subject) -> bool:
    """Whether it names nobody."""
    return who(subject) == "the whole job"


def phase_that_moved(evidence: Sequence[Evidence]) -> Evidence | None:
    """The part of a step that lies most seconds above its peers; None when none of them was measured.

    Waiting counts only when no work of one's own moved: whoever waits more than before waits for somebody.
    """
    parts = {e.signal: e for e in evidence if e.peers is not None}
    own = [parts[name] for name in _PHASES[:-1] if name in parts]
    most = max(own, key=_more, default=None)
    wait, step = parts.get("sync_wait_seconds"), parts.get("step_seconds")
    if wait is not None and _more(wait) > 2 * max(_more(most) if most else 0.0, 0.0):
        return wait
    return most if most is not None else step


def _more(piece: Evidence) -> float:
    return piece.value - (piece.peers or 0.0)


def _where(subject: Subject) -> str:
    if subject.node:
        return f"node {subject.node}"
    if is_whole_job(subject):
        return "what all ranks share"
    return "its node" if subject.rank is not None else "its nodes"


def _phase(piece: Evidence, other: str) -> str:
    name = piece.signal.removesuffix("_seconds").replace("_", " ")
    return f"{name} {_milliseconds(piece.value)}, {other} {_milliseconds(piece.peers or 0.0)}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 1.2 else f"{ratio:.1f}x"
