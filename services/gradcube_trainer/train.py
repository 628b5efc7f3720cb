"""The story of one worker: data, model, join, loop, finish."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Gauge
from torch import nn

from gradcube.health import HealthServer
from gradcube.settings import KafkaSettings
from gradcube.sync.client import ParameterClient
from gradcube.sync.coordinator_models import JobRequest
from gradcube.sync.torch_adapter import FlatModel
from gradcube.telemetry.monitor import Monitor
from gradcube_trainer.checkpoints import export_model
from gradcube_trainer.dataset import Dataset, open_dataset
from gradcube_trainer.loop import Progress, Worker, train
from gradcube_trainer.membership import Member
from gradcube_trainer.model import build_model
from gradcube_trainer.settings import TrainerSettings
from gradcube_trainer.summary import finite, write_summary

log = structlog.get_logger(__name__)


def run(settings: TrainerSettings, kafka: KafkaSettings) -> None:
    """Trains one rank of a job to its end and writes its summary.

    Raises DataError for text that cannot be trained on, CoordinatorError or SyncError when those are gone.
    """
    dataset = open_dataset(settings)
    model = build_model(settings, dataset.tokenizer.get_vocab_size())
    flat = FlatModel(model)
    progress = Progress()
    with _served(settings, progress):
        member = Member.join(settings, _description(settings, dataset, flat.size))
        finished = False
        try:
            with _stopped_by_signals(member.stop):
                if member.wait_ready():
                    finished = _take_part(settings, kafka, dataset, model, flat, member, progress)
        finally:
            member.leave(finished=finished)


def _take_part(
    settings: TrainerSettings,
    kafka: KafkaSettings,
    dataset: Dataset,
    model: nn.Module,
    flat: FlatModel,
    member: Member,
    progress: Progress,
) -> bool:
    client = ParameterClient(
        member.addresses(),
        rank=member.rank,
        timeout_seconds=settings.sync_timeout_seconds,
        locate=member.addresses,
    )
    monitor = Monitor(model, job=settings.job, rank=member.rank, attempt=member.attempt, kafka=kafka)
    try:
        finished = train(Worker(settings, dataset, model, flat, member, client, monitor, progress))
    finally:
        client.close()
        monitor.close()
    _finish(settings, dataset, model, member, monitor, progress, finished)
    return finished


def _finish(
    settings: TrainerSettings,
    dataset: Dataset,
    model: nn.Module,
    member: Member,
    monitor: Monitor,
    progress: Progress,
    finished: bool,
) -> None:
    if settings.checkpoint_dir is not None and member.rank == min(member.assignment.ranks):
        folder = settings.checkpoint_dir / f"{settings.job}-model"
        log.info("model_exported", folder=str(export_model(model, dataset.tokenizer, folder)))
    summary = _summary(settings, member, monitor, progress) | {"finished": finished}
    log.info("trainer_ended", **summary)
    if settings.summary_file is not None:
        write_summary(settings.summary_file, summary)


def _summary(settings: TrainerSettings, member: Member, monitor: Monitor, progress: Progress) -> dict[str, Any]:
    stats = monitor.stats()
    return {
        "job": settings.job,
        "rank": member.rank,
        "attempt": member.attempt,
        "version": progress.version,
        "steps": progress.steps,
        "first_loss": finite(progress.first_loss),
        "final_loss": finite(progress.final_loss),
        "records": {
            "offered": stats.offered,
            "acknowledged": stats.acknowledged,
            "dropped": stats.dropped,
        },
    }


def _description(settings: TrainerSettings, dataset: Dataset, parameters: int) -> JobRequest:
    return JobRequest(
        job=settings.job,
        model=f"{settings.model}-{settings.layers}x{settings.hidden_size}",
        model_parameters=parameters,
        hardware=settings.hardware,
        dataset=dataset.name,
        samples=len(dataset.samples),
        global_batch_size=settings.global_batch_size,
        steps=settings.steps,
        seed=settings.seed,
        world_size=settings.world_size,
        own_grad_clip_norm=settings.clip_grad_norm,
    )


@contextmanager
def _served(settings: TrainerSettings, progress: Progress) -> Iterator[None]:
    registry = CollectorRegistry()
    version = Gauge("gradcube_trainer_version", "Version of the parameters held.", registry=registry)
    version.set_function(lambda: progress.version)
    loss = Gauge("gradcube_trainer_loss", "Loss of the last step.", registry=registry)
    loss.set_function(lambda: float("nan") if progress.final_loss is None else progress.final_loss)

    def status() -> dict[str, Any]:
        losses = {"first_loss": finite(progress.first_loss), "final_loss": finite(progress.final_loss)}
        return {"job": settings.job, "version": progress.version, "steps": progress.steps} | losses

    def checks() -> dict[str, bool]:
        return {"training": progress.steps > 0}

    with HealthServer(settings.host, settings.port, checks=checks, status=status, registry=registry):
        yield


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT end training after the current step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(name, lambda *_: stop.set()) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
