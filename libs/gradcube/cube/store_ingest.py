"""Reads a cube's topic into the store, one transaction a batch, from the offsets that the store itself holds.

What is no row, and what a rule of the cube rejects, goes to the dead letters as it came (again after a crash in
between: at least once). A full disk or an absent broker stalls reading with a reason, and reading goes on by itself.
"""

import gc
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from threading import Event, Thread

import numpy as np
import pyarrow as pa
import structlog

from gradcube.bus.dead_letters import DeadLetterWriter
from gradcube.cube import quality
from gradcube.cube.feed import Batch, Feed
from gradcube.cube.ingest import IngestSettings, IngestState
from gradcube.cube.positions import Place, advance, recreated
from gradcube.cube.quality import Judged, judge
from gradcube.cube.store import Store
from gradcube.cube.store.batches import ARROW
from gradcube.cube.store.inheritance import inherit, left_behind
from gradcube.errors import BusError
from gradcube.settings import KafkaSettings

_log = structlog.get_logger(__name__)
_WAIT_SECONDS = 0.2
TURN_SECONDS = 0.0002
GARBAGE_OBJECTS = 200_000
"""About the records of the batches that are under way."""


class StoreIngest:
    """A thread from `start()` to `stop()`, which returns when the transaction under way has ended.

    A write costs two fsyncs for each relation and day, so batches are long.
    """

    def __init__(self, store: Store, cube: str, kafka: KafkaSettings, settings: IngestSettings) -> None:
        self._store, self._cube, self._kafka, self._settings = store, cube, kafka, settings
        self._model = store.model(cube)
        self._stopping = Event()
        self._state = IngestState()
        self._stale: str | None = None
        self._held_back: str | None = None
        self._thread = Thread(target=self._run, name=f"ingest-{cube.lower()}", daemon=True)

    @property
    def state(self) -> IngestState:
        """The latest, for any thread."""
        return self._state

    @property
    def age_seconds(self) -> float | None:
        """How old the newest row is by its own time, as the `fresh` rule sees it; None for an empty cube."""
        return quality.age_seconds(self._store.newest_millis(self._cube), self._store.settings.clock())

    @property
    def stale(self) -> str | None:
        """The sentence of the `fresh` rule while it is broken."""
        return quality.stale(self._model, self.age_seconds)

    @property
    def held_back(self) -> str | None:
        """Why readers do not see the new version of a changed cube though it has read its topic."""
        return self._held_back

    def start(self) -> None:
        """Begins to read. From now on threads of this process take shorter turns, and garbage is looked for less."""
        # Reading holds Python's lock. Decoding and writing let it go in every call of Arrow's, and would wait for 5 ms,
        # the default, until they have it back.
        sys.setswitchinterval(TURN_SECONDS)
        # At every 700 new objects Python would look through all records that are under way: two thirds of reading.
        gc.set_threshold(GARBAGE_OBJECTS)
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
        if not self._store.is_switched(self._cube) and not self._retry(lambda: inherit(self._store, self._cube)):
            return
        expected = self._store.offsets(self._cube)
        with closing(self._open(expected)) as feed, closing(DeadLetterWriter(self._kafka)) as letters:
            feed.start()
            while not self._stopping.is_set():
                self._look(feed, expected)
                batch = feed.next(_WAIT_SECONDS)
                if batch is not None and not self._take(batch, feed, expected, letters):
                    return

    def _open(self, expected: dict[Place, int]) -> Feed:
        feed = self._feed(expected)
        gone = recreated(expected, feed.ends)
        if not gone:
            return feed
        feed.close()
        _log.warning("topic_recreated", topic=self._model.topic, partitions=gone, hint="reading those from the start")
        expected.update(dict.fromkeys(gone, 0))
        self._retry(lambda: self._write(self._nothing(), dict.fromkeys(gone, 0), {"topic_resets": len(gone)}))
        return self._feed(expected)

    def _feed(self, expected: dict[Place, int]) -> Feed:
        most, linger = self._settings.max_records, self._settings.linger_seconds
        return Feed(self._kafka, self._model, expected, max_records=most, linger_seconds=linger)

    def _take(self, batch: Batch, feed: Feed, expected: dict[Place, int], letters: DeadLetterWriter) -> bool:
        judged = judge(batch.decoded.result(), self._model)
        for one in judged.bad:
            letters.write(batch.records[one.index], one.error, "cube")
        if judged.bad:
            letters.flush()
        self._tell(judged)
        count = len(batch.records)
        partitions = np.fromiter((record.partition for record in batch.records), np.int64, count)
        read = np.fromiter((record.offset for record in batch.records), np.int64, count)
        offsets, jumps = advance(expected, self._model.topic, partitions, read)
        if jumps:
            _log.warning("offsets_jumped", **jumps, hint="the topic lost records before they were read")
        counts = {"bad_records": len(judged.bad), **judged.counts, **jumps}
        written = self._retry(lambda: self._write(judged.rows, offsets, counts))
        if written:
            expected.update(offsets)
            feed.done(batch)
        return written

    def _tell(self, judged: Judged) -> None:
        if judged.bad:
            _log.warning("bad_records", cube=self._cube, count=len(judged.bad), first=str(judged.bad[0].error))
        for alert in judged.alerts:
            _log.warning("quality_alert", cube=self._cube, alert=alert)

    def _write(self, rows: pa.Table, offsets: dict[Place, int], counts: dict[str, int]) -> None:
        self._store.write(self._cube, rows, offsets, counts)

    def _nothing(self) -> pa.Table:
        return pa.table({one.name: pa.array([], ARROW[one.type.name]) for one in self._model.wire})

    def _retry(self, write: Callable[[], object]) -> bool:
        """Tries until the disk takes it; False when the process is to stop first."""
        while not self._stopping.is_set():
            reason = self._shortage()
            if reason is None:
                try:
                    write()
                except (OSError, sqlite3.Error) as error:
                    reason = f"the store cannot be written: {error}"
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
            _log.error("ingest_stalled", cube=self._cube, reason=reason)
        self._state = IngestState(reason, self._state.lag)

    def _resume(self) -> None:
        if self._state.reason is not None:
            _log.info("ingest_running", cube=self._cube, topic=self._model.topic)
            self._state = IngestState(None, self._state.lag)

    def _look(self, feed: Feed, expected: dict[Place, int]) -> None:
        if recreated(expected, feed.ends):
            raise BusError(f"{self._model.topic} was made anew while it was read; starting over")
        self._state = IngestState(None, feed.lag)
        if feed.lag == 0 and not self._store.is_switched(self._cube):
            self._switch()
        self._watch_age()

    def _switch(self) -> None:
        rows = 0 if self._settings.forget_history else left_behind(self._store, self._cube)
        if rows:
            if self._held_back is None:
                _log.warning("cube_not_switched", cube=self._cube, rows=rows, hint="docs/cubes.md, A changed cube")
            self._held_back = f"{rows} rows from before what the topic still has would be lost"
            return
        self._retry(lambda: self._store.switch(self._cube))
        self._held_back = None
        _log.info("cube_switched", cube=self._cube, hint="readers see the new version from now on")

    def _watch_age(self) -> None:
        stale = self.stale
        if stale is not None and self._stale is None:
            _log.warning("quality_alert", cube=self._cube, alert=f"broken: {stale}")
            self._retry(lambda: self._write(self._nothing(), {}, {"alerts": 1}))
        self._stale = stale
