"""Which keys the cube holds: exact, in memory for the hours that rows come for, read from the segments for others."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

SPAN_MILLIS = 3_600_000
Span = tuple[str, int, int]
"""Cube, version, hours since the epoch."""
Look = Callable[[int, Sequence[str]], tuple[set[str], bool]]
"""Hour and the keys asked for in, those of them (or all of the hour) that the segments hold out, and whether all."""


class KeyIndex:
    """At most `most` keys, about 120 bytes each; the hour that was touched longest ago goes first.

    Rows with the same key have the same time, so that one hour tells. A lookup costs about 0.2 microseconds a key.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._spans: OrderedDict[Span, set[str]] = OrderedDict()

    def unseen(self, cube: str, version: int, keys: Sequence[str], millis: np.ndarray, look: Look) -> np.ndarray:
        """(rows,) bool: the first row of each key that the cube does not hold yet."""
        keep = np.ones(len(keys), bool)
        for hour, places in _by_hour(millis):
            asked = [keys[place] for place in places]
            known = self._known((cube, version, hour), asked, look)
            if len(set(asked)) == len(asked) and known.isdisjoint(asked):
                continue
            met: set[str] = set()
            for place, key in zip(places, asked, strict=True):
                keep[place] = key not in known and key not in met
                met.add(key)
        return keep

    def add(self, cube: str, version: int, keys: Sequence[str], millis: np.ndarray) -> None:
        """Keys of rows that were committed; hours that are too large to be held are read again next time."""
        for hour, places in _by_hour(millis):
            held = self._spans.get((cube, version, hour))
            if held is not None:
                before = len(held)
                held.update([keys[place] for place in places])
                self._held += len(held) - before
        self._shrink()

    def forget(self, cube: str, version: int) -> None:
        """That version is gone."""
        for span in [span for span in self._spans if span[:2] == (cube, version)]:
            self._held -= len(self._spans.pop(span))

    def _known(self, span: Span, asked: Sequence[str], look: Look) -> set[str]:
        held = self._spans.get(span)
        if held is not None:
            self._spans.move_to_end(span)
            return held
        found, whole = look(span[2], asked)
        if whole:
            self._spans[span] = found
            self._held += len(found)
            self._shrink()
        return found

    def _shrink(self) -> None:
        while self._held > self._most:
            _, keys = self._spans.popitem(last=False)
            self._held -= len(keys)


def _by_hour(millis: np.ndarray) -> list[tuple[int, list[int]]]:
    if not len(millis):
        return []
    hours = millis // SPAN_MILLIS
    order = np.argsort(hours, kind="stable")
    found, starts = np.unique(hours[order], return_index=True)
    return [(int(hour), places.tolist()) for hour, places in zip(found, np.split(order, starts[1:]), strict=True)]
