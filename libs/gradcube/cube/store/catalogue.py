"""The live segments in memory, for readers: a snapshot costs a few microseconds and waits for no write.

A retired segment's file stays until every snapshot that was opened before its retirement is closed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from gradcube.cube.store.manifest import Segment, Version

Place = tuple[str, int, str]
"""Cube, version, relation."""
Live = Mapping[Place, tuple[Segment, ...]]


@dataclass(frozen=True)
class View:
    """What one reader sees: never changed, only replaced."""

    generation: int
    live: Live
    versions: Mapping[str, int]

    def segments(self, cube: str, version: int, relation: str) -> tuple[Segment, ...]:
        """In the order of days."""
        return self.live.get((cube, version, relation), ())


class Catalogue:
    """About 400 bytes a segment. Any thread may call it."""

    def __init__(self, segments: Iterable[Segment], versions: Mapping[str, int]) -> None:
        self._lock = Lock()
        self._open: Counter[int] = Counter()
        self._retired: list[tuple[int, Segment]] = []
        grouped: dict[Place, list[Segment]] = {}
        for one in segments:
            grouped.setdefault(_place(one), []).append(one)
        self._view = View(0, {place: tuple(those) for place, those in grouped.items()}, dict(versions))

    @property
    def view(self) -> View:
        """The latest, without a pin: its files may go at any moment."""
        return self._view

    def pin(self) -> View:
        """The latest; its files stay until `unpin`."""
        with self._lock:
            self._open[self._view.generation] += 1
            return self._view

    def unpin(self, view: View) -> None:
        """That reader is done."""
        with self._lock:
            self._open[view.generation] -= 1
            self._open += Counter()  # drops what is 0

    def change(
        self, *, add: Sequence[Segment] = (), retire: Sequence[Segment] = (), versions: Mapping[str, int] | None = None
    ) -> None:
        """What the manifest has committed."""
        with self._lock:
            live = dict(self._view.live)
            for place in {_place(one) for one in (*add, *retire)}:
                gone = {one.path for one in retire if _place(one) == place}
                kept = [one for one in live.get(place, ()) if one.path not in gone]
                kept += [one for one in add if _place(one) == place]
                live[place] = tuple(sorted(kept, key=lambda one: (one.day, one.first_millis, one.path)))
            generation = self._view.generation + 1
            self._retired += [(generation, one) for one in retire]
            self._view = View(generation, live, dict(self._view.versions if versions is None else versions))

    def unreadable(self) -> list[Segment]:
        """Retired segments that no open snapshot may read; they are named once."""
        with self._lock:
            oldest = min(self._open, default=self._view.generation)
            free = [one for generation, one in self._retired if generation <= oldest]
            self._retired = [pair for pair in self._retired if pair[0] > oldest]
            return free


def _place(segment: Segment) -> Place:
    return segment.cube, segment.version, segment.relation


def of_version(live: Live, version: Version) -> list[Segment]:
    """All segments of all relations of one version."""
    return [one for place, those in live.items() if place[:2] == version for one in those]
