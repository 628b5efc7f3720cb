"""Reads a topic and decodes it ahead, in two threads of its own, so that neither waits for the disk.

Reading holds Python's lock, decoding and writing hardly do: on two cores the three go on at once.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic

from gradcube.bus.bulk import BulkConsumer
from gradcube.bus.consumer import Record
from gradcube.cube.model import CubeModel
from gradcube.cube.positions import Place
from gradcube.cube.records import Decoded, decode_records
from gradcube.settings import KafkaSettings

_AHEAD = 2
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 5.0
"""A look at the ends takes a tenth of a second in which nothing is read."""


@dataclass(frozen=True)
class Batch:
    """Records in the order in which they were read, and what becomes of them."""

    records: list[Record]
    decoded: Future[Decoded]


class Feed:
    """From the constructor to `close()`. At most four batches are in memory: about 600 bytes a record and its value.

    A batch is full with `max_records`, or ends `linger_seconds` after its first record. Raises BusError.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        model: CubeModel,
        start: Mapping[Place, int],
        *,
        max_records: int,
        linger_seconds: float,
    ) -> None:
        self._model, self._max_records, self._linger_seconds = model, max_records, linger_seconds
        self._consumer = BulkConsumer(kafka, [model.topic], start=dict(start), max_records=max_records)
        self._ready: Queue[Batch] = Queue(_AHEAD)
        self._stopping = Event()
        self._failure: Exception | None = None
        self._looked = 0.0
        self._read = self._done = self._unread = 0
        self.ends: Mapping[Place, int] = {}
        """The offset that the next record of each partition will get, as of a moment ago."""
        try:
            self._look()
        except BaseException:
            self._consumer.close()
            raise
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._reader = Thread(target=self._run, name="read", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._reader.start()

    def next(self, timeout_seconds: float) -> Batch | None:
        """The next batch, None when none came in time. Raises what ended reading, after the batches before it."""
        try:
            return self._ready.get(timeout=timeout_seconds)
        except Empty:
            if self._failure is not None and self._ready.empty():
                raise self._failure from None
            return None

    @property
    def lag(self) -> int:
        """Records that were not read, or read and not `done`."""
        return self._unread + self._read - self._done

    def done(self, batch: Batch) -> None:
        """It is written."""
        self._done += len(batch.records)

    def close(self) -> None:
        """What was read and not taken is read again next time."""
        self._stopping.set()
        if self._reader.ident is not None:
            self._reader.join()
        self._decoder.shutdown(wait=True, cancel_futures=True)
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                records = self._gather()
                if records:
                    self._read += len(records)
                    self._move_ends()
                    self._put(Batch(records, self._decoder.submit(decode_records, records, self._model)))
                if not records or monotonic() - self._looked > _LOOK_SECONDS:
                    self._look()
        except Exception as error:  # noqa: BLE001 - it is raised again where batches are taken
            self._failure = error

    def _gather(self) -> list[Record]:
        records = self._consumer.poll(_POLL_SECONDS)
        deadline = monotonic() + self._linger_seconds
        while records and len(records) < self._max_records and not self._stopping.is_set() and monotonic() < deadline:
            records += self._consumer.poll(_POLL_SECONDS)
        return records

    def _move_ends(self) -> None:
        """What was read lies before the end, also where the broker was asked for it a moment earlier."""
        positions = self._consumer.positions()
        self.ends = {place: max(end, positions.get(place, 0)) for place, end in self.ends.items()}
        self._count_unread(positions)

    def _count_unread(self, positions: Mapping[Place, int]) -> None:
        self._unread = sum(max(0, end - positions.get(place, 0)) for place, end in self.ends.items())

    def _put(self, batch: Batch) -> None:
        while not self._stopping.is_set():
            try:
                self._ready.put(batch, timeout=_POLL_SECONDS)
            except Full:
                continue
            return

    def _look(self) -> None:
        ends, positions = self._consumer.end_offsets(), self._consumer.positions()
        self.ends = ends
        self._count_unread(positions)
        self._looked = monotonic()
