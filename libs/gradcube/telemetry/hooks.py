"""A model and its optimizer under watch: which hooks, and what they write into the step's clock.

In: the model's and the optimizer's own hook points. Out: moments in a StepClock, gradient statistics before the update.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch.nn.parallel import DistributedDataParallel

from gradcube.telemetry.gradients import LocalGradients
from gradcube.telemetry.phases import StepClock
from gradcube.telemetry.statistics import Measurement
from gradcube.telemetry.switch import Switch
from gradcube.telemetry.turns import Turn

if TYPE_CHECKING:
    from gradcube.telemetry.ddp import ReducedGradients

logger = structlog.get_logger(__name__)


class Hooks:
    """Attached from construction to `close`. `turn` says what of this step's gradients is to be measured."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer | None,
        *,
        switch: Switch,
        turn: Callable[[], Turn],
        bucket_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._switch = switch
        self._turn = turn
        self._measured: Measurement | None = None
        self._reduced: ReducedGradients | None = None
        if isinstance(model, DistributedDataParallel):
            self._reduced = _reduced(model, lambda: turn().norms)
        self._local = LocalGradients(model, bucket_bytes)
        self._handles: list[Any] = []
        buckets = self._local.num_buckets if self._reduced is None else self._reduced.num_buckets
        self.clock = StepClock(buckets, clock)
        if self._reduced is None:
            self._handles += self._local.watch(self.clock, switch)
        else:
            # At the first call: a hook that the training itself registers after this has precedence.
            self._first_call = model.register_forward_pre_hook(switch.guard("DDP hook", self._watch_reducer))
            self._handles.append(self._first_call)
            self._handles += self._local.watch_last(self.clock, switch)
        self._watch_phases(model, optimizer)

    def before_update(self) -> None:
        """The gradient is complete: measure it now if that is due, for it will soon be something else."""
        if self._measured is None:
            self._measured = self._local.measure(self._turn()) if self._reduced is None else self._reduced.measure()

    def take(self) -> tuple[Measurement | None, NDArray[np.float32]]:
        """What was measured in this step, and the sizes of the buckets that it has, in bytes (buckets,)."""
        measured, self._measured = self._measured, None
        if self._reduced is None:
            return measured, self._local.sizes_bytes
        if not self._reduced.hooked:
            return None, self._local.sizes_bytes
        return measured, np.trim_zeros(self._reduced.sizes_bytes, "b")

    def close(self) -> None:
        """Takes the hooks off. DDP keeps its communication hook, which then does what DDP does without."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _watch_phases(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
        guard, clock = self._switch.guard, self.clock

        def begins(*_: object) -> None:
            if torch.is_grad_enabled():  # an evaluation in between is not a forward pass of the step
                clock.forward_begins()

        self._handles += [
            model.register_forward_pre_hook(guard("forward hook", begins)),
            model.register_forward_hook(guard("forward hook", lambda *_: clock.forward_ends())),
        ]
        if optimizer is not None:
            measured = self.before_update
            self._handles += [
                optimizer.register_step_pre_hook(guard("optimizer hook", lambda *_: clock.optimizer_begins(measured))),
                optimizer.register_step_post_hook(guard("optimizer hook", lambda *_: clock.optimizer_ends())),
            ]

    def _watch_reducer(self, *_: object) -> None:
        self._first_call.remove()
        assert self._reduced is not None
        if not self._reduced.watch(self.clock, self._switch):
            logger.warning(
                "gradients_not_measured",
                reason="DDP has another communication hook; ready times come from the parameters",
            )
            self._handles += self._local.watch(self.clock, self._switch)


def _reduced(model: DistributedDataParallel, due: Callable[[], bool]) -> "ReducedGradients":
    from gradcube.telemetry.ddp import ReducedGradients  # not every torch is built with torch.distributed

    return ReducedGradients(model, due)
