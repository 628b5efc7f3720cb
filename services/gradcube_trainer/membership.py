"""This process as a member of a job: joins at the coordinator, keeps the lease, knows who computes what."""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import structlog

from gradcube.errors import CoordinatorError
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.sync.coordinator_models import Assignment, JobRequest, Membership
from gradcube.sync.heartbeat import HeartbeatThread
from gradcube_trainer.settings import TrainerSettings

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1


class Member:
    """A rank of a job from `join` to `leave`.

    `stop` is set by whoever wants training to end after the current step: a signal, or the command `stop`.
    """

    def __init__(
        self,
        coordinator: CoordinatorClient,
        request: JobRequest,
        membership: Membership,
        timeout_seconds: float,
    ) -> None:
        self._coordinator = coordinator
        self._job = request.job
        self._timeout_seconds = timeout_seconds
        self._heartbeats = HeartbeatThread(coordinator, request, membership, node=socket.gethostname(), pid=os.getpid())
        self.rank, self.attempt = membership.rank, membership.attempt
        self.stop = threading.Event()
        self.assignment = Assignment(epoch=0, attempt=membership.attempt, ready=False, ranks=[], servers=[], shards=0)

    @classmethod
    def join(cls, settings: TrainerSettings, request: JobRequest) -> Self:
        """Makes the job or joins it, and starts the heartbeats. Raises CoordinatorError, LeaseRefused."""
        coordinator = CoordinatorClient(settings.coordinator_url, retry_seconds=settings.sync_timeout_seconds)
        coordinator.create_job(request)
        membership = coordinator.join(request.job, rank=settings.rank, node=socket.gethostname(), pid=os.getpid())
        member = cls(coordinator, request, membership, settings.sync_timeout_seconds)
        member._heartbeats.start()
        log.info("joined", job=request.job, rank=membership.rank, attempt=membership.attempt)
        return member

    def wait_ready(self) -> bool:
        """Waits until all workers and shards are there; False when told to stop first."""
        return self._wait(lambda now: now.ready and self.rank in now.ranks)

    def refresh(self) -> bool:
        """Asks who computes what now, and waits until this rank counts; False when told to stop first."""
        return self._wait(lambda now: self.rank in now.ranks)

    def addresses(self) -> list[str]:
        """Where the shards are now, by shard number; the last known places while the coordinator is away."""
        try:
            self.assignment = self.assignment.model_copy(
                update={"servers": self._coordinator.assignment(self._job).servers}
            )
        except CoordinatorError as error:
            log.warning("shards_not_located", job=self._job, error=str(error))
        return [server.address for server in sorted(self.assignment.servers, key=lambda server: server.shard)]

    def stopping(self) -> bool:
        """Whether training ends after this step. Raises LeaseRefused when another process has the rank."""
        self._heartbeats.check()
        for command in self._heartbeats.take_commands():
            log.info("command_received", job=self._job, rank=self.rank, action=command.action)
            if command.action == "stop":
                self.stop.set()
        return self.stop.is_set()

    def report(self, step: int) -> None:
        """The number of steps done, for the next heartbeat."""
        self._heartbeats.report(step)

    def leave(self, *, finished: bool) -> None:
        """Gives the lease back and ends the heartbeats."""
        self._heartbeats.stop(finished=finished)
        self._coordinator.close()

    def _wait(self, done: Callable[[Assignment], bool]) -> bool:
        deadline = time.monotonic() + self._timeout_seconds
        while not self.stopping():
            self.assignment = self._coordinator.assignment(self._job)
            if done(self.assignment):
                return True
            if time.monotonic() > deadline:
                now = self.assignment
                raise CoordinatorError(
                    f"job {self._job} was not ready within {self._timeout_seconds} s: workers {now.ranks}, "
                    f"{len(now.servers)} of {now.shards} shards; start the others, or wait longer"
                )
            self.stop.wait(POLL_SECONDS)
        return False
