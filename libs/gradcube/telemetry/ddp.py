"""Gradients under DistributedDataParallel: seen by a communication hook, before they are reduced.

DDP reduces buckets while backward is still running, and `.grad` holds the mean of all ranks when it ends. Its reducer
hands each bucket to the communication hook as one flat tensor when the rank's own last gradient of it is there: that is
the moment `ready`, and the only place where a rank's own gradient can be measured.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch._C._distributed_c10d import GradBucket  # DDP insists on this very class as annotation
from torch.nn.parallel import DistributedDataParallel

from gradcube.telemetry.phases import MAX_BUCKETS, StepClock
from gradcube.telemetry.statistics import Measurement
from gradcube.telemetry.switch import Switch

TensorFuture = torch.futures.Future[torch.Tensor]


class ReducedGradients:
    """DDP's own buckets. Buckets past the 64th share the last row; a bucket's place may change after the first step."""

    def __init__(self, model: DistributedDataParallel, due: Callable[[], bool]) -> None:
        self._model = model
        self._due = due
        self._measured = Measurement()
        self.sizes_bytes: NDArray[np.float32] = np.zeros(MAX_BUCKETS, np.float32)
        self.num_buckets = MAX_BUCKETS
        self.hooked = False

    def watch(self, clock: StepClock, switch: Switch) -> bool:
        """Registers the hook, which reduces as DDP does by itself. False where DDP has another one already.

        DDP takes one hook in its life, before the first backward.
        """
        if getattr(self._model, "_comm_hooks", None):
            return False
        try:
            self._model.register_comm_hook(self._model.process_group, self._hook(clock, switch))
        except RuntimeError:  # a built-in hook, which only the reducer knows of
            self._model._comm_hooks.clear()
            return False
        self.hooked = True
        return True

    def measure(self) -> Measurement | None:
        """Statistics of this step's buckets, taken before they were reduced; None when none was due."""
        measured, self._measured = self._measured, Measurement()
        return measured if measured.buckets else None

    def _hook(self, clock: StepClock, switch: Switch) -> Callable[[Any, GradBucket], TensorFuture]:
        ready = switch.guard("gradient hook", lambda bucket: self._ready(bucket, clock))

        def note(moments: list[float], index: int) -> None:
            moments[min(index, MAX_BUCKETS - 1)] = clock.clock()

        noted = switch.guard("gradient hook", note)

        def reduce_and_note(group: Any, bucket: GradBucket) -> TensorFuture:
            ready(bucket)
            index = bucket.index()
            future = self._reduce(group, bucket.buffer())
            noted(clock.sent, index)

            def received(done: TensorFuture) -> torch.Tensor:
                noted(clock.received, index)
                return done.value()

            return future.then(received)

        return reduce_and_note

    def _reduce(self, group: distributed.ProcessGroup, buffer: torch.Tensor) -> TensorFuture:
        # As the reducer does without a hook, to the last bit: it multiplies by the inverse on the way into the bucket.
        # (PyTorch's own allreduce_hook divides. So does the reducer, but for gradients that lay in the bucket before:
        # gradient_as_bucket_view with accumulation, where a world that is no power of two may differ in the last bit.)
        buffer.mul_(1 / group.size())
        work = distributed.all_reduce(buffer, group=group, async_op=True)
        return work.get_future().then(lambda done: done.value()[0])

    def _ready(self, bucket: GradBucket, clock: StepClock) -> None:
        place = min(bucket.index(), MAX_BUCKETS - 1)
        clock.ready[place] = clock.clock()
        buffer = bucket.buffer()
        if place < MAX_BUCKETS - 1 or not self.sizes_bytes[place]:
            self.sizes_bytes[place] = buffer.nbytes
        if self._due():
            with torch.no_grad():
                self._measured.add(place, buffer)
