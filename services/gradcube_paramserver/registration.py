"""The shard's lease at the coordinator: every half second or less, the heartbeat's answer is the membership."""

import threading
from collections.abc import Callable

import structlog

from gradcube.errors import CoordinatorError
from gradcube.sync.coordinator_client import CoordinatorClient, LeaseGone
from gradcube.sync.coordinator_models import ServerAnswer, ServerHeartbeat, ServerLease, ServerRequest
from gradcube.sync.exchange import ShardMembership
from gradcube.sync.shard import Shard

log = structlog.get_logger(__name__)

_FIRST_TRY_SECONDS = 0.2


class Registration:
    """Registers `shard` and keeps its lease from a thread, until `close`.

    A coordinator that is away is waited for: the shard goes on with the membership that it has.
    """

    def __init__(
        self,
        coordinator: CoordinatorClient,
        shard: Shard,
        *,
        address: str,
        node: str,
        checkpoint_version: Callable[[], int] = lambda: -1,
    ) -> None:
        self._coordinator, self._shard = coordinator, shard
        self._checkpoint_version = checkpoint_version
        self._address, self._node = address, node
        self._lease: ServerLease | None = None
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    @property
    def registered(self) -> bool:
        """Whether the coordinator has this shard on its list."""
        return self._lease is not None

    def refresh(self) -> None:
        """Asks for the membership at once: a trainer knows a newer one."""
        self._wake.set()

    def close(self) -> None:
        """Ends the thread and gives the lease back."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()
        if self._lease is not None:
            try:
                self._coordinator.leave_server(self._shard.identity.job, self._lease.lease_id)
            except CoordinatorError as error:
                log.warning("lease_not_given_back", error=str(error))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._beat()
            except CoordinatorError as error:
                log.warning("coordinator_not_reached", error=str(error))
            seconds = _FIRST_TRY_SECONDS if self._lease is None else self._lease.heartbeat_seconds
            self._wake.wait(seconds)
            self._wake.clear()

    def _beat(self) -> None:
        job, member = self._shard.identity.job, self._shard.membership
        if self._lease is None:
            self._lease = self._coordinator.register_server(job, self._request())
            self._take(self._lease)
            log.info("registered", job=job, shard=self._shard.identity.shard, address=self._address)
            return
        beat = ServerHeartbeat(
            version=self._shard.version, attempt=member.attempt, checkpoint_version=self._checkpoint_version()
        )
        try:
            self._take(self._coordinator.server_heartbeat(job, self._lease.lease_id, beat))
        except LeaseGone as error:
            log.warning("lease_gone", reason=str(error))
            self._lease = None

    def _request(self) -> ServerRequest:
        identity, member = self._shard.identity, self._shard.membership
        return ServerRequest(
            shard=identity.shard,
            shards=identity.shards,
            address=self._address,
            node=self._node,
            epoch=member.epoch,
            attempt=member.attempt,
        )

    def _take(self, answer: ServerAnswer) -> None:
        self._shard.set_membership(
            ShardMembership(answer.epoch, tuple(answer.ranks), answer.attempt, answer.fresh_since)
        )
