"""What a shard is told and tells: membership, pushes, how a version came about, replies. Data only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcube.sync.checkpoints import Snapshot
from gradcube.sync.frames import Header

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class ShardMembership:
    """The ranks that are aggregated over in `epoch`; none before the job is ready."""

    epoch: int
    ranks: tuple[int, ...]
    attempt: int = 1
    fresh_since: int = 1


@dataclass(frozen=True)
class Push:
    """One rank's gradient (p,). The array belongs to the sender's connection until the push is answered."""

    rank: int
    epoch: int
    version: int
    gradient: FloatArray
    weight: float
    learning_rate: float
    arrived_at: float = 0.0


@dataclass(frozen=True)
class Applied:
    """How a version came about; what ServerSync reports. Squares are of the mean gradient, update, parameters."""

    version: int
    attempt: int
    apply_seconds: float
    queue_depth: int
    pushes: tuple[Push, ...]
    dropped: tuple[Push, ...]
    skipped: bool
    gradient_square: float
    update_square: float
    parameter_square: float
    snapshot: Snapshot | None = None


@dataclass
class ShardCounters:
    """What a shard has done since it started."""

    pushes: int = 0
    applied: int = 0
    skipped: int = 0
    dropped: int = 0
    restored: int = 0


@dataclass(frozen=True)
class Reply:
    """Header and array (p,) or versions to send; arrays of a version are never changed, so no lock is held."""

    header: Header
    values: NDArray[np.generic] | None = None
