"""One job's state and the events that change it. Data only; `membership` has the rules."""

from dataclasses import dataclass, field
from typing import Literal

from gradcube.sync.coordinator_models import CommandView, JobDescription

EventKind = Literal[
    "JOB_STARTED",
    "JOB_FINISHED",
    "RANK_JOINED",
    "RANK_LEFT",
    "RANK_LOST",
    "ASSIGNMENT_CHANGED",
    "CHECKPOINT_WRITTEN",
    "SERVER_JOINED",
    "SERVER_LOST",
    "OTHER",
]


@dataclass
class MemberLease:
    """A worker's lease on a rank; times are seconds of the caller's clock."""

    lease_id: str
    rank: int
    node: str
    pid: int
    joined_at: float
    renewed_at: float
    step: int = 0
    commands: list[CommandView] = field(default_factory=list)


@dataclass
class ServerLeaseState:
    """A shard's lease. `attempt` is the one that the shard last said it serves."""

    lease_id: str
    shard: int
    shards: int
    address: str
    node: str
    joined_at: float
    renewed_at: float
    attempt: int
    version: int = -1


@dataclass
class Job:
    """A job: `started` once all were there; `fresh_since` is the attempt that set new parameters."""

    name: str
    created_at: float
    description: JobDescription | None = None
    attempt: int = 0
    fresh_since: int = 1
    epoch: int = 0
    started: bool = False
    finishing: bool = False
    finished: bool = False
    members: dict[int, MemberLease] = field(default_factory=dict)
    servers: dict[int, ServerLeaseState] = field(default_factory=dict)
    shards: int = 0
    checkpoints: dict[int, int] = field(default_factory=dict)
    """The newest version that each shard has said to have written."""

    @property
    def state(self) -> Literal["waiting", "running", "finished"]:
        """The state that people see."""
        if self.finished:
            return "finished"
        return "running" if self.started else "waiting"

    @property
    def ranks(self) -> list[int]:
        """The live ranks."""
        return sorted(self.members)

    @property
    def complete(self) -> bool:
        """Whether all shards are there and serve this attempt."""
        return 0 < self.shards == len(self.servers) and all(s.attempt == self.attempt for s in self.servers.values())


@dataclass(frozen=True)
class Event:
    """Something that happened to a job, with the job's description at that time."""

    kind: EventKind
    job: str
    attempt: int
    epoch: int
    detail: str
    description: JobDescription | None
    world_size: int
    rank: int | None = None
    node: str | None = None
    shard: int | None = None
    step: int | None = None
