"""Reads the facts' topic into the engine, one transaction a batch, from the offsets that the engine itself holds.

What is not a fact goes to the dead letters as it came (again after a crash in between: at least once). A full disk or
an absent broker stalls reading with a reason that `/ready` shows, and reading goes on by itself.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import duckdb
import structlog

from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.dead_letters import DeadLetterWriter
from gradcube.cube.columns import decode_facts
from gradcube.cube.engine import Engine
from gradcube.cube.model import CubeModel
from gradcube.cube.positions import next_offsets, recreated
from gradcube.errors import BusError
from gradcube.settings import KafkaSettings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class IngestSettings:
    """`reserve_bytes` stay free on the disk of `directory` (None: not looked at); batches are `max_records` long.

    A batch for the store waits `linger_seconds` for more records: so long a row may take until it can be asked for.
    """

    directory: Path | None = None
    reserve_bytes: int = 64 * 2**20
    max_records: int = 20_000
    retry_seconds: float = 1.0
    linger_seconds: float = 0.5


@dataclass(frozen=True)
class IngestState:
    """`reason` says why nothing is being read, None while all is well. `lag`: records not yet read, None: unknown."""

    reason: str | None = "not connected to Kafka yet"
    lag: int | None = None


class Ingest:
    """A thread from `start()` to `stop()`, which returns when the transaction under way has ended."""

    def __init__(self, engine: Engine, model: CubeModel, kafka: KafkaSettings, settings: IngestSettings) -> None:
        self._engine, self._model, self._kafka, self._settings = engine, model, kafka, settings
        self._stopping = Event()
        self._state = IngestState()
        self._thread = Thread(target=self._run, name="ingest", daemon=True)

    @property
    def state(self) -> IngestState:
        """The latest, for any thread."""
        return self._state

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends reading at the end of a transaction."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except BusError as error:
                self._stall(f"Kafka: {error}")
            except Exception as error:  # noqa: BLE001 - a thread that dies unseen would leave /ready at 200
                self._stall(f"unexpected {type(error).__name__}: {error}")
            self._stopping.wait(self._settings.retry_seconds)

    def _read(self) -> None:
        expected = self._engine.offsets()
        with self._open(expected) as consumer, closing(DeadLetterWriter(self._kafka)) as letters:
            looked = self._look(consumer, expected)
            while not self._stopping.is_set():
                records = consumer.poll(0.2)
                if records and not self._store(records, expected, letters):
                    return
                if not records or monotonic() - looked > 1:
                    looked = self._look(consumer, expected)

    def _open(self, expected: dict[tuple[str, int], int]) -> BatchConsumer:
        topic, most = self._model.topic, self._settings.max_records
        consumer = BatchConsumer(self._kafka, [topic], start=dict(expected), max_records=most)
        try:
            gone = recreated(expected, consumer.end_offsets())
        except BusError:
            consumer.close()
            raise
        if not gone:
            return consumer
        consumer.close()
        _log.warning("topic_recreated", topic=topic, partitions=gone, hint="reading those from the start")
        self._forget(expected, gone)
        return BatchConsumer(self._kafka, [topic], start=dict(expected), max_records=most)

    def _forget(self, expected: dict[tuple[str, int], int], gone: list[tuple[str, int]]) -> None:
        expected.update(dict.fromkeys(gone, 0))
        empty, _ = decode_facts([], self._model)
        self._retry(lambda: self._engine.write(empty, dict.fromkeys(gone, 0), {"topic_resets": len(gone)}))

    def _store(self, records: list[Record], expected: dict[tuple[str, int], int], letters: DeadLetterWriter) -> bool:
        facts, bad = decode_facts([record.value for record in records], self._model)
        for one in bad:
            letters.write(records[one.index], one.error, "cube")
        if bad:
            letters.flush()
            _log.warning("bad_records", count=len(bad), first=str(bad[0].error))
        offsets, counts = next_offsets(
            expected, [(record.topic, record.partition, record.offset) for record in records]
        )
        if counts:
            _log.warning("offsets_jumped", **counts, hint="the topic lost records before they were read")
        written = self._retry(lambda: self._engine.write(facts, offsets, {"bad_records": len(bad), **counts}))
        if written:
            expected.update(offsets)
        return written

    def _retry(self, write: Callable[[], object]) -> bool:
        """Tries until the disk takes it; False when the process is to stop first."""
        while not self._stopping.is_set():
            reason = self._shortage()
            if reason is None:
                try:
                    write()
                except duckdb.Error as error:
                    reason = f"the database cannot be written: {error}"
                else:
                    self._resume()
                    return True
            self._stall(reason)
            self._stopping.wait(self._settings.retry_seconds)
        return False

    def _shortage(self) -> str | None:
        directory, wanted = self._settings.directory, self._settings.reserve_bytes
        if directory is None or (free := shutil.disk_usage(directory).free) >= wanted:
            return None
        return f"disk full: {free} bytes are free in {directory}, {wanted} are kept in reserve; make room"

    def _stall(self, reason: str) -> None:
        if self._state.reason is None or self._state.reason.partition(":")[0] != reason.partition(":")[0]:
            _log.error("ingest_stalled", reason=reason)
        self._state = IngestState(reason, self._state.lag)

    def _resume(self) -> None:
        if self._state.reason is not None:
            _log.info("ingest_running", topic=self._model.topic)
            self._state = IngestState(None, self._state.lag)

    def _look(self, consumer: BatchConsumer, expected: dict[tuple[str, int], int]) -> float:
        ends = consumer.end_offsets()
        if recreated(expected, ends):
            raise BusError(f"{self._model.topic} was made anew while it was read; starting over")
        positions = consumer.positions()
        lag = sum(end - expected.get(place, positions.get(place, 0)) for place, end in ends.items())
        self._state = IngestState(None, lag)
        return monotonic()
