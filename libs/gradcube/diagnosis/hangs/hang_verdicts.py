"""The sentences about a hang: since when, who is missing, and where to look."""

from collections.abc import Mapping

NAMED = 8
RECORDER = "gradcube diagnose --flight-recorder DIR"


def hang_verdict(
    step: int,
    seconds: float,
    usual_seconds: float,
    missing: Mapping[int, str | None],
    lost: Mapping[int, tuple[str, str | None]],
) -> str:
    """`no rank has ended step 121 for 2 min (usual: 0.25 s): rank 3 on node-b has lost its lease; check ...`.

    `missing` are ranks that have not reported what others have, with their nodes; `lost` those without a lease.
    """
    usual = f" (usual: {duration(usual_seconds)})" if usual_seconds > 0 else ""
    gone = {rank: node for rank, (kind, node) in lost.items() if kind == "RANK_LOST"}
    left = {rank: node for rank, (kind, node) in lost.items() if kind == "RANK_LEFT"}
    if gone:
        who = f"{_ranks(gone)} lost {_its(gone)} lease; check whether {_its(gone)} process or node died"
    elif left:
        who = f"{_ranks(left)} left; restart {_it(left)}, or the job with fewer ranks"
    elif missing:
        last = step - 1
        who = (
            f"{_ranks(missing)} did not report what the others did by step {last}; look at {_its(missing)} stack there"
        )
    else:
        who = f"no rank has reported, and none is known to be lost; look at the flight recorder: {RECORDER}"
    return f"the job hangs: no step since step {step - 1} for {duration(seconds)}{usual}: {who}"


def over_verdict(step: int, seconds: float, returned: tuple[int, ...]) -> str:
    """`steps go on with step 121, after 4 min without one; rank 3 is back`."""
    back = f"; {_ranks(dict.fromkeys(returned))} back" if returned else ""
    return f"the hang is over: steps go on with step {step}, after {duration(seconds)} without one{back}"


def ended_verdict(step: int, detail: str) -> str:
    """For an attempt that ended without going on."""
    return f"the hang is over because the attempt is ({detail}): step {step} was never done"


def duration(seconds: float) -> str:
    """`250 ms`, `12 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _ranks(ranks: Mapping[int, str | None]) -> str:
    """`rank 3 on node-b`, `ranks 3, 7 on node-b`, `ranks 1, 5 (on node-a, node-b)`."""
    named = ", ".join(str(rank) for rank in list(ranks)[:NAMED])
    more = f" and {len(ranks) - NAMED} more" if len(ranks) > NAMED else ""
    nodes = sorted({node for node in ranks.values() if node})
    where = f" on {', '.join(nodes[:NAMED])}" if nodes else ""
    return f"rank{'s' * (len(ranks) != 1)} {named}{more}{where}"


def _its(ranks: Mapping[int, object]) -> str:
    return "its" if len(ranks) == 1 else "their"


def _it(ranks: Mapping[int, object]) -> str:
    return "it" if len(ranks) == 1 else "them"
