"""A job of pipeline, tensor and data groups, run until it hangs, and its dumps as PyTorch writes them.

Each rank puts a few operations on its queue ahead of its GPU; an operation is done when it is the first on the queue of
everybody who takes part. A fault stops one rank's calls, changes one of them, or hides what its GPU does.
"""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AHEAD = 4
START_NS = 1_750_000_000_000_000_000


@dataclass(frozen=True)
class Call:
    group: str
    name: str
    size: int = 1024
    peers: tuple[int, int] | None = None


@dataclass
class Rank:
    program: list[Call]
    entered: int = 0
    done: int = 0
    seen: int | None = None  # how many of `done` the watchdog knows of; None: all
    stops_at: int | None = None

    def head(self) -> Call | None:
        return self.program[self.done] if self.done < self.entered else None


@dataclass
class Job:
    groups: dict[str, tuple[int, ...]]
    ranks: list[Rank]
    timed: bool = False
    without_dump: set[int] = field(default_factory=set)

    def run(self) -> "Job":
        moved = True
        while moved:
            moved = self._enter() | self._finish()
        return self

    def _enter(self) -> bool:
        moved = False
        for rank in self.ranks:
            limit = min(len(rank.program), rank.done + AHEAD, *([rank.stops_at] if rank.stops_at is not None else []))
            moved |= limit > rank.entered
            rank.entered = max(rank.entered, limit)
        return moved

    def _finish(self) -> bool:
        moved = False
        for rank in self.ranks:
            call = rank.head()
            members = () if call is None else call.peers or self.groups[call.group]
            if call is not None and all(self._joins(other, call) for other in members):
                for other in members:
                    self.ranks[other].done += 1
                moved = True
        return moved

    def _joins(self, other: int, call: Call) -> bool:
        head = self.ranks[other].head()
        if head is None or call.peers is None:
            return head == call
        return head.peers == call.peers and head.group == call.group

    def dump(self, folder: Path, *, as_json: bool = False, only_pending: bool = False) -> Path:
        for number in range(len(self.ranks)):
            if number not in self.without_dump:
                raw = self.raw(number, only_pending)
                if as_json:
                    (folder / f"trace_rank_{number}.json").write_text(json.dumps(_texts(raw)))
                else:
                    (folder / f"_dump_{number}").write_bytes(pickle.dumps(raw, protocol=2))
        return folder

    def raw(self, number: int, only_pending: bool) -> dict[str, Any]:
        rank = self.ranks[number]
        mine = [name for name, ranks in self.groups.items() if number in ranks]
        seen = rank.done if rank.seen is None else min(rank.seen, rank.done)
        collectives, p2p = dict.fromkeys(mine, 0), dict.fromkeys(mine, 0)
        status = {name: {"last_enqueued_collective": -1, "last_started_collective": -1, "last_completed_collective": -1}
                  for name in mine}  # fmt: skip
        entries = []
        for place, call in enumerate(rank.program[: rank.entered]):
            counted = p2p if call.peers else collectives
            counted[call.group] += 1
            status[call.group]["last_enqueued_collective"] = counted[call.group]
            state = "completed" if place < seen else "started" if self.timed and place == rank.done else "scheduled"
            if state == "completed":
                status[call.group]["last_completed_collective"] = counted[call.group]
            if self.timed and state != "scheduled":
                status[call.group]["last_started_collective"] = counted[call.group]
            entry = {
                "record_id": place, "pg_id": mine.index(call.group),
                "process_group": (call.group, f"GROUP_{call.group}"),
                "collective_seq_id": collectives[call.group], "p2p_seq_id": p2p[call.group], "op_id": place,
                "profiling_name": f"nccl:{self._named(call, number)}", "is_p2p": call.peers is not None,
                "input_sizes": [[call.size]], "output_sizes": [[call.size]], "input_dtypes": ["Float"],
                "output_dtypes": ["Float"], "state": state, "retired": False, "timeout_ms": 600000,
                "time_created_ns": START_NS + place * 1_000_000_000 + number, "time_discovered_started_ns": None,
                "time_discovered_completed_ns": None,
            }  # fmt: skip
            if state != "completed" or not only_pending:
                entries.append(entry)
        config = {name: {"name": name, "desc": f"GROUP_{name}", "ranks": str(list(self.groups[name]))} for name in mine}
        statuses = {str(at): status[name] for at, name in enumerate(mine)}
        return {"version": "2.9", "pg_config": config, "pg_status": statuses, "entries": entries}

    def _named(self, call: Call, number: int) -> str:
        if call.peers is None:
            return call.name
        sender, receiver = (self.groups[call.group].index(rank) for rank in call.peers)
        return f"send {sender}->{receiver}" if number == call.peers[0] else f"recv {receiver}<-{sender}"


def job(stages: int = 3, replicas: int = 2, tensor: int = 2, steps: int = 3, **rest: Any) -> Job:
    """Ranks count tensor first, then replica, then stage. Names of groups are numbers, as PyTorch gives them."""
    count = stages * replicas * tensor
    ranks = range(count)
    groups: dict[str, tuple[int, ...]] = {"0": tuple(ranks)}
    kinds: dict[str, Callable[[int], object]] = {
        "tensor": lambda rank: rank // tensor,
        "data": lambda rank: (rank % tensor, rank // (tensor * replicas)),
        "pipe": lambda rank: rank % (tensor * replicas),
    }
    name_of = {}
    for kind, key in kinds.items():
        for value in dict.fromkeys(map(key, ranks)):
            name_of[kind, value] = str(len(groups))
            groups[str(len(groups))] = tuple(rank for rank in ranks if key(rank) == value)
    jobs = Job(groups, [], **rest)
    for rank in ranks:
        own = {kind: name_of[kind, key(rank)] for kind, key in kinds.items()}
        jobs.ranks.append(Rank(_program(rank, own, groups[own["pipe"]], steps)))
    return jobs


def _program(rank: int, own: dict[str, str], pipe: tuple[int, ...], steps: int) -> list[Call]:
    at, calls = pipe.index(rank), list[Call]()
    before, after = pipe[at - 1] if at else None, pipe[at + 1] if at + 1 < len(pipe) else None
    for _ in range(steps):
        for source, target in [(before, after)] * 2 + [(after, before)] * 2:  # two batches forward, then backward
            calls += [] if source is None else [Call(own["pipe"], "p2p", peers=(source, rank))]
            calls += [Call(own["tensor"], "_all_gather_base"), Call(own["tensor"], "_reduce_scatter_base")]
            calls += [] if target is None else [Call(own["pipe"], "p2p", peers=(rank, target))]
        calls += [Call(own["data"], "all_reduce"), Call("0", "all_reduce", 1)]
    return calls


def _texts(raw: dict[str, Any]) -> dict[str, Any]:
    """The JSON form has the numbers of pg_status as text."""
    status = {at: {key: str(number) for key, number in about.items()} for at, about in raw["pg_status"].items()}
    return {**raw, "pg_status": status}
