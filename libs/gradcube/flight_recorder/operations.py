"""One entry of a dump -> one operation: what it was, with whom, how far it got."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradcube.flight_recorder.groups import Group, whole

ROOTED = frozenset({"broadcast", "_broadcast_oop", "reduce", "_reduce_oop", "gather", "scatter"})
"""One rank may finish these while another has not begun. All others need something from everybody."""

SAME_ON_ALL = frozenset({"all_reduce", "allreduce_coalesced", "broadcast", "reduce", "_all_gather_base",
                         "_reduce_scatter_base", "barrier"})  # fmt: skip
"""Collectives to which every rank must bring as many numbers of the same type."""

MAX_NAME = 100


@dataclass(frozen=True)
class Operation:
    """`sequence` counts the group's collectives; a send or receive has that of the last collective before it.

    `peers` is (from, to) in global ranks for a send or receive. `sizes` says how many numbers of
    which type go in and out.
    """

    rank: int
    group: Group
    name: str
    sequence: int
    peers: tuple[int, int] | None
    is_p2p: bool
    sizes: str
    state: str
    timed_out: bool
    created_ns: int | None
    seen_ns: int | None
    timeout_seconds: float | None

    @property
    def pending(self) -> bool:
        """It was put on the queue and is not known as finished."""
        return self.state != "completed"

    @property
    def identity(self) -> tuple[object, ...]:
        """What it shares with the other ranks' records of the same operation."""
        return (self.group.key, self.peers) if self.is_p2p else (self.group.key, self.sequence)


def read_operation(entry: Mapping[str, Any], rank: int, groups: Mapping[str, Group]) -> Operation:
    """`groups` by name. Raises KeyError, TypeError or ValueError for an entry that lacks what identifies it."""
    name, _, peers = str(entry["profiling_name"])[:MAX_NAME].rpartition(":")[2].partition(" ")
    state = str(entry["state"])
    group = groups.get(group_name(entry)) or Group(group_name(entry), group_name(entry), ())
    times = [whole(entry.get(key)) for key in ("time_discovered_started_ns", "time_discovered_completed_ns")]
    created, timeout = whole(entry.get("time_created_ns")), whole(entry.get("timeout_ms"))
    return Operation(
        rank=rank,
        group=group,
        name=name,
        sequence=_required(entry),
        peers=_peers(name, peers, group.ranks),
        is_p2p=bool(entry.get("is_p2p", name in ("send", "recv"))),
        sizes=_sizes(entry),
        state=state,
        timed_out=state != "completed" and entry.get("retired") is True,
        created_ns=created,
        seen_ns=max((time for time in (created, *times) if time is not None), default=None),
        timeout_seconds=None if timeout is None else timeout / 1000,
    )


def group_name(entry: Mapping[str, Any]) -> str:
    """The name under which `pg_config` has the entry's group: (name, description) since 2.1, a number before."""
    named = entry["process_group"] if "process_group" in entry else entry["pg_id"]
    return str(named[0]) if isinstance(named, Sequence) and not isinstance(named, str) else str(named)


def _required(entry: Mapping[str, Any]) -> int:
    sequence = whole(entry["collective_seq_id"] if "collective_seq_id" in entry else entry["seq_id"])
    if sequence is None:
        raise ValueError("its sequence number is none")
    return sequence


def _peers(name: str, text: str, ranks: tuple[int, ...]) -> tuple[int, int] | None:
    """`send 0->3` and `recv 3<-0` are both (0, 3); the numbers are places in the group."""
    arrow = {"send": "->", "recv": "<-"}.get(name)
    if arrow is None or not ranks:
        return None
    own, other = (int(place) for place in text.split(arrow))
    sender, receiver = (own, other) if name == "send" else (other, own)
    return ranks[sender], ranks[receiver]


def _sizes(entry: Mapping[str, Any]) -> str:
    """`120 Float to 240 Float`, `120 Float` where the same goes in and out."""
    sides = [_side(entry, side) for side in ("input", "output")]
    return " to ".join(dict.fromkeys(side for side in sides if side))


def _side(entry: Mapping[str, Any], side: str) -> str:
    types = entry.get(f"{side}_dtypes") or ()
    types = [types] if isinstance(types, str) else [str(one)[:40] for one in types]
    numbers = [math.prod(int(length) for length in size) for size in entry.get(f"{side}_sizes") or ()]
    return f"{'+'.join(map(str, numbers))} {'+'.join(types)}".strip()
