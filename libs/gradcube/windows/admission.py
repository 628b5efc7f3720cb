"""Which rows count: new ones, rows fed again after a restart, and rows that came after their window was written.

Offsets and panes come in; masks go out. What must survive a restart is one JSON-able list of closes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcube.windows.columns import BoolArray, IntArray

Source = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True)
class Close:
    """One closing of windows: all that ended by `closed_until_micros` held the offsets below `next_offsets`."""

    closed_until_micros: int
    next_offsets: dict[Source, int]


@dataclass(frozen=True)
class Judged:
    """Of each row: `late`, or `pane_micros`, the start of the pane that it belongs to.

    For a late row `pane_micros` is the pane that was open when it came: there it is counted. `repeated` marks rows
    that an earlier process had read before its last close; they build up again what is not yet written.
    """

    late: BoolArray
    repeated: BoolArray
    pane_micros: IntArray


class Admission:
    """Decides about rows by offsets and event times alone, so that any replay decides alike.

    A row whose window is written was part of it if its offset lay below the offset reached at that close; otherwise
    it is late. The same rule holds in an undisturbed run, where no such row comes again.
    """

    def __init__(self) -> None:
        self._next: dict[Source, int] = {}
        self._restored: dict[Source, int] = {}
        self._closes: list[Close] = []

    @property
    def closed_until_micros(self) -> int | None:
        """End of the last closed pane; None before the first close."""
        return self._closes[-1].closed_until_micros if self._closes else None

    def fresh(self, source: Source, offsets: IntArray) -> BoolArray:
        """Which rows are above everything read from `source` since the start, (rows,); takes note of them."""
        expected = self._next.get(source, -1)
        before = np.maximum.accumulate(np.r_[expected - 1, offsets])[:-1]
        if len(offsets):
            self._next[source] = max(expected, int(offsets.max()) + 1)
        return offsets > before

    def judge(self, source: Source, offsets: IntArray, pane_micros: IntArray, pane_length: int) -> Judged:
        """Late or not, and the pane to count in, for rows whose events lie in the panes given."""
        reached = np.array([close.next_offsets.get(source, 0) for close in self._closes], np.int64)
        until = np.array([close.closed_until_micros for close in self._closes], np.int64)
        covering = np.searchsorted(until, pane_micros + pane_length)
        limit = np.append(reached, np.iinfo(np.int64).max)[covering]
        late = offsets >= limit
        came_after = np.searchsorted(reached, offsets, side="right") - 1
        pane = np.where(late, np.append(until, 0)[came_after], pane_micros)
        return Judged(late, offsets < self._restored.get(source, 0), pane)

    def close(self, closed_until_micros: int, written_until_micros: int) -> None:
        """Notes a close; forgets those that no unwritten window can ask about (`written_until_micros`)."""
        last = self._closes[-1].next_offsets if self._closes else {}
        reached = {source: max(last.get(source, 0), self._next.get(source, 0)) for source in last | self._next}
        self._closes.append(Close(closed_until_micros, reached))
        while len(self._closes) > 1 and self._closes[1].closed_until_micros <= written_until_micros:
            del self._closes[0]

    def state(self) -> list[dict[str, Any]]:
        """The closes, oldest first."""
        return [
            {
                "closed_until_micros": close.closed_until_micros,
                "next_offsets": [[*source, offset] for source, offset in sorted(close.next_offsets.items())],
            }
            for close in self._closes
        ]

    def restore(self, closes: Sequence[dict[str, Any]]) -> None:
        """The inverse of `state`, in a new object."""
        for entry in closes:
            offsets = {(str(topic), int(part)): int(at) for topic, part, at in entry["next_offsets"]}
            self._closes.append(Close(int(entry["closed_until_micros"]), offsets))
        self._restored = dict(self._closes[-1].next_offsets) if self._closes else {}
