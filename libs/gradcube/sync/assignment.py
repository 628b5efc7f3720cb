"""Who computes and who holds what: samples of a step by rank, ranges of the parameters by shard. Pure."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def global_batch(step: int, *, samples: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """The samples (batch_size,) of `step`: consecutive pieces of a permutation drawn anew for each data epoch.

    The incomplete batch at the end of a data epoch is left out. Raises ValueError when there are fewer samples
    than one batch needs.
    """
    if step < 0 or not 0 < batch_size <= samples:
        raise ValueError(
            f"step {step}, batch of {batch_size} from {samples} samples: give at least one batch of samples"
        )
    data_epoch, position = divmod(step, samples // batch_size)
    return _permutation(samples, seed, data_epoch)[position * batch_size : (position + 1) * batch_size].copy()


def member_slice(batch: NDArray[np.int64], ranks: Sequence[int], rank: int) -> NDArray[np.int64]:
    """The part of `batch` that `rank` computes: every n-th sample from its position among the n live ranks.

    The parts of all ranks are disjoint and make up the batch; with more ranks than samples a part is empty.
    Raises ValueError when `rank` is not among `ranks`.
    """
    members = sorted(ranks)
    if rank not in members:
        raise ValueError(f"rank {rank} is not among the members {members}: join the job first")
    return batch[members.index(rank) :: len(members)]


def shard_range(parameters: int, shards: int, shard: int) -> slice:
    """The contiguous range of the flat parameter vector (parameters,) that `shard` of `shards` holds."""
    if not 0 <= shard < shards:
        raise ValueError(f"shard {shard} of {shards}: shards count from 0")
    return slice(shard * parameters // shards, (shard + 1) * parameters // shards)


@lru_cache(maxsize=4)
def _permutation(samples: int, seed: int, data_epoch: int) -> NDArray[np.int64]:
    permutation = np.random.default_rng((seed, data_epoch)).permutation(samples)
    permutation.setflags(write=False)  # it is shared by all callers
    return permutation
