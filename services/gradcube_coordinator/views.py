"""The registry's state as the bodies that routes answer with. Pure."""

from typing import Any

from gradcube.sync.coordinator_models import (
    Assignment,
    JobView,
    MemberAddress,
    Membership,
    MemberView,
    ServerAddress,
    ServerAnswer,
    ServerLease,
)
from gradcube_coordinator.jobs import Job, MemberLease, ServerLeaseState
from gradcube_coordinator.membership import JobRegistry


def job_view(job: Job, now: float) -> JobView:
    """One job."""
    members = [
        MemberView(rank=m.rank, node=m.node, pid=m.pid, step=m.step, lease_age_seconds=now - m.renewed_at)
        for _, m in sorted(job.members.items())
    ]
    return JobView(
        job=job.name,
        attempt=job.attempt,
        epoch=job.epoch,
        state=job.state,
        shards=job.shards,
        members=members,
        servers=_servers(job),
        description=job.description,
    )


def job_views(registry: JobRegistry, now: float) -> list[JobView]:
    """All jobs, by name."""
    registry.expire(now)
    return [job_view(job, now) for _, job in sorted(registry.jobs.items())]


def assignment(job: Job) -> Assignment:
    """Who trains. Ready as long as the job runs, also while a shard is away: its clients wait for it."""
    return Assignment(
        epoch=job.epoch,
        attempt=job.attempt,
        ready=job.state == "running",
        ranks=job.ranks,
        servers=_servers(job),
        shards=job.shards,
    )


def members(registry: JobRegistry, now: float, node: str | None) -> list[MemberAddress]:
    """The live workers on `node`, or everywhere."""
    registry.expire(now)
    return [
        MemberAddress(job=job.name, attempt=job.attempt, rank=member.rank, pid=member.pid, node=member.node)
        for job in registry.jobs.values()
        for member in job.members.values()
        if node is None or member.node == node
    ]


def membership(registry: JobRegistry, job: Job, member: MemberLease) -> Membership:
    """A worker's lease."""
    return Membership(
        rank=member.rank,
        lease_id=member.lease_id,
        lease_seconds=registry.lease_seconds,
        heartbeat_seconds=registry.lease_seconds / 4,
        attempt=job.attempt,
        epoch=job.epoch,
    )


def server_answer(job: Job) -> ServerAnswer:
    """Whom a shard aggregates over: nobody before the job has started."""
    ranks = job.ranks if job.state == "running" else []
    return ServerAnswer(epoch=job.epoch, ranks=ranks, attempt=job.attempt, fresh_since=job.fresh_since)


def server_lease(registry: JobRegistry, job: Job, server: ServerLeaseState) -> ServerLease:
    """A shard's lease."""
    return ServerLease(
        **server_answer(job).model_dump(),
        lease_id=server.lease_id,
        lease_seconds=registry.lease_seconds,
        heartbeat_seconds=min(registry.lease_seconds / 6, 0.5),
    )


def status(registry: JobRegistry, now: float) -> dict[str, Any]:
    """Counters of the process and of each job."""
    registry.expire(now)
    jobs = {
        job.name: {
            "state": job.state,
            "attempt": job.attempt,
            "epoch": job.epoch,
            "members": len(job.members),
        }
        for job in registry.jobs.values()
    }
    return {"jobs": jobs}


def _servers(job: Job) -> list[ServerAddress]:
    return [ServerAddress(shard=s.shard, address=s.address) for _, s in sorted(job.servers.items())]
