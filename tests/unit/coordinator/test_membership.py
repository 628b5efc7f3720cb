"""The coordinator's rules: leases, epochs, attempts, with the time as an argument."""

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gradcube.errors import CoordinatorError, LeaseRefused
from gradcube.sync.coordinator_models import CommandView, JobRequest, JoinRequest, ServerHeartbeat, ServerRequest
from gradcube_coordinator import views
from gradcube_coordinator.membership import JobRegistry, LeaseEnded, UnknownJob


def request(world_size: int = 2, **changes: object) -> JobRequest:
    body = {"job": "bert", "model": "tiny", "model_parameters": 10, "samples": 8, "global_batch_size": 4}
    return JobRequest.model_validate(body | {"steps": 5, "seed": 1, "world_size": world_size} | changes)


def join(rank: int | None = None, epoch: int = 0) -> JoinRequest:
    return JoinRequest(rank=rank, node="a", pid=5, epoch=epoch)


def server(shard: int = 0, shards: int = 1, **changes: object) -> ServerRequest:
    body = {"shard": shard, "shards": shards, "address": f"h:{shard}", "node": "b"}
    return ServerRequest.model_validate(body | changes)


def registry() -> JobRegistry:
    ids = count()
    return JobRegistry(lease_seconds=3, new_id=lambda: f"lease-{next(ids)}")


def running(world_size: int = 2) -> JobRegistry:
    jobs = registry()
    jobs.create(request(world_size), 0)
    for _ in range(world_size):
        jobs.join("bert", join(), 0)
    _, lease = jobs.register_server("bert", server(), 0)
    jobs.server_heartbeat("bert", lease.lease_id, ServerHeartbeat(version=-1, attempt=1), 0)
    return jobs


def kinds(jobs: JobRegistry) -> list[str]:
    return [event.kind for event in jobs.take_events()]


def test_a_job_waits_for_all_workers_and_for_shards_that_serve_its_attempt() -> None:
    jobs = registry()
    _, lease = jobs.register_server("bert", server(), 0)
    job = jobs.create(request(), 0)
    jobs.join("bert", join(), 0)
    jobs.join("bert", join(), 0)
    assert job.state == "waiting"  # the shard has not said yet that it serves attempt 1
    assert views.server_answer(job).ranks == []
    before = job.epoch
    jobs.server_heartbeat("bert", lease.lease_id, ServerHeartbeat(version=-1, attempt=1), 0)
    assert job.state == "running"
    assert job.epoch > before
    assert views.server_answer(job).ranks == [0, 1]
    assert kinds(jobs)[-1] == "JOB_STARTED"


def test_a_written_checkpoint_is_told_once() -> None:
    jobs = running()
    kinds(jobs)
    lease = jobs.jobs["bert"].servers[0].lease_id
    for version in (-1, 4, 4, 8):
        jobs.server_heartbeat("bert", lease, ServerHeartbeat(version=9, attempt=1, checkpoint_version=version), 1)
    told = jobs.take_events()
    assert [(event.kind, event.shard, event.step) for event in told] == [
        ("CHECKPOINT_WRITTEN", 0, 4),
        ("CHECKPOINT_WRITTEN", 0, 8),
    ]


def test_a_lost_rank_shrinks_the_membership_and_is_told() -> None:
    jobs = running()
    kinds(jobs)
    job = jobs.jobs["bert"]
    before = job.epoch
    lease = job.members[0].lease_id
    jobs.heartbeat("bert", lease, 4, 2)
    jobs.expire(3.1)
    assert views.assignment(job).ranks == [0]
    assert job.epoch == before + 1
    assert views.assignment(job).ready
    assert kinds(jobs) == ["RANK_LOST", "ASSIGNMENT_CHANGED", "SERVER_LOST"]


def test_a_lease_that_ended_is_told_apart_from_a_job_that_is_unknown() -> None:
    jobs = running()
    lease = jobs.jobs["bert"].members[0].lease_id
    with pytest.raises(LeaseEnded, match="join again"):
        jobs.heartbeat("bert", lease, 0, 10)
    with pytest.raises(UnknownJob, match="POST /v1/jobs"):
        jobs.heartbeat("gpt", lease, 0, 10)


def test_a_rank_that_is_held_is_refused_with_its_holder() -> None:
    jobs = running()
    with pytest.raises(LeaseRefused, match=r"rank 1 .* process 5 on a since 1\.0 s"):
        jobs.join("bert", join(1), 1)


def test_a_late_rank_takes_the_free_place_in_the_next_epoch() -> None:
    jobs = running(3)
    job = jobs.jobs["bert"]
    jobs.leave("bert", job.members[1].lease_id, finished=False, now=1)
    before = job.epoch
    assert jobs.join("bert", join(), 1).rank == 1
    assert job.epoch == before + 1
    assert job.ranks == [0, 1, 2]


def test_another_description_of_a_live_job_is_refused_with_the_difference() -> None:
    jobs = running()
    with pytest.raises(LeaseRefused, match="steps is 5, you say 9"):
        jobs.create(request(steps=9), 1)
    assert jobs.create(request(), 1).attempt == 1


def test_a_finished_job_starts_anew_with_fresh_parameters() -> None:
    jobs = running(1)
    job = jobs.jobs["bert"]
    jobs.leave("bert", job.members[0].lease_id, finished=True, now=1)
    assert job.state == "finished"
    assert kinds(jobs)[-1] == "JOB_FINISHED"
    jobs.create(request(1, steps=9), 2)
    assert (job.attempt, job.fresh_since, job.state) == (2, 2, "waiting")


def test_a_dead_job_goes_on_in_a_new_attempt_with_its_parameters() -> None:
    jobs = running(1)
    job = jobs.jobs["bert"]
    jobs.create(request(1), 10)
    assert (job.attempt, job.fresh_since, job.state) == (2, 1, "waiting")


def test_workers_that_only_slept_come_back_into_their_attempt() -> None:
    jobs = running(1)
    jobs.create(request(1, attempt=1), 10)
    member = jobs.join("bert", join(0), 10)
    job = jobs.jobs["bert"]
    assert (job.attempt, job.state, member.rank) == (1, "running", 0)


def test_a_restarted_coordinator_takes_epoch_and_attempt_from_those_who_return() -> None:
    jobs = registry()
    job, _ = jobs.register_server("bert", server(epoch=40, attempt=3), 0)
    assert job.epoch > 40
    jobs.create(request(attempt=3), 0)
    jobs.join("bert", join(1, epoch=50), 0)
    assert job.attempt == 3
    assert job.epoch > 50


def test_a_shard_that_is_held_elsewhere_is_refused_and_a_restart_at_its_address_is_not() -> None:
    jobs = running()
    with pytest.raises(LeaseRefused, match=r"shard 0 .* at h:0"):
        jobs.register_server("bert", server(address="other:1"), 1)
    with pytest.raises(LeaseRefused, match="has 1"):
        jobs.register_server("bert", server(1, 2), 1)
    jobs.register_server("bert", server(), 1)


def test_each_worker_gets_each_command_once() -> None:
    jobs = running()
    assert jobs.command("bert", CommandView(id="1", action="stop", arguments={})) == 2
    assert jobs.command("nobody", CommandView(id="2", action="stop", arguments={})) == 0
    for member in jobs.jobs["bert"].members.values():
        assert [c.id for c in jobs.heartbeat("bert", member.lease_id, 0, 1)[1]] == ["1"]
        assert jobs.heartbeat("bert", member.lease_id, 0, 1)[1] == []


class Leases(RuleBasedStateMachine):
    """Any order of joins, heartbeats, leaves and time: one live lease a rank, and the epoch only grows."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = registry()
        self.now = 0.0
        self.epoch = 0
        self.held: dict[str, tuple[int, float]] = {}
        self.registry.create(request(4), 0)

    def live(self) -> dict[int, str]:
        return {rank: lease for lease, (rank, at) in self.held.items() if self.now - at <= 3}

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(rank=st.one_of(st.none(), st.integers(0, 5)))
    def join(self, rank: int | None) -> None:
        live = self.live()
        try:
            member = self.registry.join("bert", join(rank), self.now)
        except UnknownJob:
            self.registry.create(request(4), self.now)
        except LeaseRefused:
            assert rank in live or rank in (4, 5) or (rank is None and len(live) == 4)
        else:
            assert member.rank not in live
            self.held[member.lease_id] = (member.rank, self.now)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.held)))
        try:
            self.registry.heartbeat("bert", lease, 1, self.now)
            assert lease in self.live().values()
            self.held[lease] = (self.held[lease][0], self.now)
        except CoordinatorError:
            assert lease not in self.live().values()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), finished=st.booleans())
    def leave(self, data: st.DataObject, finished: bool) -> None:
        lease = data.draw(st.sampled_from(sorted(self.held)))
        if lease in self.live().values():
            self.registry.leave("bert", lease, finished=finished, now=self.now)
        del self.held[lease]

    @rule(shard=st.integers(0, 1), epoch=st.integers(0, 100))
    def register(self, shard: int, epoch: int) -> None:
        _, lease = self.registry.register_server("bert", server(shard, 2, epoch=epoch), self.now)
        job = self.registry.jobs["bert"]
        self.registry.server_heartbeat(
            "bert", lease.lease_id, ServerHeartbeat(version=0, attempt=job.attempt), self.now
        )

    @invariant()
    def assigned_are_the_live_ones(self) -> None:
        job = self.registry.job("bert", self.now)
        assert views.assignment(job).ranks == sorted(self.live())
        assert {member.lease_id for member in job.members.values()} == set(self.live().values())

    @invariant()
    def the_epoch_names_one_membership(self) -> None:
        job = self.registry.job("bert", self.now)
        assert job.epoch >= self.epoch
        told = views.server_answer(job).ranks
        if job.epoch == self.epoch:
            assert told == self.told
        self.epoch, self.told = job.epoch, told


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
