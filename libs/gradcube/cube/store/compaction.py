"""In the background: small segments become sorted ones of a day, rollups' days become months, old days go.

Files that nobody reads are removed.
"""

import os
from contextlib import suppress
from threading import Event, Thread, get_native_id
from time import monotonic

import duckdb
import structlog

from gradcube.cube.store import duck, files, merging
from gradcube.cube.store.batches import DAY_MILLIS, day_name
from gradcube.cube.store.manifest import Segment, Version
from gradcube.cube.store.relations import Relation
from gradcube.cube.store.segments import new_path
from gradcube.cube.store.store import Store

_log = structlog.get_logger(__name__)
_NICE = 10
Group = tuple[Version, str, str]
"""Version, relation, day."""


class Compactor:
    """A thread from `start()` to `stop()`, which interrupts the merge under way. One to a store.

    It yields the processor to everything else (nice 10), and holds writes up only while the manifest commits.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._settings = store, store.settings
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="compactor", daemon=True)
        self._duck = duck.connect(store.directory, store.settings.memory_limit)
        self._quiet: dict[Group, tuple[frozenset[str], float]] = {}
        self.reason: str | None = None
        """Why the last pass failed, None while all is well."""

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; a merge that was interrupted has changed nothing."""
        self._stopping.set()
        while self._thread.is_alive():
            with suppress(duckdb.Error):
                self._duck.interrupt()
            self._thread.join(0.1)
        self._duck.close()

    def run_once(self, *, settled: bool = False) -> int:
        """One pass over everything: what is past its days, merges, removals. Returns the number of merges.

        With `settled` no day waits for more segments. Raises OSError, duckdb.Error or sqlite3.Error.
        """
        self._expire()
        merges = 0
        for (cube, number, name), segments in list(self._store.view.live.items()):
            relation = self._store.layout((cube, number)).relation(name)
            merges += self._merge_all((cube, number), relation, segments, settled)
        self._store.reap()
        return merges

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICE)
        while not self._stopping.wait(self._settings.pause_seconds):
            try:
                self.run_once()
            except duckdb.InterruptException:
                continue
            except Exception as error:  # noqa: BLE001 - a thread that dies unseen would let segments pile up
                if self.reason is None:
                    _log.error("compaction_failed", reason=str(error), hint="it is tried again")
                self.reason = f"{type(error).__name__}: {error}"
            else:
                self.reason = None

    def _expire(self) -> None:
        for (cube, number, _), segments in list(self._store.view.live.items()):
            since_millis = self._since_millis(cube)
            if since_millis is not None:
                oldest = day_name(since_millis // DAY_MILLIS)
                gone = [one for one in segments if one.day < oldest]
                if gone and self._store.replace(gone, ()):
                    _log.info("days_expired", cube=cube, version=number, segments=len(gone), before=oldest)
                self._trim((cube, number), [one for one in segments if one.day >= oldest], since_millis)

    def _trim(self, version: Version, segments: list[Segment], since_millis: int) -> None:
        """Months lose the days that are over; of other segments none begins before the day that it is of."""
        for one in segments:
            relation = self._store.layout(version).relation(one.relation)
            if relation.groups and one.first_millis < since_millis:
                self._merge(version, relation, [one], since_millis)

    def _since_millis(self, cube: str) -> int | None:
        days = self._store.model(cube).retention.days if cube in self._store.view.versions else None
        return None if days is None else (int(self._settings.clock() * 1000) // DAY_MILLIS - days) * DAY_MILLIS

    def _merge_all(self, version: Version, relation: Relation, segments: tuple[Segment, ...], settled: bool) -> int:
        layout, settings = self._store.layout(version), self._settings
        merges, alone = 0, list[Segment]()
        for day, those in merging.days(segments).items() if not layout.latest else [("", list(segments))]:
            if self._stopping.is_set():
                break
            quiet = settled or self._is_quiet((version, relation.name, day), those)
            # A cube that keeps the latest is merged whole: the row that supersedes another may be of any day.
            most = settings.max_segment_rows if not layout.latest else 1 << 62
            due = merging.due(those, settled=quiet, fan_in=settings.fan_in, max_rows=most)
            if layout.latest and due:
                due = those
            if due:
                self._merge(version, relation, due, self._since_millis(version[0]) if layout.latest else None)
                merges += 1
            elif quiet and len(those) == 1:
                alone += those
        limits = {"fan_in": settings.fan_in, "max_rows": settings.max_segment_rows}
        for those in merging.months(alone, relation, settled=settled, **limits) if not self._stopping.is_set() else ():
            self._merge(version, relation, those)
            merges += 1
        return merges

    def _is_quiet(self, group: Group, segments: list[Segment]) -> bool:
        paths, now = frozenset(one.path for one in segments), monotonic()
        before, since = self._quiet.get(group, (frozenset[str](), now))
        if before != paths:
            since = now
        self._quiet[group] = (paths, since)
        return now - since >= self._settings.settle_seconds

    def _merge(
        self, version: Version, relation: Relation, segments: list[Segment], since_millis: int | None = None
    ) -> None:
        store, day = self._store, max(one.day for one in segments)
        path = new_path(version, relation.name, day)
        target = store.directory / path
        draft = target.with_name(target.name + files.DRAFT)
        layout = store.layout(version)
        sources = [store.directory / one.path for one in segments]
        try:
            with store.pinned():
                copy = merging.statement(layout, relation, sources, draft, since_millis)
                [(rows,)] = self._duck.execute(copy).fetchall()
            files.sync_file(draft)
            size_bytes = files.adopt(draft, target)
        finally:
            draft.unlink(missing_ok=True)
        first = max(min(one.first_millis for one in segments), since_millis or 0)
        span = first, max(one.last_millis for one in segments)
        level = max(one.level for one in segments) + 1
        store.replace(segments, [Segment(path, *version, relation.name, day, rows, size_bytes, *span, level)])
