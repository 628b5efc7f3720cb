"""The versions that a shard holds, and how gradients make the next one: pure, without lock or wire."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gradcube.sync.aggregate import square_sum, weighted_mean
from gradcube.sync.exchange import Applied, Push
from gradcube.sync.frames import Header, Kind
from gradcube.sync.optimizers import Optimizer

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Versions:
    """The current version (-1: none) and the one before; `parameters` is the whole job's number of values."""

    version: int = -1
    parameters: int = 0
    values: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    previous: FloatArray | None = None
    last: Applied | None = None

    @property
    def at_once(self) -> list[int]:
        """The versions that can be served, newest first."""
        return [self.version] + ([self.version - 1] if self.previous is not None else [])

    def values_of(self, version: int) -> FloatArray | None:
        """The parameters of `version`, when it is the current one or the one before."""
        if version == self.version:
            return self.values
        return self.previous if version == self.version - 1 else None

    def header(self, kind: Kind, shard: int, epoch: int) -> Header:
        """The header of an answer; parameters go out with the norms of the update that made them."""
        header = Header(kind, shard=shard, epoch=epoch, version=self.version, parameters=self.parameters)
        if self.last is None or kind is not Kind.PARAMETERS:
            return header
        return replace(
            header,
            gradient_square=self.last.gradient_square,
            update_square=self.last.update_square,
            parameter_square=self.last.parameter_square,
        )


def advance(
    held: Versions, pushes: Sequence[Push], optimizer: Optimizer, *, attempt: int, dropped: tuple[Push, ...]
) -> tuple[Versions, Applied]:
    """The next version, and the account of how it was made; `optimizer` takes a step.

    A mean gradient that is not finite, or of no weight, changes no parameter: the version advances all the same, so
    that all ranks go on to the next batch (the skip of OLMo), and it is counted.
    """
    started = time.monotonic()
    gradient = weighted_mean([push.gradient for push in pushes], [push.weight for push in pushes])
    gradient_square = square_sum(gradient)
    skipped = not np.isfinite(gradient_square) or not any(push.weight for push in pushes)
    values = held.values if skipped else held.values.copy()
    if not skipped:
        optimizer.step(values, gradient, pushes[0].learning_rate)
    applied = Applied(
        version=held.version + 1,
        attempt=attempt,
        apply_seconds=time.monotonic() - started,
        queue_depth=len(pushes),
        pushes=tuple(pushes),
        dropped=dropped,
        skipped=skipped,
        gradient_square=gradient_square,
        update_square=square_sum(values - held.values),
        parameter_square=square_sum(values),
    )
    return Versions(applied.version, held.parameters, values, held.values, applied), applied
