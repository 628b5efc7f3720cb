"""Which segments count, how far each topic was read, and the counters: one SQLite file, one transaction per write.

Whatever it names is whole on the disk; whatever it doesn't name is left from a crash. The caller serialises calls.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from gradcube.cube.store.relations import Layout
from gradcube.errors import ConfigError

_TABLES = """
CREATE TABLE IF NOT EXISTS versions (
    cube TEXT, version INTEGER, layout TEXT NOT NULL, live INTEGER NOT NULL,
    PRIMARY KEY (cube, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    path TEXT PRIMARY KEY, cube TEXT NOT NULL, version INTEGER NOT NULL, relation TEXT NOT NULL, day TEXT NOT NULL,
    num_rows INTEGER NOT NULL, num_bytes INTEGER NOT NULL, first_millis INTEGER NOT NULL, last_millis INTEGER NOT NULL,
    level INTEGER NOT NULL, retired INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (
    cube TEXT, version INTEGER, topic TEXT, partition_id INTEGER, next_offset INTEGER NOT NULL,
    PRIMARY KEY (cube, version, topic, partition_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    cube TEXT, version INTEGER, name TEXT, total INTEGER NOT NULL, PRIMARY KEY (cube, version, name)) WITHOUT ROWID;
"""
FORMAT = 1
Version = tuple[str, int]
"""A cube's name and the number of its version."""


@dataclass(frozen=True)
class Segment:
    """One immutable file. `path` is relative to the store; times are the least and the greatest of its rows.

    `level` is how often its rows have been merged.
    """

    path: str
    cube: str
    version: int
    relation: str
    day: str
    num_rows: int
    num_bytes: int
    first_millis: int
    last_millis: int
    level: int


class Manifest:
    """Opens or makes `path`. Raises ConfigError for a file that is none of ours."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=32)
            self._db.execute(
                "PRAGMA locking_mode = EXCLUSIVE"
            )  # no shared-memory file, for which a disk may be too full
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            written_for = self._db.execute("PRAGMA user_version").fetchone()[0]
            if written_for == 0:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
        except sqlite3.Error as error:
            raise ConfigError(f"{path} cannot be opened as a store's manifest: {error}; name another store") from error
        if written_for not in (0, FORMAT):
            self._db.close()
            raise ConfigError(f"{path} has format {written_for}, this version reads {FORMAT}; update gradcube")

    def close(self) -> None:
        """Nothing is lost without it."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it is on the disk afterwards, or, when an error leaves the block, nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.OperationalError):  # some errors have rolled back already
                self._db.execute("ROLLBACK")
            raise

    def versions(self) -> dict[Version, tuple[Layout, bool]]:
        """The layout of every version, and whether readers see that version."""
        rows = self._db.execute("SELECT cube, version, layout, live FROM versions").fetchall()
        return {(cube, version): (Layout.from_json(text), bool(live)) for cube, version, text, live in rows}

    def add_version(self, version: Version, layout: Layout, live: bool) -> None:
        """A new one without segments."""
        values = (*version, layout.to_json(), int(live))
        self._db.execute("INSERT INTO versions VALUES (?, ?, ?, ?)", values)

    def switch(self, version: Version) -> None:
        """Readers see this version of the cube from now on."""
        cube, number = version
        self._db.execute("UPDATE versions SET live = (version = ?) WHERE cube = ?", (number, cube))

    def drop_version(self, version: Version) -> None:
        """Forgets all about it but its segments, which are retired."""
        for table in ("versions", "offsets", "counters"):
            self._db.execute(f"DELETE FROM {table} WHERE cube = ? AND version = ?", version)  # noqa: S608 - ours
        self._db.execute("UPDATE segments SET retired = 1 WHERE cube = ? AND version = ?", version)

    def segments(self, *, retired: bool = False) -> list[Segment]:
        """Those that count, or those that wait for their last reader."""
        rows = self._db.execute(
            "SELECT path, cube, version, relation, day, num_rows, num_bytes, first_millis, last_millis, level"
            " FROM segments WHERE retired = ? ORDER BY day, path",
            (int(retired),),
        )
        return [Segment(*row) for row in rows]

    def add(self, segments: Sequence[Segment]) -> None:
        """They count from now on."""
        self._db.executemany(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            [astuple(one) for one in segments],
        )

    def retire(self, segments: Sequence[Segment]) -> None:
        """They count no longer."""
        self._db.executemany("UPDATE segments SET retired = 1 WHERE path = ?", [(one.path,) for one in segments])

    def forget(self, segments: Sequence[Segment]) -> None:
        """Their files are gone."""
        self._db.executemany("DELETE FROM segments WHERE path = ?", [(one.path,) for one in segments])

    def offsets(self, version: Version) -> dict[tuple[str, int], int]:
        """The next offset of every partition seen so far."""
        sql = "SELECT topic, partition_id, next_offset FROM offsets WHERE cube = ? AND version = ?"
        return {(topic, partition): offset for topic, partition, offset in self._db.execute(sql, version)}

    def counters(self, version: Version) -> dict[str, int]:
        """Those that were ever more than 0."""
        return dict(self._db.execute("SELECT name, total FROM counters WHERE cube = ? AND version = ?", version))

    def note(self, version: Version, offsets: Mapping[tuple[str, int], int], counts: Mapping[str, int]) -> None:
        """Sets offsets and adds to counters."""
        self._db.executemany(
            "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?, ?)",
            [(*version, topic, partition, offset) for (topic, partition), offset in offsets.items()],
        )
        self._db.executemany(
            "INSERT INTO counters VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET total = total + excluded.total",
            [(*version, name, count) for name, count in counts.items() if count],
        )
