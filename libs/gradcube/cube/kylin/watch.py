"""What Kylin's REST API and receivers tell: which versions serve, how far receivers have read, where segments are."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

import httpx
import structlog

from gradcube.cube.deploy.kylin import NOTE, Names
from gradcube.errors import GradcubeError
from gradcube.kylin.rest import KylinError, KylinRest

_log = structlog.get_logger(__name__)
_PAGE = 1000
_RECEIVER_SECONDS = 5.0
_LOOK_SECONDS = 1.0
Places = Mapping[str, Any]
"""Segments and their states, by receiver and built ones; two that are equal have the same rows in the same places."""


@dataclass(frozen=True)
class Seen:
    """One look, by cube: `tables` that serve, records that receivers have not read (`behind`, None when none of them
    reads the cube at all) or could not (`refused`), and rows that came after their segment was closed (`late`), which
    are in no answer. `built`: there is history.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, int | None] = field(default_factory=dict)
    late: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    receivers: tuple[tuple[str, ...], ...] = ()
    """Their addresses, by replica set: each of a set has the same rows, so that one of it is enough."""
    built: bool = False
    at: float = 0.0


class KylinWatch:
    """Looks every second in a thread of its own, from `start()` to `stop()`. The account needs to read the project."""

    def __init__(self, rest: KylinRest, project: str) -> None:
        self._rest, self._project = rest, project
        self._receivers = httpx.Client(timeout=_RECEIVER_SECONDS, trust_env=False)
        self._lock = Lock()
        self._seen = Seen()
        self._reason: str | None = "Kylin was not asked yet"
        self._ending = Event()
        self._thread = Thread(target=self._run, name="kylin-watch", daemon=True)

    def start(self) -> None:
        """Looks once before it returns, so that what is there can be asked at once."""
        self._try()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._receivers.close()

    @property
    def seen(self) -> Seen:
        """The last look that succeeded."""
        with self._lock:
            return self._seen

    @property
    def reason(self) -> str | None:
        """Why the last look did not succeed; None when it did."""
        with self._lock:
            return self._reason

    def look_again(self) -> bool:
        """Whether server and receivers answer now."""
        self._try()
        return self.reason is None

    def look(self) -> Seen:
        """Asks now. Raises KylinError."""
        serving = self._serving()
        receivers = self._replica_sets()
        stats = {cube: self._stats(receivers, Names(cube, number).kylin_cube) for cube, number in serving.items()}
        return Seen(
            {cube: Names(cube, number).table for cube, number in serving.items()},
            {cube: _behind(each) for cube, each in stats.items()},
            {cube: sum(_late(one) for one in each) for cube, each in stats.items()},
            {cube: sum(_refused(one) for one in each) for cube, each in stats.items()},
            serving, receivers, bool(self._built()), monotonic(),
        )  # fmt: skip

    def places(self) -> Places:
        """Where segments are now, in about a millisecond for each receiver. Raises KylinError."""
        seen = self.seen
        found: dict[str, Any] = {"built": self._built()} if seen.built else {}
        for group in seen.receivers:
            found |= self._of_each(group, "gradcube/segments")
        return found

    def _run(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            self._try()

    def _try(self) -> None:
        try:
            seen = self.look()
        except GradcubeError as error:
            self._note(self.seen, str(error))
        except Exception as error:  # noqa: BLE001 - an answer of another form must not end the watch
            self._note(self.seen, f"Kylin's answer cannot be read: {error!r:.200}")
        else:
            self._note(seen, None)

    def _note(self, seen: Seen, reason: str | None) -> None:
        with self._lock:
            was, self._seen, self._reason = self._reason, seen, reason
        if reason is not None and was is None:
            _log.warning("kylin_not_seen", reason=reason)

    def _serving(self) -> dict[str, int]:
        projects = self._rest.ask("GET", "projects", parameters={"pageOffset": 0, "pageSize": _PAGE})
        for project in projects:
            if project["name"].upper() == self._project.upper():
                with suppress(ValueError, KeyError, TypeError, AttributeError):
                    return {str(cube): int(number) for cube, number in json.loads(project["description"])[NOTE].items()}
        return {}

    def _built(self) -> list[tuple[str, str]]:
        parameters = {"projectName": self._project, "pageOffset": 0, "pageSize": _PAGE, "limit": _PAGE, "offset": 0}
        cubes = self._rest.ask("GET", "cubes", parameters=parameters)
        return sorted(
            (one["name"], part["name"]) for one in cubes for part in one["segments"] if part["status"] == "READY"
        )

    def _replica_sets(self) -> tuple[tuple[str, ...], ...]:
        state = self._rest.ask("GET", "streaming_v2/cluster/state")
        groups = ([node["receiver"] for node in group["receiver_states"]] for group in state["rs_states"])
        return tuple(tuple(f"{node['host']}:{node['port']}" for node in group) for group in groups if group)

    def _stats(self, receivers: tuple[tuple[str, ...], ...], cube: str) -> list[Mapping[str, Any]]:
        found = [self._of_each(group, f"stats/cubes/{cube}") for group in receivers]
        return [one for group in found for one in group.values() if isinstance(one, dict)]

    def _of_each(self, group: tuple[str, ...], path: str) -> dict[str, Any]:
        """Of those of a replica set that answer. Raises KylinError when none does."""
        found: dict[str, Any] = {}
        lost: KylinError | None = None
        for address in group:
            try:
                found[address] = self._receiver(address, path)
            except KylinError as error:
                lost = error
        if lost is not None and not found:
            raise lost
        return found

    def _receiver(self, address: str, path: str) -> Any:
        try:
            answer = self._receivers.get(f"http://{address}/kylin/api/{path}").raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise KylinError(f"receiver {address}: {error!r:.200}") from error


def _behind(receivers: list[Mapping[str, Any]]) -> int | None:
    """Of the last of them. One that has no partition of the cube, or failed to begin, reads nothing of it."""
    return max((_unread(one["consumer_stats"]) for one in receivers if one.get("consumer_stats")), default=None)


def _unread(consumer: Mapping[str, Any]) -> int:
    """Offsets there are "last read", so that one a partition is no lag."""
    partitions = consumer.get("partition_consume_stats") or {}
    return sum(max(0, int(one.get("consume_lag") or 0) - 1) for one in partitions.values())


def _late(stats: Mapping[str, Any]) -> int:
    return int((stats.get("long_latency_info") or {}).get("total_long_latency_events") or 0)


def _refused(stats: Mapping[str, Any]) -> int:
    return int((stats.get("consumer_stats") or {}).get("total_exception_events") or 0)
