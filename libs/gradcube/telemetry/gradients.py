"""The gradients of one model: their buckets, when each was ready, and their statistics in the steps that are due."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradcube.telemetry.buckets import plan_buckets
from gradcube.telemetry.phases import StepClock
from gradcube.telemetry.statistics import Measurement, pieces
from gradcube.telemetry.switch import Switch
from gradcube.telemetry.turns import Turn


class LocalGradients:
    """Gradients that stay where backward put them until the optimizer or a parameter server takes them.

    `sizes_bytes` is (buckets,). Parameters that need no gradient when the monitor is made are in no bucket.
    """

    def __init__(self, model: torch.nn.Module, bucket_bytes: int) -> None:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        plan = plan_buckets([parameter.nbytes for parameter in parameters], bucket_bytes=bucket_bytes)
        # In order of registration within a bucket: that is how flat buffers lay them out.
        self._buckets = [[parameters[position] for position in sorted(bucket)] for bucket in plan]
        self.sizes_bytes: NDArray[np.float32] = np.array(
            [sum(parameter.nbytes for parameter in bucket) for bucket in self._buckets], np.float32
        )
        self.num_buckets = len(plan)

    def watch(self, clock: StepClock, switch: Switch) -> list[Any]:
        """Hooks that note when a bucket's last gradient is there; returns their handles."""
        return [
            parameter.register_post_accumulate_grad_hook(_note(bucket, clock, switch))  # type: ignore[no-untyped-call]
            for bucket, parameters in enumerate(self._buckets)
            for parameter in parameters
        ]

    def watch_last(self, clock: StepClock, switch: Switch) -> list[Any]:
        """A hook on the parameter that is registered first, whose gradient is as a rule backward's last; its handle.

        It sees backward passes in which DDP does not reduce (`no_sync`).
        """

        def note(_: torch.Tensor) -> None:
            clock.accumulated = clock.clock()

        return [
            bucket[0].register_post_accumulate_grad_hook(switch.guard("gradient hook", note))  # type: ignore[no-untyped-call]
            for bucket in self._buckets[-1:]
        ]

    def measure(self, turn: Turn) -> Measurement | None:
        """Statistics of what is in `.grad` now; None when nothing is due or there is no gradient."""
        measured = Measurement(whole=turn.norms)
        with torch.no_grad():
            for bucket, parameters in enumerate(self._buckets):
                if turn.norms or turn.has(bucket):
                    for piece in pieces(parameter.grad for parameter in parameters):
                        measured.add(bucket, piece, norm_alone=not turn.has(bucket))
        return measured if measured.buckets else None


def _note(bucket: int, clock: StepClock, switch: Switch) -> Callable[[torch.Tensor], None]:
    moments, now = clock.ready, clock.clock

    def note(_: torch.Tensor) -> None:
        # One call per parameter and step: nothing but the time. The last parameter of the bucket wins.
        try:
            moments[bucket] = now()
        except Exception as error:  # noqa: BLE001 - whatever breaks in here must not break the training
            switch.fail("gradient hook", error)

    return note
