"""What workers, shards and people say to the coordinator and hear from it: the typed bodies of its HTTP routes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A job's name: it becomes a Kafka key and a folder, so it has no slash."""


class Body(BaseModel):
    """Base of all bodies: immutable; a field that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JobDescription(Body):
    """What is trained. All workers of a job must say the same."""

    model: str = Field(max_length=200)
    model_parameters: int = Field(ge=0)
    hardware: str = Field(default="", max_length=200)
    dataset: str = Field(default="", max_length=200)
    samples: int = Field(gt=0)
    global_batch_size: int = Field(gt=0)
    steps: int = Field(gt=0)
    seed: int
    world_size: int = Field(gt=0, le=100_000)
    grad_clip_norm: float | None = Field(default=None, gt=0)
    """Norm above which the reduced gradient is scaled down to it."""
    own_grad_clip_norm: float | None = Field(default=None, gt=0)
    """The same of each worker's gradient, before the reduction."""


class JobRequest(JobDescription):
    """Makes a job or joins it. `attempt` is set by a worker that comes back in the middle of that attempt."""

    job: Name
    attempt: int | None = Field(default=None, ge=1)


class MemberView(Body):
    """A live worker of a job."""

    rank: int
    node: str
    pid: int
    step: int
    lease_age_seconds: float


class ServerAddress(Body):
    """Where a shard's data port is, as host:port."""

    shard: int
    address: str


class JobView(Body):
    """A job as the coordinator sees it. The description is null while only its shards have registered."""

    job: str
    attempt: int
    epoch: int
    state: Literal["waiting", "running", "finished"]
    shards: int
    members: list[MemberView]
    servers: list[ServerAddress]
    description: JobDescription | None


class JoinRequest(Body):
    """A worker asks for a rank (null: the lowest free one). A returning worker says which epoch it knows."""

    rank: int | None = Field(default=None, ge=0, lt=100_000)
    node: str = Field(max_length=253)
    pid: int = Field(ge=0)
    epoch: int = Field(default=0, ge=0)


class Membership(Body):
    """A worker's lease on a rank."""

    rank: int
    lease_id: str
    lease_seconds: float
    heartbeat_seconds: float
    attempt: int
    epoch: int


class Heartbeat(Body):
    """The last step that the worker finished."""

    step: int = Field(ge=0)


class CommandView(Body):
    """What an operator asks of the workers."""

    id: str
    action: str
    arguments: dict[str, str]


class HeartbeatAnswer(Body):
    """The epoch now, and commands not yet handed to this worker."""

    epoch: int
    commands: list[CommandView]


class Assignment(Body):
    """Who trains and where the shards are. `ready` once world_size workers and all shards were there."""

    epoch: int
    attempt: int
    ready: bool
    ranks: list[int]
    servers: list[ServerAddress]
    shards: int


class ServerRequest(Body):
    """A shard registers. `epoch` and `attempt` are the highest it knows, from memory or its checkpoint."""

    shard: int = Field(ge=0)
    shards: int = Field(gt=0, le=10_000)
    address: str = Field(max_length=300)
    node: str = Field(max_length=253)
    epoch: int = Field(default=0, ge=0)
    attempt: int = Field(default=0, ge=0)


class ServerHeartbeat(Body):
    """The shard's version, and the attempt that it serves: a job is ready when all its shards serve it.

    `checkpoint_version` is the newest that this process has written, -1 for none.
    """

    version: int = Field(ge=-1)
    attempt: int = Field(ge=0)
    checkpoint_version: int = Field(default=-1, ge=-1)


class ServerAnswer(Body):
    """The membership that the shard aggregates over.

    `fresh_since` is the attempt whose first worker set new parameters: a shard that holds those of an earlier
    one forgets them (the job before it had finished).
    """

    epoch: int
    ranks: list[int]
    attempt: int
    fresh_since: int


class ServerLease(ServerAnswer):
    """A shard's lease, with the membership."""

    lease_id: str
    lease_seconds: float
    heartbeat_seconds: float


class MemberAddress(Body):
    """A live worker, for the agent of its node."""

    job: str
    attempt: int
    rank: int
    pid: int
    node: str
