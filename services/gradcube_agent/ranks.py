"""Which ranks run on this node: asked of the coordinator every two seconds, by a thread of its own.

And, when asked, where the parameter servers of those ranks' jobs are.
"""

import random
import threading

import structlog
from pydantic import ValidationError

from gradcube.errors import ConfigError, CoordinatorError
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.telemetry.sampler import RankProcess
from gradcube_agent.targets import MAX_TARGETS, Target, server

POLL_SECONDS = 2.0

log = structlog.get_logger(__name__)


class RankWatcher:
    """Keeps `ranks` up to date from `start` to `close`; while the coordinator does not answer, they stay as they were.

    `answered` says whether its last answer was a good one.
    """

    def __init__(self, coordinator: CoordinatorClient, node: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        self.ranks: tuple[RankProcess, ...] = ()
        self.answered = False
        self._servers: dict[str, list[Target]] = {}
        self._coordinator = coordinator
        self._node = node
        self._poll_seconds = poll_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rank-watcher", daemon=True)

    def start(self) -> None:
        """Begins to ask."""
        self._thread.start()

    def close(self) -> None:
        """Stops asking."""
        self._stopped.set()
        self._thread.join()

    def servers(self) -> list[Target]:
        """The shards of the jobs whose ranks run here; of a job that is not answered for, those known before.

        At most MAX_TARGETS; the nodes of a job differ in which of them they watch.
        """
        jobs = sorted({each.job for each in self.ranks})
        self._servers = {job: self._shards(job) for job in jobs}
        found = [shard for job in jobs for shard in self._servers[job]]
        return found if len(found) <= MAX_TARGETS else random.Random(self._node).sample(found, MAX_TARGETS)

    def _shards(self, job: str) -> list[Target]:
        try:
            return [server(each.address) for each in self._coordinator.assignment(job).servers]
        except (CoordinatorError, ConfigError) as error:
            log.info("servers_unknown", job=job, reason=str(error))
            return self._servers.get(job, [])

    def _run(self) -> None:
        silent = False
        while not self._stopped.is_set():
            try:
                self.ranks = self._ask()
            except (CoordinatorError, ValidationError) as error:
                self.answered = False
                if not silent:
                    log.warning("ranks_unknown", node=self._node, reason=str(error))
                silent = True
            else:
                self.answered, silent = True, False
            self._stopped.wait(self._poll_seconds)

    def _ask(self) -> tuple[RankProcess, ...]:
        members = self._coordinator.members(self._node)
        return tuple(RankProcess(pid=each.pid, job=each.job, attempt=each.attempt, rank=each.rank) for each in members)
