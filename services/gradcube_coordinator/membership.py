"""The rules of jobs, ranks, shards and their leases, as a state machine without clock or I/O.

Every call takes the time and first ends the leases that ran out. One live lease per rank and shard; the epoch
of a job grows with every change of who trains, and never goes back.
"""

from collections.abc import Callable

from gradcube.errors import CoordinatorError, LeaseRefused
from gradcube.sync.coordinator_models import (
    CommandView,
    JobDescription,
    JobRequest,
    JoinRequest,
    ServerHeartbeat,
    ServerRequest,
)
from gradcube_coordinator.changes import Changes
from gradcube_coordinator.jobs import Event, Job, MemberLease, ServerLeaseState


class UnknownJob(CoordinatorError):
    """No job of that name: the coordinator restarted, or it was never made."""


class LeaseEnded(CoordinatorError):
    """The lease ran out, was given back, or was another coordinator's."""


class JobRegistry:
    """All jobs. `new_id` draws lease ids that nobody can guess. Not thread-safe: the caller holds one lock."""

    def __init__(self, *, lease_seconds: float, new_id: Callable[[], str]) -> None:
        self.jobs: dict[str, Job] = {}
        self.lease_seconds = lease_seconds
        self._new_id = new_id
        self._changes = Changes()

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order."""
        return self._changes.take_events()

    def job(self, name: str, now: float) -> Job:
        """The job. Raises UnknownJob."""
        self.expire(now)
        if name not in self.jobs:
            raise UnknownJob(f"no job {name!r} here: POST /v1/jobs first (after a restart of the coordinator: again)")
        return self.jobs[name]

    def expire(self, now: float) -> None:
        """Ends all leases that were not renewed for `lease_seconds`."""
        for job in self.jobs.values():
            for member in [m for m in job.members.values() if now - m.renewed_at > self.lease_seconds]:
                age = now - member.renewed_at
                self._changes.remove(
                    job, member, "RANK_LOST", f"rank {member.rank} on {member.node} silent for {age:.1f} s"
                )
            for server in [s for s in job.servers.values() if now - s.renewed_at > self.lease_seconds]:
                del job.servers[server.shard]
                self._changes.tell(
                    "SERVER_LOST", job, f"shard {server.shard} at {server.address} is silent", server=server
                )

    def create(self, request: JobRequest, now: float) -> Job:
        """The job that `request` makes, joins, or starts the next attempt of. Raises LeaseRefused."""
        self.expire(now)
        description = JobDescription(**request.model_dump(exclude={"job", "attempt"}))
        job = self.jobs.setdefault(request.job, Job(request.job, created_at=now))
        returning = request.attempt is not None and request.attempt >= job.attempt
        if job.description is None:
            attempt = request.attempt if returning and request.attempt else job.attempt + 1
            self._changes.begin(job, description, attempt, now)
        elif self._alive(job, now):
            _same(job, job.description, description)
        elif job.finished or not (returning and description == job.description):
            job.fresh_since = job.attempt + 1 if job.finished else job.fresh_since
            self._changes.begin(job, description, job.attempt + 1, now)
        return job

    def join(self, name: str, request: JoinRequest, now: float) -> MemberLease:
        """A lease on a rank. Raises UnknownJob; LeaseRefused when the rank is held or all are."""
        job = self.job(name, now)
        if job.description is None or job.finished:
            raise UnknownJob(f"job {name!r} is not described, or finished: POST /v1/jobs first")
        rank = _free_rank(job, job.description.world_size) if request.rank is None else request.rank
        holder = job.members.get(rank)
        if holder is not None:
            raise LeaseRefused(
                f"rank {rank} of {name!r} is held by process {holder.pid} on {holder.node} since"
                f" {now - holder.joined_at:.1f} s: join without a rank, or end that process and wait"
                f" {self.lease_seconds} s"
            )
        if rank >= job.description.world_size:
            raise LeaseRefused(f"rank {rank} of {name!r}: ranks are 0 to {job.description.world_size - 1}")
        member = MemberLease(self._new_id(), rank, request.node, request.pid, now, now)
        job.members[rank] = member
        job.epoch = max(job.epoch, request.epoch) + 1
        self._changes.tell("RANK_JOINED", job, f"rank {rank} joined from {member.node}", member=member)
        self._changes.maybe_start(job)
        return member

    def heartbeat(self, name: str, lease_id: str, step: int, now: float) -> tuple[Job, list[CommandView]]:
        """Renews a worker's lease; the commands that it has not had. Raises UnknownJob, LeaseEnded."""
        job = self.job(name, now)
        member = _member(job, lease_id)
        member.renewed_at, member.step = now, step
        commands, member.commands = member.commands, []
        return job, commands

    def leave(self, name: str, lease_id: str, *, finished: bool, now: float) -> None:
        """Gives a worker's lease back. Raises UnknownJob, LeaseEnded."""
        job = self.job(name, now)
        member = _member(job, lease_id)
        job.finishing |= finished
        self._changes.remove(job, member, "RANK_LEFT", f"rank {member.rank} left after step {member.step}")

    def register_server(self, name: str, request: ServerRequest, now: float) -> tuple[Job, ServerLeaseState]:
        """A lease on a shard; it makes the job when there is none. Raises LeaseRefused."""
        self.expire(now)
        job = self.jobs.setdefault(name, Job(name, created_at=now))
        if request.shard >= request.shards or (job.servers and job.shards != request.shards):
            raise LeaseRefused(
                f"shard {request.shard} of {request.shards}, {name!r} has {job.shards}: say the same number"
            )
        holder = job.servers.get(request.shard)
        if holder is not None and holder.address != request.address:
            raise LeaseRefused(
                f"shard {request.shard} of {name!r} is at {holder.address} on {holder.node} since"
                f" {now - holder.joined_at:.1f} s: end that process and wait {self.lease_seconds} s"
            )
        server = ServerLeaseState(
            self._new_id(),
            request.shard,
            request.shards,
            request.address,
            request.node,
            now,
            now,
            request.attempt,
        )
        job.servers[request.shard], job.shards = server, request.shards
        if request.epoch > job.epoch or (job.description is None and request.attempt > job.attempt):
            # This coordinator restarted: what the shard remembers must not be told anew.
            job.epoch = max(job.epoch, request.epoch) + 1
            job.attempt = max(job.attempt, request.attempt) if job.description is None else job.attempt
        self._changes.tell("SERVER_JOINED", job, f"shard {server.shard} is at {server.address}", server=server)
        self._changes.maybe_start(job)
        return job, server

    def server_heartbeat(self, name: str, lease_id: str, beat: ServerHeartbeat, now: float) -> Job:
        """Renews a shard's lease, and tells of a checkpoint that it has written. Raises UnknownJob, LeaseEnded."""
        job = self.job(name, now)
        server = _server(job, lease_id)
        server.renewed_at, server.version, server.attempt = now, beat.version, beat.attempt
        if beat.checkpoint_version > job.checkpoints.get(server.shard, -1):
            job.checkpoints[server.shard] = beat.checkpoint_version
            detail = f"shard {server.shard} wrote a checkpoint of version {beat.checkpoint_version}"
            self._changes.tell("CHECKPOINT_WRITTEN", job, detail, server=server, step=beat.checkpoint_version)
        self._changes.maybe_start(job)
        return job

    def leave_server(self, name: str, lease_id: str, now: float) -> None:
        """Gives a shard's lease back. Raises UnknownJob, LeaseEnded."""
        job = self.job(name, now)
        server = _server(job, lease_id)
        del job.servers[server.shard]
        self._changes.tell("SERVER_LOST", job, f"shard {server.shard} at {server.address} stopped", server=server)

    def command(self, name: str, command: CommandView) -> int:
        """Lays `command` ready for all live workers of the job; their number."""
        members = self.jobs[name].members if name in self.jobs else {}
        for member in members.values():
            member.commands = [*member.commands[-99:], command]
        return len(members)

    def _alive(self, job: Job, now: float) -> bool:
        """Whether somebody trains or is about to: a job just made has a lease's time for its first worker."""
        young = not job.started and now - job.created_at <= self.lease_seconds
        return not job.finished and (bool(job.members) or young)


def _same(job: Job, ours: JobDescription, theirs: JobDescription) -> None:
    old, new = ours.model_dump(), theirs.model_dump()
    differing = [f"{name} is {old[name]!r}, you say {new[name]!r}" for name in old if old[name] != new[name]]
    if differing:
        raise LeaseRefused(
            f"job {job.name!r} (attempt {job.attempt}, {job.state}, {len(job.members)} workers) is another:"
            f" {'; '.join(differing)}. Use another job name, or wait until it has ended"
        )


def _free_rank(job: Job, world_size: int) -> int:
    free = [rank for rank in range(world_size) if rank not in job.members]
    if not free:
        raise LeaseRefused(f"all {world_size} ranks of {job.name!r} are held: make the job with a larger world_size")
    return free[0]


def _member(job: Job, lease_id: str) -> MemberLease:
    for member in job.members.values():
        if member.lease_id == lease_id:
            return member
    raise LeaseEnded(f"that lease on a rank of {job.name!r} has ended: stop, or join again")


def _server(job: Job, lease_id: str) -> ServerLeaseState:
    for server in job.servers.values():
        if server.lease_id == lease_id:
            return server
    raise LeaseEnded(f"that lease on a shard of {job.name!r} has ended: register again")
