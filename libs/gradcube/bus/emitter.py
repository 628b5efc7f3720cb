"""The way out of a training process: records are offered without blocking, and sent by a thread of their own.

What cannot be kept is counted, never silent: offered = acknowledged + dropped + pending, at any time.
"""

import atexit
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kafka.errors
import structlog
from kafka import KafkaProducer

from gradcube.bus.client import kafka_options, quiet_client_log
from gradcube.settings import KafkaSettings

log = structlog.get_logger(__name__)

RECORD_OVERHEAD_BYTES = 200
"""Python objects around one queued record, so that many small ones are bounded too."""
IN_FLIGHT_BYTES = 4 * 2**20
"""Most that is handed to kafka-python at once: without a bound of its own, it grows for ever on a frozen broker."""
DELIVERY_TIMEOUT_SECONDS = 900
"""A frozen or absent broker may come back; until then the queue's bound is what limits us."""
POLL_SECONDS = 0.02
RETRY_SECONDS = (0.2, 5.0)
EXIT_SECONDS = 3.0


@dataclass(frozen=True)
class EmitterStats:
    """Records: `offered == acknowledged + dropped + pending`. Bytes of the pending ones, with their overhead."""

    offered: int
    acknowledged: int
    dropped: int
    pending: int
    pending_bytes: int
    connected: bool


class Emitter:
    """`emitter.offer("gradcube.steps", b"bert/0", value)`; bounded by bytes, full means the new record is dropped.

    The broker may be absent at the start, killed or frozen: the thread goes on by itself when it is back. A forked
    child (a DataLoader's worker) has no emitter: its offers are refused without being counted.
    """

    def __init__(self, settings: KafkaSettings, *, max_bytes: int = 32 * 2**20, client_id: str = "gradcube") -> None:
        self._options = kafka_options(settings)
        self._bootstrap = settings.bootstrap
        self._client_id = client_id
        self._max_bytes = max_bytes
        self._pid = os.getpid()
        self._queue: deque[tuple[str, bytes, bytes, int]] = deque()
        # Written by the offering threads alone. The sender never takes this lock, so that it cannot make
        # the training thread wait for a turn of the interpreter.
        self._offer_lock = threading.Lock()
        self._offered = 0
        self._offered_bytes = 0
        self._refused: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        # Written by the sender's side alone.
        self._settle_lock = threading.Lock()
        self._acknowledged = 0
        self._settled_bytes = 0
        self._sent_bytes = 0
        self._failed: Counter[str] = Counter()
        self._connected = False
        self._closing = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="gradcube-emitter", daemon=True)
        self._thread.start()
        atexit.register(_close_at_exit, weakref.ref(self))

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        """Queues the record and returns at once; False when it was dropped, which is counted."""
        size = len(key) + len(value) + RECORD_OVERHEAD_BYTES
        if os.getpid() != self._pid:
            return False
        with self._offer_lock:
            self._offered += 1
            if self._closed or self._closing.is_set() or self.pending_bytes + size > self._max_bytes:
                self._refused[topic] += 1
                return False
            self._offered_bytes += size
            self._queue.append((topic, key, value, size))
        return True

    @property
    def pending_bytes(self) -> int:
        """Bytes queued or in flight; never above `max_bytes`."""
        return self._offered_bytes - self._settled_bytes

    def take_dropped(self, topic: str) -> int:
        """Records of `topic` dropped (queue full, or not delivered) since the last call."""
        total = self._refused[topic] + self._failed[topic]
        fresh = total - self._taken[topic]
        self._taken[topic] = total
        return fresh

    def stats(self) -> EmitterStats:
        """The counters now."""
        with self._offer_lock, self._settle_lock:
            dropped = self._refused.total() + self._failed.total()
            pending = self._offered - self._acknowledged - dropped
            return EmitterStats(
                self._offered, self._acknowledged, dropped, pending, self.pending_bytes, self._connected
            )

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until nothing is pending; False when that took too long."""
        deadline = time.monotonic() + timeout_seconds
        while self.stats().pending and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS / 2)
        return self.stats().pending == 0

    def close(self, timeout_seconds: float = EXIT_SECONDS) -> None:
        """Sends what it can in that time; what is left then counts as dropped. Later offers are refused."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closing.set()
        self.flush(timeout_seconds)
        with self._offer_lock, self._settle_lock:
            self._closed = True
            left = self._offered - self._acknowledged - self._refused.total() - self._failed.total()
            self._failed["(closed)"] += left
            self._settled_bytes = self._offered_bytes
            self._queue.clear()
        self._thread.join(timeout=1.0)
        if left:
            log.warning("records dropped at close", count=left, bootstrap=self._bootstrap)

    def _run(self) -> None:
        quiet_client_log()
        producer = self._connect()
        while producer is not None and not self._closed:
            if not self._queue or self._sent_bytes - self._settled_bytes > IN_FLIGHT_BYTES:
                time.sleep(POLL_SECONDS)
                continue
            self._send(producer)
        if producer is not None:
            # Nothing of ours is left in it; a broker that is gone must not hold up the end of the process.
            producer.close(timeout=0)

    def _connect(self) -> Any:
        """A producer, once a broker answers; None when we are closed before that."""
        wait_seconds, complained = RETRY_SECONDS[0], False
        while not self._closed:
            try:
                producer = KafkaProducer(
                    **self._options,
                    client_id=self._client_id,
                    linger_ms=20,
                    batch_size=256 * 1024,
                    max_request_size=8 * 2**20,
                    delivery_timeout_ms=DELIVERY_TIMEOUT_SECONDS * 1000,
                    bootstrap_timeout_ms=2000,
                )
            except (kafka.errors.KafkaError, OSError) as error:
                if not complained:
                    log.warning("no broker yet", bootstrap=self._bootstrap, reason=type(error).__name__)
                    complained = True
                if self._closing.wait(wait_seconds):
                    time.sleep(POLL_SECONDS)
                wait_seconds = min(2 * wait_seconds, RETRY_SECONDS[1])
            else:
                self._connected = True
                return producer
        return None

    def _send(self, producer: Any) -> None:
        try:
            topic, key, value, size = self._queue.popleft()
        except IndexError:
            return  # close() has emptied the queue
        self._sent_bytes += size
        try:
            future = producer.send(topic, key=key, value=value)
        except (kafka.errors.KafkaError, OSError, AssertionError, ValueError) as error:
            self._settle(topic, size, error)
            return
        future.add_callback(lambda _: self._settle(topic, size, None))
        future.add_errback(lambda error: self._settle(topic, size, error))

    def _settle(self, topic: str, size: int, error: BaseException | None) -> None:
        with self._settle_lock:
            if self._closed:
                return  # already counted as dropped
            self._settled_bytes += size
            if error is None:
                self._acknowledged += 1
                return
            first = not self._failed[topic]
            self._failed[topic] += 1
        if first:
            log.warning("record not delivered", topic=topic, reason=repr(error))


def _close_at_exit(reference: "Callable[[], Emitter | None]") -> None:
    emitter = reference()
    if emitter is not None:
        emitter.close(EXIT_SECONDS)
