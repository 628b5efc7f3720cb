"""A cause as a finding: who, in which collective, how many wait and since when, how sure, what to do next."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gradcube.diagnosis.findings import Evidence, Finding, Subject, finding_id
from gradcube.flight_recorder.causes import Cause, Reason

CONFIDENCE: dict[Reason, float] = {
    "absent": 0.99, "stopped": 0.9, "differs": 0.95, "silent": 0.8, "disagree": 0.6, "circle": 0.5, "nobody": 0.5,
}  # fmt: skip
"""What the record proves (absent), what only a failure explains (differs, stopped), what is missing (silent)."""

ADVICE: dict[Reason, str] = {
    "absent": "look at its stack (py-spy dump) and its node's kernel log for GPU errors (Xid), then restart without it",
    "stopped": "look for GPU errors (Xid) in its node's kernel log, then restart without that GPU",
    "differs": "compare its batch and its branch of the code with the others'",
    "silent": "see whether its process and its node are alive, then restart without it",
    "disagree": "compare what these ranks do before it: a branch or a batch differs",
    "circle": "make all ranks call these groups' collectives in the same order",
    "nobody": "test the network and the GPUs between these ranks (NCCL_DEBUG=INFO, all_reduce benchmark)",
}
MAX_NAMED = 8


def to_finding(cause: Cause, job: str, latest_ns: int) -> Finding:
    """`latest_ns` is the last time that any dump of the job tells."""
    subject = Subject(rank=cause.ranks[0]) if len(cause.ranks) == 1 else Subject()
    operation = cause.operation
    waited = _waited_seconds(cause, latest_ns)
    onset_at = (operation.created_ns or 0) // 1000
    return Finding(
        id=finding_id(job, 0, "HANG", subject, operation.sequence),
        job=job, attempt=0, kind="HANG", state="OPENED", subject=subject,
        onset_step=0, detected_step=0, end_step=None,
        onset_at_micros=onset_at, detected_at_micros=max(onset_at, latest_ns // 1000),
        magnitude=float(len(cause.behind)), confidence=CONFIDENCE[cause.reason],
        evidence=_evidence(cause, waited), verdict=_verdict(cause, waited),
    )  # fmt: skip


def _evidence(cause: Cause, waited_seconds: float | None) -> tuple[Evidence, ...]:
    where = f"{cause.operation.name} in {cause.operation.group.title}"
    pieces = [Evidence("waiting_ranks", float(len(cause.behind)), None, "count")]
    if cause.reached is not None and cause.others is not None:
        which = "last finished" if cause.reason == "stopped" else "last entered"
        pieces.append(Evidence(f"{which} sequence of {where}", float(cause.reached), float(cause.others), "count"))
    else:
        pieces.append(Evidence(f"sequence of {where}", float(cause.operation.sequence), None, "count"))
    if waited_seconds is not None:
        pieces.append(Evidence("waited_seconds", waited_seconds, None, "seconds"))
    return tuple(pieces)


def _waited_seconds(cause: Cause, latest_ns: int) -> float | None:
    """At least so long: until the last time in any dump, or the timeout that has passed. A dump has no time itself."""
    operation = cause.operation
    seconds = (latest_ns - operation.created_ns) / 1e9 if operation.created_ns is not None else None
    if operation.timed_out and operation.timeout_seconds is not None:
        return max(seconds or 0.0, operation.timeout_seconds)
    return seconds


def _verdict(cause: Cause, waited_seconds: float | None) -> str:
    since = ""
    if cause.operation.created_ns is not None:
        moment = datetime.fromtimestamp(cause.operation.created_ns / 1e9, UTC)
        since = f" since {moment:%Y-%m-%d %H:%M:%S} UTC"
    if waited_seconds is not None and waited_seconds >= 1:
        since += f", {waited_seconds:.0f} s at least"
    sure = f"{CONFIDENCE[cause.reason]:.0%} sure"
    return f"{_what(cause)}{since} ({sure}); {ADVICE[cause.reason]}"


def _what(cause: Cause) -> str:
    operation, who = cause.operation, _names(cause.ranks)
    where = f"{_collective(cause)} of {operation.group.title}"
    waiting = _waiting(len(cause.behind))
    match cause.reason:
        case "absent":
            last = (
                "" if cause.reached is None or cause.reached < 0 else f" (the last that it entered is {cause.reached})"
            )
            return f"{who} has not entered {where}{last}, and {waiting}"
        case "stopped":
            return (
                f"{who} sees none of its collectives finish after {cause.reached} of {operation.group.title}, "
                f"though its peers have finished {cause.others} together with it: its GPU or its watchdog has stopped"
            )
        case "differs":
            return f"{who} runs {cause.said[0]} as {where} while the others run {cause.said[1]}, and {waiting}"
        case "silent":
            return f"{who} left no dump, and {waiting} in {where}"
        case "disagree":
            return f"{who} run {cause.said[0]} and {cause.said[1]} as {where}, so none of them goes on"
        case "circle":
            return f"{who} wait for one another, first in {where}, and {waiting}"
        case "nobody":
            return f"{who} have all entered {where} and none has finished it within its timeout"


def _collective(cause: Cause) -> str:
    operation = cause.operation
    if operation.peers is not None:
        return f"the {operation.name} from rank {operation.peers[0]} to rank {operation.peers[1]}"
    return f"{operation.name} number {operation.sequence}"


def _waiting(ranks: int) -> str:
    return "1 rank waits" if ranks == 1 else f"{ranks} ranks wait"


def _names(ranks: Sequence[int]) -> str:
    """`rank 3`, `ranks 1, 2 and 3`, `ranks 0, 1, ... (64 in all)`."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    if len(ranks) > MAX_NAMED:
        return f"ranks {', '.join(map(str, ranks[:MAX_NAMED]))} ... ({len(ranks)} in all)"
    return f"ranks {', '.join(map(str, ranks[:-1]))} and {ranks[-1]}"
