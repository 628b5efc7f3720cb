"""The emitter's books: for every record offered, whether it was acknowledged, dropped, or is still under way.

The training thread writes one side, the emitter's threads the other, each under its own lock, so that recording an
offer waits for nobody who talks to Kafka.
"""

from collections import defaultdict
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True)
class EmitterStats:
    """Counts of records since the start; `offered == acknowledged + dropped + pending`, always.

    `pending_bytes` is what the pending records hold, `connected` whether the broker answered lately.
    """

    offered: int
    acknowledged: int
    dropped: int
    pending: int
    pending_bytes: int
    connected: bool


class Accounts:
    """Bounded by `max_bytes` of records that are neither acknowledged nor dropped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._offers = Lock()
        self._settlements = Lock()
        self._sealed = False
        self._admitted_bytes = self._settled_bytes = 0
        self._acknowledged = 0
        self._admitted: defaultdict[str, int] = defaultdict(int)
        self._refused: defaultdict[str, int] = defaultdict(int)
        self._settled: defaultdict[str, int] = defaultdict(int)
        self._failed: defaultdict[str, int] = defaultdict(int)
        self._taken: defaultdict[str, int] = defaultdict(int)

    @property
    def pending_bytes(self) -> int:
        """Bytes of the records that are neither acknowledged nor dropped."""
        return self._admitted_bytes - self._settled_bytes

    def admit(self, topic: str, size_bytes: int) -> bool:
        """Counts an offer; False means that it was refused and counted as dropped."""
        with self._offers:
            # An older _settled_bytes only makes this stricter, so it is read without the other lock.
            if self._sealed or self._admitted_bytes - self._settled_bytes + size_bytes > self._max_bytes:
                self._refused[topic] += 1
                return False
            self._admitted_bytes += size_bytes
            self._admitted[topic] += 1
            return True

    def settle(self, topic: str, size_bytes: int, *, delivered: bool) -> None:
        """Counts the end of an admitted record; after `seal` it has been counted already."""
        with self._settlements:
            if self._sealed:
                return
            self._settled_bytes += size_bytes
            self._settled[topic] += 1
            if delivered:
                self._acknowledged += 1
            else:
                self._failed[topic] += 1

    def take_dropped(self, topic: str) -> int:
        """Dropped records of this topic that no earlier call has taken."""
        with self._offers:
            dropped = self._refused.get(topic, 0) + self._failed.get(topic, 0)
            fresh = dropped - self._taken.get(topic, 0)
            if fresh:
                self._taken[topic] = dropped
            return fresh

    def seal(self) -> int:
        """Counts everything pending as dropped, refuses what comes later, and returns how many that were."""
        with self._settlements, self._offers:
            lost = 0
            self._sealed = True
            for topic, admitted in self._admitted.items():
                pending = admitted - self._settled[topic]
                self._failed[topic] += pending
                self._settled[topic] = admitted
                lost += pending
            self._settled_bytes = self._admitted_bytes
            return lost

    def stats(self, *, connected: bool) -> EmitterStats:
        """One consistent view."""
        with self._settlements, self._offers:
            admitted, settled = sum(self._admitted.values()), sum(self._settled.values())
            refused, failed = sum(self._refused.values()), sum(self._failed.values())
            return EmitterStats(
                offered=admitted + refused,
                acknowledged=self._acknowledged,
                dropped=refused + failed,
                pending=admitted - settled,
                pending_bytes=self.pending_bytes,
                connected=connected,
            )
