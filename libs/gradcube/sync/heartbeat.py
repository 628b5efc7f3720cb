"""Keeps a worker's lease alive from a thread, joins again when it was lost, and collects commands."""

import threading
import time
from collections.abc import Callable

import structlog

from gradcube.errors import CoordinatorError, LeaseRefused
from gradcube.sync.coordinator_client import CoordinatorClient, LeaseGone
from gradcube.sync.coordinator_models import CommandView, JobRequest, Membership

log = structlog.get_logger(__name__)


class HeartbeatThread:
    """Renews the lease of `membership` until `stop`.

    A lease that ran out (the process stood still) or that a restarted coordinator does not know is taken again
    with the old rank; when somebody else has the rank by then, `check` raises LeaseRefused. A coordinator that
    does not answer is only waited for: training goes on without it.
    """

    def __init__(
        self,
        coordinator: CoordinatorClient,
        request: JobRequest,
        membership: Membership,
        *,
        node: str,
        pid: int,
    ) -> None:
        self._coordinator = coordinator
        self._request = request
        self._node, self._pid = node, pid
        self._membership = membership
        self._step = 0
        self._refused: LeaseRefused | None = None
        self._commands: list[CommandView] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    @property
    def membership(self) -> Membership:
        """The lease now; `epoch` is the newest one heard of."""
        with self._lock:
            return self._membership

    def report(self, step: int) -> None:
        """The number of steps finished, told with the next heartbeat."""
        self._step = step

    def check(self) -> None:
        """Raises LeaseRefused when the rank now belongs to another process: stop training."""
        if self._refused is not None:
            raise self._refused

    def take_commands(self) -> list[CommandView]:
        """The commands that came since the last call."""
        with self._lock:
            taken, self._commands = self._commands, []
        return taken

    def stop(self, *, finished: bool) -> None:
        """Ends the thread and gives the lease back; a coordinator that does not answer is only logged."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._coordinator.leave(self._request.job, self._membership.lease_id, finished=finished)
        except CoordinatorError as error:
            log.warning("lease_not_given_back", job=self._request.job, error=str(error))

    def _run(self) -> None:
        while not self._stopped.wait(self.membership.heartbeat_seconds) and self._refused is None:
            _and_log(self._beat, self._request.job)

    def _beat(self) -> None:
        try:
            answer = self._coordinator.heartbeat(self._request.job, self._membership.lease_id, step=self._step)
        except LeaseGone as error:
            log.warning("lease_gone", job=self._request.job, rank=self._membership.rank, reason=str(error))
            self._rejoin()
            return
        with self._lock:
            self._membership = self._membership.model_copy(update={"epoch": answer.epoch})
            self._commands.extend(answer.commands)

    def _rejoin(self) -> None:
        old = self.membership
        try:
            self._coordinator.create_job(self._request.model_copy(update={"attempt": old.attempt}))
            new = self._coordinator.join(
                self._request.job, rank=old.rank, node=self._node, pid=self._pid, epoch=old.epoch
            )
        except LeaseRefused as error:
            self._refused = error
            return
        log.info("joined_again", job=self._request.job, rank=new.rank, epoch=new.epoch)
        with self._lock:
            self._membership = new


def _and_log(beat: Callable[[], None], job: str) -> None:
    started = time.monotonic()
    try:
        beat()
    except CoordinatorError as error:
        log.warning("heartbeat_failed", job=job, seconds=round(time.monotonic() - started, 3), error=str(error))
