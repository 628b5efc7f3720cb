"""`Monitor`: what each gradient step cost and looked like on one rank, as one record a step.

In: a PyTorch loop, through hooks and `step(loss)`. Out: StepSync records, offered to an Emitter that never blocks.
Whatever breaks in here switches the monitor off and is logged once; training goes on.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import structlog

from gradcube.settings import KafkaSettings
from gradcube.telemetry.announcing import announce_clipping
from gradcube.telemetry.buckets import BUCKET_BYTES
from gradcube.telemetry.identity import identify, world_size
from gradcube.telemetry.phases import PHASES, Phase, StepClock
from gradcube.telemetry.reading import read_buckets, read_gradients, read_values
from gradcube.telemetry.records import RecordSender, StepEmitter, StepRecord
from gradcube.telemetry.switch import Switch
from gradcube.telemetry.turns import Turn

if TYPE_CHECKING:
    import torch

    from gradcube.telemetry.hooks import Hooks

Number = Any
"""int, float, or a tensor of one element, on any device."""
GRADIENT_STATISTICS_EVERY = 10

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class MonitorStats:
    """Counters of a monitor: `offered == acknowledged + dropped + pending` holds for its emitter at any time."""

    steps: int
    active: bool
    offered: int = 0
    acknowledged: int = 0
    dropped: int = 0
    pending: int = 0
    pending_bytes: int = 0
    connected: bool = False


class Monitor:
    """Watches the gradient steps of one rank.

        monitor = gradcube.Monitor(model, optimizer, job="bert")
        for batch in batches:
            ...                                     # forward, backward, optimizer.step(), as ever
            monitor.step(loss)

    Works for a single process, DistributedDataParallel (give the wrapped model), and a parameter server (no optimizer;
    put `with monitor.phase("sync_wait"):` around the exchange). What cannot be seen is NaN or null in the record.
    All times are the host's: on an accelerator a phase ends when the host has issued its work. Losses and counts that
    are on an accelerator are copied without waiting, and their record goes out a step later.

    The norm of the gradient, and of each bucket, is taken every `gradient_statistics_every` steps; mean, variance and
    largest magnitude of a bucket as often, but in a step that the bucket shares with few others, so that no step pays
    for all (under DDP and on accelerators they come with the norm). Everything is taken in the step after a non-finite
    value, and in a step with a non-finite loss if its gradient is still there. What was not taken is NaN, and
    `nonfinite` counts what was looked at. Ready times are taken every step.

    A loop that clips gives the threshold as `grad_clip_norm` and, in each step, what `clip_grad_norm_` returned as
    `global_grad_norm`: facts then say which share of the steps was clipped. Rank 0 tells the threshold once, in a
    Lifecycle record; a job of a coordinator tells it there instead.

    job, rank, attempt and node come from the environment where they are not given (GRADCUBE_JOB, _RANK, _ATTEMPT,
    _NODE; then RANK, TORCHELASTIC_RESTART_COUNT and others). Raises ConfigError, and nothing after construction. With
    an emitter of the caller's, `close` flushes but does not close it.
    """

    def __init__(
        self,
        model: "torch.nn.Module | None" = None,
        optimizer: "torch.optim.Optimizer | None" = None,
        *,
        job: str | None = None,
        rank: int | None = None,
        attempt: int | None = None,
        node: str | None = None,
        stage: int = 0,
        replica: int = 0,
        emitter: StepEmitter | None = None,
        kafka: KafkaSettings | None = None,
        topic: str = "gradcube.steps",
        enabled: bool = True,
        grad_clip_norm: float | None = None,
        gradient_statistics_every: int = GRADIENT_STATISTICS_EVERY,
        bucket_bytes: int = BUCKET_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if gradient_statistics_every < 1:
            raise ValueError(f"gradient_statistics_every is {gradient_statistics_every}; it must be 1 or more")
        if grad_clip_norm is not None and not grad_clip_norm > 0:
            raise ValueError(
                f"grad_clip_norm is {grad_clip_norm}; it must be above 0, or None where nothing is clipped"
            )
        self._switch = Switch(on=enabled)
        self._every = gradient_statistics_every
        self._steps = 0
        self._suspicious = False
        self._hooks: Hooks | None = None
        self._optimizer = optimizer
        self._emitter: StepEmitter | None = None
        self._clock = StepClock(clock=clock)
        self._phases: dict[str, Phase] = {}
        if not enabled:
            return
        identity = identify(os.environ, job=job, attempt=attempt, rank=rank, node=node, stage=stage, replica=replica)
        self._owns_emitter = emitter is None
        self._emitter = emitter or _connect(kafka or KafkaSettings.load(), identity.key.decode())
        self._sender = RecordSender(self._emitter, topic, identity)
        if grad_clip_norm is not None and identity.rank == 0:
            announce_clipping(
                self._emitter,
                identity,
                float(grad_clip_norm),
                world_size=world_size(os.environ),
                at_micros=time.time_ns() // 1000,
            )
        self._switch.guard("hooks", self._watch)(model, optimizer, bucket_bytes, clock)
        self._phases = {name: Phase(name, self._clock, self._before(name)) for name in PHASES}
        self._step = self._switch.guard("step", self._finish_step)
        self._restart()

    def step(
        self,
        loss: Number | None = None,
        *,
        correct: Number | None = None,
        predicted: Number | None = None,
        tokens: Number | None = None,
        samples: Number | None = None,
        batch_size: Number | None = None,
        version: int | None = None,
        staleness: int | None = None,
        global_grad_norm: Number | None = None,
        update_norm: Number | None = None,
        param_norm: Number | None = None,
        learning_rate: Number | None = None,
        step: int | None = None,
    ) -> None:
        """The step is over: its record is made and offered. The fields are those of the StepSync schema.

        `learning_rate` is that of the optimizer's first group where not given, `step` the count of calls from 0. Never
        raises, never waits for the network or an accelerator.
        """
        if self._switch.on:
            if learning_rate is None and self._optimizer is not None:
                learning_rate = self._optimizer.param_groups[0]["lr"]
            counts = (version, staleness, correct, predicted, tokens, samples, batch_size)
            floats = (loss, None, global_grad_norm, update_norm, param_norm, learning_rate)
            self._step(step, counts, floats)

    def phase(self, name: str) -> AbstractContextManager[None]:
        """A block that is the step's phase `name`: data, forward, backward, sync_wait or optimizer.

        It counts instead of what the hooks saw; several blocks of a name add up. The gradient is measured before the
        first block of sync_wait or optimizer: what clips a gradient belongs into one of them.
        """
        phase = self._phases.get(name)
        if phase is None and self._switch.on:
            logger.warning("unknown_phase", phase=name, known=PHASES)
        return phase if phase is not None and self._switch.on else nullcontext()

    def stats(self) -> MonitorStats:
        """Steps recorded, and the emitter's counters."""
        if self._emitter is None:
            return MonitorStats(steps=self._steps, active=False)
        seen = self._emitter.stats()
        names = ("offered", "acknowledged", "dropped", "pending", "pending_bytes", "connected")
        return MonitorStats(self._steps, self._switch.on, **{name: getattr(seen, name) for name in names})

    def close(self, timeout_seconds: float = 10) -> None:
        """Takes the hooks off and delivers what is pending, for at most `timeout_seconds`. Never raises."""
        self._switch.guard("close", self._drain)()
        emitter, self._switch.on = self._emitter, False
        closing = Switch()
        if self._hooks is not None:
            closing.guard("close", self._hooks.close)()
        if emitter is not None:
            closing.guard("close", emitter.close if self._owns_emitter else emitter.flush)(timeout_seconds)

    def _drain(self) -> None:
        self._sender.drain()

    def _watch(
        self,
        model: "torch.nn.Module | None",
        optimizer: "torch.optim.Optimizer | None",
        bucket_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        if model is not None:
            from gradcube.telemetry.hooks import Hooks  # the only way to torch, and only with a model

            self._hooks = Hooks(
                model, optimizer, switch=self._switch, turn=self._turn, bucket_bytes=bucket_bytes, clock=clock
            )
            self._clock = self._hooks.clock

    def _turn(self) -> Turn:
        return Turn(self._steps, self._every, everything=self._suspicious)

    def _before(self, name: str) -> Callable[[], None]:
        if name in ("sync_wait", "optimizer") and self._hooks is not None:
            return self._switch.guard("gradient statistics", self._hooks.before_update)
        return _nothing

    def _restart(self) -> None:
        self._clock.restart(self._clock.clock())
        self._cpu_seconds = time.process_time()

    def _finish_step(self, step: int | None, counts: Sequence[Any], late_floats: Sequence[Any]) -> None:
        now = self._clock.clock()
        cpu_seconds = time.process_time()
        record = StepRecord(
            step=self._steps if step is None else step,
            seq=self._steps,
            ended_at_micros=time.time_ns() // 1000,
            floats=[*self._clock.finish(now), cpu_seconds - self._cpu_seconds],
            table=_NO_BUCKETS,
        )
        tensors = read_values(record, counts, late_floats)
        if self._hooks is not None:
            tensors += self._read_hooks(record, self._hooks)
        if tensors:
            from gradcube.telemetry.deferred import DeviceCopy  # torch is there: it made the tensors

            record.waiting = DeviceCopy(tensors)
        self._suspicious = record.nonfinite > 0
        self._steps += 1
        self._clock.restart(now)
        self._cpu_seconds = cpu_seconds
        self._sender.send(record)

    def _read_hooks(self, record: StepRecord, hooks: "Hooks") -> list[Any]:
        self._suspicious |= record.nonfinite > 0  # the loss is broken: look at the gradient now
        hooks.before_update()
        measured, sizes_bytes = hooks.take()
        read_buckets(record, self._clock, sizes_bytes)
        return [] if measured is None else read_gradients(record, measured)


_NO_BUCKETS = np.empty((8, 0), np.float32)


def _nothing() -> None:
    """Before phases whose start needs nothing."""


def _connect(settings: KafkaSettings, client_id: str) -> StepEmitter:
    from gradcube.bus.emitter import Emitter  # kafka-python is loaded when it is needed

    return cast(StepEmitter, Emitter(settings, client_id=f"gradcube-{client_id}"))
