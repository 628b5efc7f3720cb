"""Clients against real servers: versions, membership, staleness."""

from functools import partial

import numpy as np
import pytest
from tests.unit.sync.harness import Cluster, cluster, threads, vector
from tests.waiting import wait_until

from gradcube.errors import MembershipChanged, PeerLost, StaleVersion, SyncError
from gradcube.sync.client import ParameterClient, PushResult


def push(client: ParameterClient, value: float, *, version: int, epoch: int = 1, weight: float = 1) -> PushResult:
    return client.push(vector(value), version=version, epoch=epoch, weight=weight, learning_rate=0.5)


def wait_pending(made: Cluster, shard: int, count: int) -> None:
    wait_until(lambda: len(made.shards[shard]._pending) == count, 5, f"{count} pushes wait")


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_the_update_is_the_weighted_mean_of_all_ranks(shards: int) -> None:
    with cluster(shards, (0, 1)) as made, made.client(0) as one, made.client(1) as two, threads(2) as run:
        start = np.arange(103, dtype=np.float32)
        for client in (one, two):
            version, parameters = client.initialize(start)
            assert version == 0
            assert np.array_equal(parameters, start)
        results = [run(partial(push, one, 1.0, version=0, weight=3)), run(partial(push, two, 5.0, version=0))]
        for result in results:
            made_version = result.result()
            assert made_version.version == 1
            np.testing.assert_allclose(made_version.parameters, start - 0.5 * 2.0, rtol=1e-6)
            assert made_version.global_grad_norm == pytest.approx(2.0 * 103**0.5)
            assert made_version.update_norm == pytest.approx(1.0 * 103**0.5)


def test_a_second_initialize_gets_the_parameters_that_count() -> None:
    with cluster() as made, made.client(0) as one, made.client(1) as late:
        one.initialize(vector(1))
        push(one, 1.0, version=0)
        version, parameters = late.initialize(vector(99))
        assert version == 1
        assert np.array_equal(parameters, vector(0.5))


def test_another_number_of_parameters_is_refused_with_both_numbers() -> None:
    with cluster() as made, made.client(0) as one, made.client(1) as other:
        one.initialize(vector(1))
        with pytest.raises(SyncError, match=r"103 parameters, this model 7"):
            other.initialize(vector(1, 7))


def test_a_push_of_an_applied_version_is_answered_with_the_current_one() -> None:
    with cluster() as made, made.client(0) as one:
        one.initialize(vector(1))
        first = push(one, 1.0, version=0).parameters.copy()
        again = push(one, 1.0, version=0)
        assert again.version == 1
        assert np.array_equal(again.parameters, first)
        assert made.shards[0].counters.applied == 1


def test_a_push_far_behind_or_ahead_is_stale_and_get_goes_on() -> None:
    with cluster() as made, made.client(0) as one:
        one.initialize(vector(1))
        push(one, 1.0, version=0)
        push(one, 1.0, version=1)
        for version in (0, 5):
            with pytest.raises(StaleVersion, match="get"):
                push(one, 1.0, version=version)
        assert one.get()[0] == 2


def test_a_lost_rank_frees_the_survivor_to_compute_again() -> None:
    with cluster(2, (0, 1)) as made, made.client(0) as one, threads(1) as run:
        one.initialize(vector(1))
        waiting = run(partial(push, one, 1.0, version=0))
        wait_pending(made, 0, 1)
        wait_pending(made, 1, 1)
        made.members(2, (0,))
        with pytest.raises(MembershipChanged, match="epoch 2"):
            waiting.result()
        assert push(one, 2.0, version=0, epoch=2).version == 1
        dropped = [push.rank for applied in made.applied for push in applied.dropped]
        assert dropped == [0, 0]  # one on each shard
        assert made.shards[0].counters.dropped == 1


def test_a_version_applied_on_one_shard_only_stays_exact() -> None:
    with cluster(2, (0, 1)) as made, made.client(0) as one, made.client(2) as joiner, threads(2) as run:
        one.initialize(vector(1))
        made.members(2, (0,), only=[0])  # shard 0 applies alone, shard 1 still waits for rank 1
        waiting = run(partial(push, one, 1.0, version=0, epoch=1))
        with_old_epoch = wait_until(lambda: waiting.done() or len(made.shards[1]._pending), 5, "shard 1 waits")
        assert with_old_epoch
        made.members(2, (0,), only=[1])
        with pytest.raises(MembershipChanged):
            waiting.result()
        made.shards[0].set_membership(made.shards[0].membership)  # no news, no effect
        assert push(one, 1.0, version=0, epoch=2).version == 1
        made.members(3, (0, 2))
        # Now shard 0 is a version ahead: as if a rank had died between the two updates.
        made.members(4, (0,), only=[0])
        ahead = run(partial(push, one, 1.0, version=1, epoch=4))
        wait_until(lambda: made.shards[0].version == 2, 5, "shard 0 is ahead")
        version, parameters = joiner.get()
        assert version == 1
        assert np.array_equal(parameters, vector(0.5))
        made.members(5, (0, 2))
        with pytest.raises(MembershipChanged):
            ahead.result()
        results = [run(partial(push, client, 1.0, version=1, epoch=5)) for client in (one, joiner)]
        for result in results:
            assert result.result().version == 2
            assert np.array_equal(result.result().parameters, vector(0.0))


def test_a_push_of_a_newer_epoch_waits_until_the_shard_knows_it() -> None:
    with cluster() as made, made.client(0) as one, threads(1) as run:
        one.initialize(vector(1))
        early = run(partial(push, one, 1.0, version=0, epoch=2))
        wait_until(lambda: made.shards[0].counters.pushes == 1, 5, "the push is there")
        assert made.shards[0].version == 0
        made.members(2, (0,))
        assert early.result().version == 1


def test_a_shard_that_never_hears_of_the_epoch_is_given_up_in_time() -> None:
    with cluster(wait_seconds=0.05) as made, made.client(0, timeout_seconds=0.4) as one:
        one.initialize(vector(1))
        with pytest.raises(PeerLost, match="membership"):
            push(one, 1.0, version=0, epoch=9)
        assert made.shards[0].version == 0


def test_the_push_of_a_rank_that_is_no_member_is_turned_away() -> None:
    with cluster(1, (0,)) as made, made.client(0) as one, made.client(7) as stranger:
        one.initialize(vector(1))
        stranger.get()
        with pytest.raises(MembershipChanged):
            push(stranger, 1.0, version=0)


def test_a_gradient_that_is_not_finite_is_skipped_and_the_version_advances() -> None:
    with cluster() as made, made.client(0) as one:
        one.initialize(vector(1))
        for version, value in enumerate((np.nan, np.inf)):
            result = push(one, value, version=version)
            assert result.version == version + 1
            assert np.array_equal(result.parameters, vector(1))
            assert not np.isfinite(result.global_grad_norm)
        assert made.shards[0].counters.skipped == 2
        assert np.array_equal(push(one, 1.0, version=2).parameters, vector(0.5))


def test_a_rank_without_samples_takes_part_with_weight_0() -> None:
    with cluster(1, (0, 1)) as made, made.client(0) as one, made.client(1) as two, threads(2) as run:
        one.initialize(vector(1))
        two.get()
        both = [run(partial(push, one, 1.0, version=0)), run(partial(push, two, np.nan, version=0, weight=0))]
        assert all(np.array_equal(result.result().parameters, vector(0.5)) for result in both)


def test_nobody_at_the_address_is_peer_lost_that_names_the_shard() -> None:
    client = ParameterClient(["127.0.0.1:1"], rank=0, timeout_seconds=0.3)
    with pytest.raises(PeerLost, match="shard 0"):
        client.get()
    client.close()
