"""The emitter's own side of Kafka: connects, hands queued records to the producer, hears what became of them.

Everything here runs on the emitter's thread, but the answers, which come on the producer's. kafka-python bounds nothing
itself, so at most `window_bytes` are ever inside it; the rest waits in the queue, where it does not expire.
"""

import time
from collections import deque
from functools import partial
from threading import Event
from typing import Any

import kafka.errors
import structlog
from kafka import KafkaProducer

from gradcube.bus.accounts import Accounts
from gradcube.bus.client import connect, kafka_options
from gradcube.settings import KafkaSettings

log = structlog.get_logger(__name__)

Entry = tuple[str, bytes, bytes, int]
"""topic, key, value, the bytes that it holds"""

MAX_WINDOW_BYTES = 4 * 2**20
DELIVERY_SECONDS = 600
REQUEST_SECONDS = 10
MAX_RECORD_BYTES = 4 * 2**20
RETRY_SECONDS = (0.2, 5.0)
MISSING_TOPIC_SECONDS = 30.0
STALLED_SECONDS = 5.0
BUSY_NODE_MILLISECONDS = 50


class Sending:
    """Moves records from a queue to Kafka, a step at a time: `advance` is called again and again."""

    def __init__(self, settings: KafkaSettings, accounts: Accounts, *, client_id: str, window_bytes: int) -> None:
        kafka_options(settings)  # unreadable files are the caller's to hear of, now
        self._settings = settings
        self._accounts = accounts
        self._client_id = client_id
        self._window_bytes = min(window_bytes, MAX_WINDOW_BYTES)
        self._producer: Any = None
        self._retry_at = 0.0
        self._retry_seconds = RETRY_SECONDS[0]
        self._missing: dict[str, _MissingTopic] = {}
        self._ready: set[str] = set()
        # Each of the two is written by one thread only, so neither needs a lock.
        self._handed_bytes = self._answered_bytes = 0
        self._answered_at = time.monotonic()
        self._failing_since: float | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a producer and its records are being answered."""
        waiting = self._handed_bytes > self._answered_bytes
        return self._producer is not None and not (waiting and time.monotonic() - self._answered_at > STALLED_SECONDS)

    def advance(self, queue: deque[Entry], stop: Event) -> None:
        """Connects if it is time to, and sends what the window takes. Never raises."""
        if not self._connect():
            return
        self._retry_missing()
        while queue and not stop.is_set() and self._handed_bytes - self._answered_bytes < self._window_bytes:
            self._send(queue.popleft())

    def close(self) -> None:
        """Ends the producer without waiting for answers."""
        if self._producer is not None:
            _end(self._producer)
            self._producer = None

    def abandon(self) -> None:
        """Forgets the producer of the parent process without touching its connections."""
        if self._producer is not None:
            self._producer._unregister_cleanup()
            self._producer._closed = True
            self._producer = None

    def _connect(self) -> bool:
        if self._producer is not None and self._is_broken():
            log.warning("kafka producer replaced", reason="every record has failed for a while")
            self.close()
            self._failing_since = None
        if self._producer is None and time.monotonic() >= self._retry_at:
            try:
                self._producer = self._new_producer()
                self._retry_seconds = RETRY_SECONDS[0]
                log.info("kafka connected", bootstrap=self._settings.bootstrap)
            except Exception as error:  # noqa: BLE001 - training goes on whatever a client or a changed file raises
                self._note_refusal(error)
        return self._producer is not None

    def _new_producer(self) -> Any:
        producer = connect(
            KafkaProducer,
            self._settings,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            batch_size=256 * 1024,
            max_request_size=MAX_RECORD_BYTES,
            delivery_timeout_ms=DELIVERY_SECONDS * 1000,
            request_timeout_ms=REQUEST_SECONDS * 1000,
            max_block_ms=1000,
            bootstrap_timeout_ms=3000,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        _stop_busy_loop(producer)
        return producer

    def _note_refusal(self, error: Exception) -> None:
        if self._retry_seconds == RETRY_SECONDS[0]:
            log.warning("kafka unavailable", bootstrap=self._settings.bootstrap, error=type(error).__name__)
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, RETRY_SECONDS[1])

    def _is_broken(self) -> bool:
        """A producer fenced or refused for good fails everything; a new one starts afresh."""
        return self._failing_since is not None and time.monotonic() - self._failing_since > STALLED_SECONDS

    def _send(self, entry: Entry) -> None:
        topic, key, value, size_bytes = entry
        missing = self._missing.get(topic)
        if missing is None and topic not in self._ready:
            missing = self._prime(topic)
        if missing is not None:
            missing.waiting.append(entry)
            return
        try:
            future = self._producer.send(topic, value, key)
        except Exception as error:  # noqa: BLE001 - one record that the client refuses must not end the thread
            self._refuse(entry, error)
            return
        self._handed_bytes += size_bytes
        future.add_callback(partial(self._acknowledged, topic, size_bytes))
        future.add_errback(partial(self._failed, topic, size_bytes))

    def _refuse(self, entry: Entry, error: Exception) -> None:
        topic, _, _, size_bytes = entry
        if isinstance(error, kafka.errors.KafkaTimeoutError):  # the topic's metadata has gone
            self._ready.discard(topic)
            self._missing.setdefault(topic, _MissingTopic()).waiting.append(entry)
            return
        log.warning("record refused", topic=topic, size_bytes=size_bytes, error=str(error))
        self._accounts.settle(topic, size_bytes, delivered=False)

    def _prime(self, topic: str) -> "_MissingTopic | None":
        """Learns the topic's partitions, for a second at most; without them the topic's records wait aside."""
        try:
            found = bool(self._producer.partitions_for(topic))
        except kafka.errors.KafkaError:
            found = False
        if not found:
            return self._missing.setdefault(topic, _MissingTopic())
        self._ready.add(topic)
        return None

    def _retry_missing(self) -> None:
        now = time.monotonic()
        for topic, missing in list(self._missing.items()):
            if now >= missing.retry_at:
                missing.retry_at = now + RETRY_SECONDS[1]
                if self._prime(topic) is None:
                    del self._missing[topic]
                    self._send_waiting(missing)
                    continue
            if missing.waiting and now - missing.since > MISSING_TOPIC_SECONDS:
                self._drop_waiting(topic, missing)

    def _send_waiting(self, missing: "_MissingTopic") -> None:
        # Beyond the window on purpose: they are older than whatever is queued, and counted within max_bytes.
        for entry in missing.waiting:
            self._send(entry)

    def _drop_waiting(self, topic: str, missing: "_MissingTopic") -> None:
        log.warning("records dropped", topic=topic, records=len(missing.waiting), reason="the topic is missing")
        while missing.waiting:
            self._accounts.settle(topic, missing.waiting.popleft()[3], delivered=False)

    def _acknowledged(self, topic: str, size_bytes: int, _: object) -> None:
        self._answered(size_bytes)
        self._failing_since = None
        self._accounts.settle(topic, size_bytes, delivered=True)

    def _failed(self, topic: str, size_bytes: int, error: BaseException) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("record not delivered", topic=topic, error=f"{type(error).__name__}: {error}")
        self._answered(size_bytes)
        self._accounts.settle(topic, size_bytes, delivered=False)

    def _answered(self, size_bytes: int) -> None:
        self._answered_bytes += size_bytes
        self._answered_at = time.monotonic()


class _MissingTopic:
    """Records of a topic that the broker does not have (yet), oldest first."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.retry_at = self.since + RETRY_SECONDS[0]
        self.waiting: deque[Entry] = deque()


def _end(producer: Any) -> None:
    """`close` gives up before it has stopped the sender when records are left, so the sender is stopped first."""
    producer._sender.force_close()
    try:
        producer.close(timeout=0)
    except kafka.errors.KafkaError:
        producer._unregister_cleanup()


def _stop_busy_loop(producer: Any) -> None:
    """Makes the producer's thread sleep while a broker that has its five requests does not answer.

    kafka-python 3.0.12 asks how long to wait for a node that cannot take more, is told 0, and polls in a loop: a frozen
    broker cost the training process a whole core, and its interpreter lock. An answer still wakes the thread at once.
    """
    client = producer._sender._client
    stock = client.connection_delay
    client.connection_delay = lambda node: max(stock(node), BUSY_NODE_MILLISECONDS)
