"""The way from a training thread to Kafka: offered records are queued, sent by a thread of its own, and counted.

Offering costs microseconds and never waits. Whatever happens to the broker, the queue stays within its bytes, and what
does not fit is dropped and counted, so that the next record can say so.
"""

import atexit
import os
import time
import weakref
from collections import deque
from threading import Event, Thread

import structlog

from gradcube.bus.accounts import Accounts, EmitterStats
from gradcube.bus.sending import Entry, Sending
from gradcube.settings import KafkaSettings

__all__ = ["Emitter", "EmitterStats"]

log = structlog.get_logger(__name__)

# The sender looks at the queue this often instead of being woken: a wake-up per offer would make the training
# thread compete for the interpreter just when it has work to do. It is also what a batch waits for company.
HANDOVER_SECONDS = 0.025
# What one queued record costs beside its key and value: the tuple, the deque's slot, the bytes objects' headers.
OVERHEAD_BYTES = 200
EXIT_SECONDS = 5.0


class Emitter:
    """`emitter.offer("gradcube.steps", b"bert/0", value)`; the broker need not be there yet, or stay there.

    Holds at most `max_bytes` of records that are not acknowledged. Order per key is kept and nothing is sent twice
    (idempotent producer). A record that the broker has not taken within ten minutes of being handed to it, or whose
    topic has been missing for half a minute, is dropped and counted. A forked child drops everything.
    Raises ConfigError for TLS or SASL files that cannot be read.
    """

    def __init__(self, settings: KafkaSettings, *, max_bytes: int = 32 * 2**20, client_id: str = "gradcube") -> None:
        self._accounts = Accounts(max_bytes)
        self._queue: deque[Entry] = deque()
        self._stop = Event()
        self._sending = Sending(settings, self._accounts, client_id=client_id, window_bytes=max_bytes // 4)
        self._thread = Thread(target=self._run, name="gradcube-emitter", daemon=True)
        self._thread.start()
        _live.add(self)

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        """Queues a record without ever blocking. False: dropped and counted, because the queue is full or closed."""
        size_bytes = len(key) + len(value) + OVERHEAD_BYTES
        if not self._accounts.admit(topic, size_bytes):
            return False
        self._queue.append((topic, key, value, size_bytes))
        return True

    def take_dropped(self, topic: str) -> int:
        """Records of `topic` dropped since the last call: refused by `offer`, or given up later."""
        return self._accounts.take_dropped(topic)

    def stats(self) -> EmitterStats:
        """The counts now; `offered == acknowledged + dropped + pending` holds in every answer."""
        return self._accounts.stats(connected=self._sending.connected)

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until nothing is pending; False when the time ran out first."""
        deadline = time.monotonic() + timeout_seconds
        while self._accounts.pending_bytes > 0:
            if time.monotonic() >= deadline or not self._thread.is_alive():
                return False
            time.sleep(HANDOVER_SECONDS / 5)
        return True

    def close(self, timeout_seconds: float) -> None:
        """Flushes for at most `timeout_seconds`, then gives up: what is pending then counts as dropped."""
        self.flush(timeout_seconds)
        lost = self._accounts.seal()
        if lost:
            log.warning("records dropped at close", records=lost, waited_seconds=timeout_seconds)
        self._stop.set()
        self._thread.join(1.0)  # a daemon: if the client hangs in a call, it ends with the process
        _live.discard(self)

    def _run(self) -> None:
        while not self._stop.wait(HANDOVER_SECONDS):
            self._sending.advance(self._queue, self._stop)
        self._sending.close()

    def _abandon(self) -> None:
        """In a forked child: its threads are gone and its sockets belong to the parent."""
        self._accounts = Accounts(0)
        self._queue = deque()
        self._sending.abandon()


_live: "weakref.WeakSet[Emitter]" = weakref.WeakSet()


def _abandon_all() -> None:
    for emitter in list(_live):
        emitter._abandon()
    _live.clear()


def _close_all() -> None:
    """At exit, before kafka-python's own clean-up: a few seconds for what is queued, shared by all emitters."""
    deadline = time.monotonic() + EXIT_SECONDS
    for emitter in list(_live):
        emitter.close(max(0.0, deadline - time.monotonic()))


os.register_at_fork(after_in_child=_abandon_all)
atexit.register(_close_all)
