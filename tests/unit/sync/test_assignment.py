"""Who computes and holds what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.sync.assignment import global_batch, member_slice, shard_range


@given(st.integers(1, 200), st.data())
def test_a_data_epoch_takes_each_sample_at_most_once(samples: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, samples))
    batches = [global_batch(step, samples=samples, batch_size=size, seed=3) for step in range(samples // size)]
    taken = np.concatenate(batches)
    assert len(set(taken.tolist())) == len(taken) == samples // size * size


def test_the_next_data_epoch_has_another_order_and_the_same_seed_the_same() -> None:
    first = global_batch(0, samples=50, batch_size=50, seed=1)
    assert np.array_equal(first, global_batch(0, samples=50, batch_size=50, seed=1))
    assert not np.array_equal(first, global_batch(1, samples=50, batch_size=50, seed=1))
    assert not np.array_equal(first, global_batch(0, samples=50, batch_size=50, seed=2))


@given(st.integers(1, 60), st.sets(st.integers(0, 99), min_size=1, max_size=70))
def test_the_members_parts_make_up_the_batch(size: int, ranks: set[int]) -> None:
    batch = np.arange(size)
    parts = np.concatenate([member_slice(batch, list(ranks), rank) for rank in ranks])
    assert sorted(parts.tolist()) == batch.tolist()


def test_a_rank_that_is_no_member_is_an_error() -> None:
    with pytest.raises(ValueError, match="rank 4"):
        member_slice(np.arange(3), [0, 1], 4)


def test_a_batch_larger_than_the_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="batch of 9"):
        global_batch(0, samples=8, batch_size=9, seed=0)


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_shards_cover_the_vector_without_gaps(parameters: int, shards: int) -> None:
    ranges = [shard_range(parameters, shards, shard) for shard in range(shards)]
    assert [place.start for place in ranges] == [0] + [place.stop for place in ranges[:-1]]
    assert ranges[-1].stop == parameters
