"""The store of all cubes: one writer, any number of readers, and a directory that any crash leaves whole.

Layout: `manifest.sqlite`, `lock`, and `segments/<CUBE>/<version>/<relation>/<day>/<id>.parquet`, which never change.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from gradcube.cube.model import CubeModel
from gradcube.cube.store import batches, duck, files
from gradcube.cube.store.catalogue import Catalogue, View, of_version
from gradcube.cube.store.keys import KeyIndex
from gradcube.cube.store.lookup import Lookup
from gradcube.cube.store.manifest import Manifest, Segment, Version
from gradcube.cube.store.opening import missing_files, remove_orphans
from gradcube.cube.store.relations import Layout, layout_of
from gradcube.cube.store.segments import lay_down, unlink
from gradcube.cube.store.snapshot import Snapshot
from gradcube.errors import ConfigError

Offsets = Mapping[tuple[str, int], int]
COUNTERS = (
    "facts", "bad_records", "duplicate_fact_ids", "lost_records", "topic_resets", "marked_rows", "alerts",
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """What one transaction did."""

    rows: int
    duplicates: int


@dataclass(frozen=True)
class StoreSettings:
    """`max_keys` are held in memory (120 bytes each) to know a repeated row by; `memory_limit` is of each merge.

    A merge waits for `fan_in` segments of a day and level, or `settle_seconds` without a new one, and makes none of
    more than `max_segment_rows`. `clock` tells seconds since the epoch, for retention.
    """

    max_keys: int = 1_000_000
    memory_limit: str = "512MB"
    fan_in: int = 8
    settle_seconds: float = 600.0
    max_segment_rows: int = 4_000_000
    pause_seconds: float = 1.0
    clock: Callable[[], float] = time.time


class Store:
    """`with closing(Store(directory, models)) as store`. Raises ConfigError when it cannot be opened, also when
    another process has it open.

    A cube whose columns or rollups differ from those in the directory becomes a new version: it is written to, and
    readers see the old one until `switch`. One thread writes a cube; everything else may be called from any.
    """

    def __init__(self, directory: Path, models: Iterable[CubeModel], settings: StoreSettings | None = None) -> None:
        self.directory, self.settings = directory.absolute(), settings or StoreSettings()
        self._models = {model.name: model for model in models}
        self._writing = Lock()
        self._index = KeyIndex(self.settings.max_keys)
        self._doubtful: list[Path] = []
        with _refused(self.directory):
            files.make_directory(self.directory)
            lock = files.lock(self.directory)
        with ExitStack() as opened:
            opened.callback(os.close, lock)
            with _refused(self.directory):
                self._open(opened)
            self._opened = opened.pop_all()

    def write(self, cube: str, rows: pa.Table, offsets: Offsets, counts: Mapping[str, int] | None = None) -> Written:
        """One transaction: the rows that the cube does not hold yet, the next offsets, the counters.

        Of rows with one key the first counts, the others are counted as `duplicate_fact_ids`; a cube that keeps the
        latest takes them all. Costs two fsyncs for
        each relation and day, and about 1.2 microseconds of one core a row and 0.3 more for each rollup.
        Raises OSError (as when the disk is full) or sqlite3.Error, and then nothing of it was written.
        """
        with self._writing:
            version = self._fed[cube]
            layout = self._layouts[version]
            fresh = self._numbered(version, rows) if layout.latest else self._unseen(version, rows)
            written = Written(fresh.num_rows, rows.num_rows - fresh.num_rows)
            added = {"facts": written.rows, "duplicate_fact_ids": written.duplicates, **(counts or {})}
            segments = lay_down(self.directory, version, self._models[cube], layout, fresh)
            with self._committing(segments):
                self._manifest.add(segments)
                self._manifest.note(version, offsets, added)
            self._catalogue.change(add=segments)
            if not layout.latest:
                self._index.add(*version, fresh[layout.key].to_pylist(), batches.millis(fresh, layout.time))
            self._remember(version)
        return written

    def offsets(self, cube: str, version: int | None = None) -> dict[tuple[str, int], int]:
        """The next offset to read of every partition seen so far, of the version that is written to unless named."""
        return dict(self._offsets[self._fed[cube] if version is None else (cube, version)])

    def counters(self, cube: str) -> dict[str, int]:
        """`COUNTERS`, counted since that version was made."""
        return dict.fromkeys(COUNTERS, 0) | self._counters[self._fed[cube]]

    def rows(self, cube: str) -> int:
        """Rows that readers see; of a cube that keeps the latest, also those that the next merge drops."""
        view = self._catalogue.view
        return sum(one.num_rows for one in view.segments(cube, view.versions[cube], cube))

    def newest_millis(self, cube: str) -> int | None:
        """The greatest event time that readers see, None for an empty cube."""
        view = self._catalogue.view
        return max((one.last_millis for one in view.segments(cube, view.versions[cube], cube)), default=None)

    def snapshot(self) -> Snapshot:
        """What has been committed so far; takes microseconds, and waits for no write. The caller closes it."""
        return Snapshot(self.directory, self._catalogue.pin(), self._layouts, self._catalogue.unpin)

    def model(self, cube: str) -> CubeModel:
        """As declared. Raises KeyError."""
        return self._models[cube]

    def fed(self, cube: str) -> int:
        """The version that is written to."""
        return self._fed[cube][1]

    def is_switched(self, cube: str) -> bool:
        """Whether readers see the version that is written to."""
        return self._catalogue.view.versions[cube] == self.fed(cube)

    def switch(self, cube: str) -> None:
        """Readers see the version that is written to; the others of the cube go when nobody reads them."""
        with self._writing:
            new = self._fed[cube]
            old = [version for version in self._layouts if version[0] == cube and version != new]
            gone = [one for version in old for one in of_version(self._catalogue.view.live, version)]
            with self._committing(()):
                self._manifest.switch(new)
                for version in old:
                    self._manifest.drop_version(version)
            self._catalogue.change(retire=gone, versions={**self._catalogue.view.versions, cube: new[1]})
            for version in old:
                self._index.forget(*version)

    def close(self) -> None:
        """Everything that was committed is on the disk in any case. Stop the compactor first."""
        with self._writing:
            with suppress(OSError, sqlite3.Error):
                self._discard(self._catalogue.unreadable())
            self._opened.close()

    # What the compactor asks of the store.

    @property
    def view(self) -> View:
        """The latest."""
        return self._catalogue.view

    @contextmanager
    def pinned(self) -> Any:
        """The latest, whose files stay within the block."""
        view = self._catalogue.pin()
        try:
            yield view
        finally:
            self._catalogue.unpin(view)

    def layout(self, version: Version) -> Layout:
        """Of any version in the directory."""
        return self._layouts[version]

    def replace(self, old: Sequence[Segment], new: Sequence[Segment]) -> bool:
        """`new`, whose files are on the disk, count instead of `old`; False when one of those counts no longer."""
        with self._writing:
            live = {one.path for those in self._catalogue.view.live.values() for one in those}
            if not all(one.path in live for one in old):
                unlink(self.directory, new)
                return False
            with self._committing(new):
                self._manifest.retire(old)
                self._manifest.add(new)
            self._catalogue.change(add=new, retire=old)
        return True

    def reap(self) -> int:
        """Removes the files of retired segments that no snapshot may read; returns how many."""
        free = self._catalogue.unreadable()
        with self._writing:
            self._discard(free)
        return len(free)

    def _open(self, opened: ExitStack) -> None:
        shutil.rmtree(self.directory / duck.SPILL, ignore_errors=True)
        self._manifest = opened.enter_context(closing(Manifest(self.directory / "manifest.sqlite")))
        with suppress(sqlite3.Error):  # on a full disk they are forgotten another time
            self._discard(self._manifest.segments(retired=True))
        segments = self._manifest.segments()
        remove_orphans(self.directory, {one.path for one in segments})
        missing_files(self.directory, segments)
        self._fed = {cube: self._version_of(layout_of(model)) for cube, model in self._models.items()}
        known = self._manifest.versions()
        self._layouts = {version: layout for version, (layout, _) in known.items()}
        seen = {cube: number for (cube, number), (_, live) in known.items() if live and cube in self._models}
        for cube in self._fed.keys() - seen.keys():  # the version that readers saw was dropped
            with self._manifest.transaction():
                self._manifest.switch(self._fed[cube])
            seen[cube] = self._fed[cube][1]
        self._catalogue = Catalogue(segments, seen)
        self._offsets: dict[Version, dict[tuple[str, int], int]] = {}
        self._counters: dict[Version, dict[str, int]] = {}
        for version in self._layouts:
            self._remember(version)
        lookup = Lookup(self.directory, self.settings.memory_limit, self.settings.max_keys // 4)
        self._lookup = opened.enter_context(closing(lookup))

    def _version_of(self, layout: Layout) -> Version:
        known = {number: one for (cube, number), (one, _) in self._manifest.versions().items() if cube == layout.cube}
        same = [number for number, one in known.items() if one == layout]
        if same:
            return layout.cube, max(same)
        version = (layout.cube, max(known, default=0) + 1)
        with self._manifest.transaction():
            self._manifest.add_version(version, layout, live=not known)
        return version

    def _unseen(self, version: Version, rows: pa.Table) -> pa.Table:
        layout = self._layouts[version]
        keys, moments = rows[layout.key].to_pylist(), batches.millis(rows, layout.time)
        look = self._lookup.of(layout, self._catalogue.view.segments(*version, layout.cube))
        keep = self._index.unseen(*version, keys, moments, look)
        return rows if keep.all() else rows.filter(pa.array(keep))

    def _numbered(self, version: Version, rows: pa.Table) -> pa.Table:
        return batches.with_arrival(rows, self._counters[version].get("facts", 0))

    @contextmanager
    def _committing(self, segments: Sequence[Segment]) -> Any:
        """A failed commit may yet turn up after a crash, so its files stay until the next one has taken its place."""
        try:
            with self._manifest.transaction():
                yield
        except BaseException:
            self._doubtful += [self.directory / one.path for one in segments]
            raise
        for path in self._doubtful:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._doubtful.clear()

    def _remember(self, version: Version) -> None:
        self._offsets[version] = self._manifest.offsets(version)
        self._counters[version] = self._manifest.counters(version)

    def _discard(self, segments: Sequence[Segment]) -> None:
        if segments:
            unlink(self.directory, segments)
            with self._manifest.transaction():
                self._manifest.forget(segments)


@contextmanager
def _refused(directory: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"store {directory} cannot be opened: {error}; make room, or name another") from error
