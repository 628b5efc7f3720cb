"""The training loop: the parameters' version names the batch; gradients go out, new parameters come in."""

from dataclasses import dataclass

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import nn

from gradcube.errors import MembershipChanged, StaleVersion
from gradcube.sync.assignment import global_batch, member_slice
from gradcube.sync.client import ParameterClient, PushResult
from gradcube.sync.torch_adapter import FlatModel
from gradcube.telemetry.monitor import Monitor
from gradcube_trainer.dataset import Dataset
from gradcube_trainer.masking import Batch, masked_batch
from gradcube_trainer.membership import Member
from gradcube_trainer.model import Outcome, forward, seed_dropout
from gradcube_trainer.schedule import learning_rate
from gradcube_trainer.settings import TrainerSettings

log = structlog.get_logger(__name__)

LOG_EVERY_STEPS = 20


@dataclass
class Progress:
    """How far this worker is: the version it holds, the steps it took part in, and their losses."""

    version: int = 0
    steps: int = 0
    first_loss: float | None = None
    final_loss: float | None = None

    def add(self, version: int, loss: float) -> None:
        """One step led to `version`."""
        self.version = version
        self.steps += 1
        self.first_loss = loss if self.first_loss is None else self.first_loss
        self.final_loss = loss


@dataclass(frozen=True)
class Worker:
    """Everything that a step needs."""

    settings: TrainerSettings
    dataset: Dataset
    model: nn.Module
    flat: FlatModel
    member: Member
    client: ParameterClient
    monitor: Monitor
    progress: Progress


def train(worker: Worker) -> bool:
    """Takes steps until the last version, or until told to stop; True when training is complete."""
    progress, steps = worker.progress, worker.settings.steps
    progress.version, parameters = worker.client.initialize(worker.flat.parameters())
    worker.flat.load(parameters)
    while progress.version < steps and not worker.member.stopping():
        try:
            _step(worker, progress.version)
        except MembershipChanged as change:
            log.info("membership_changed", step=progress.version, rank=worker.member.rank, reason=str(change))
            worker.member.refresh()
        except StaleVersion as stale:
            log.warning("version_left_behind", step=progress.version, rank=worker.member.rank, reason=str(stale))
            progress.version, parameters = worker.client.get()
            worker.flat.load(parameters)
        worker.member.report(progress.version)
    return progress.version >= steps


def _step(worker: Worker, version: int) -> None:
    monitor = worker.monitor
    with monitor.phase("data"):
        batch = _batch(worker, version)
        seed_dropout(worker.settings.seed, version, worker.member.rank)
    outcome, gradient = _compute(worker, batch)
    _clip(worker)
    rate = _learning_rate(worker.settings, version)
    with monitor.phase("sync_wait"):
        result = _push(worker, gradient, version, batch.predicted, rate)
    with monitor.phase("optimizer"):
        worker.flat.load(result.parameters)
    _report(worker, version, batch, outcome, result, rate)


def _batch(worker: Worker, version: int) -> Batch:
    settings, samples = worker.settings, worker.dataset.samples
    everything = global_batch(version, samples=len(samples), batch_size=settings.global_batch_size, seed=settings.seed)
    own = member_slice(everything, worker.member.assignment.ranks, worker.member.rank)
    vocabulary_size = worker.dataset.tokenizer.get_vocab_size()
    return masked_batch(samples, own, seed=settings.seed, step=version, vocabulary_size=vocabulary_size)


def _compute(worker: Worker, batch: Batch) -> tuple[Outcome, NDArray[np.float32]]:
    worker.flat.zero_gradient()
    with worker.monitor.phase("forward"):
        outcome = forward(worker.model, batch)
    with worker.monitor.phase("backward"):
        outcome.loss.backward()  # type: ignore[no-untyped-call]
        return outcome, worker.flat.gradient()


def _clip(worker: Worker) -> None:
    """Scales the gradient in place, after the monitor has measured it."""
    limit = worker.settings.clip_grad_norm
    if limit is not None:
        with worker.monitor.phase("optimizer"):
            torch.nn.utils.clip_grad_norm_(worker.model.parameters(), limit)


def _push(worker: Worker, gradient: NDArray[np.float32], version: int, weight: int, rate: float) -> PushResult:
    if not np.isfinite(gradient).all():
        # One rank's NaN would be everybody's: it takes part with weight 0, and the monitor counts it.
        log.warning("gradient_left_out", step=version, rank=worker.member.rank)
        weight = 0
    epoch = worker.member.assignment.epoch
    return worker.client.push(gradient, version=version, epoch=epoch, weight=weight, learning_rate=rate)


def _learning_rate(settings: TrainerSettings, version: int) -> float:
    return learning_rate(version, peak=settings.learning_rate, warmup_steps=settings.warmup_steps, steps=settings.steps)


def _report(worker: Worker, version: int, batch: Batch, outcome: Outcome, result: PushResult, rate: float) -> None:
    loss = outcome.loss.item()
    worker.monitor.step(
        loss,
        step=version,
        version=version,
        staleness=result.staleness,
        correct=outcome.correct,
        predicted=batch.predicted,
        tokens=batch.tokens,
        samples=len(batch.inputs),
        batch_size=worker.settings.global_batch_size,
        global_grad_norm=result.global_grad_norm,
        update_norm=result.update_norm,
        param_norm=result.param_norm,
        learning_rate=rate,
    )
    worker.progress.add(result.version, loss)
    if result.version % LOG_EVERY_STEPS == 0:
        log.info("trained", step=result.version, rank=worker.member.rank, loss=round(loss, 4))
