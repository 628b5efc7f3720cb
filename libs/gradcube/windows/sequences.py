"""The same record twice, under two offsets: a producer's retry, or a rank that joined twice.

Series, sequence numbers and offsets come in; a mask of second appearances goes out.
"""

import numpy as np

from gradcube.windows.columns import BoolArray, IntArray

_SEQ_BITS = 40


class SeenSequences:
    """The sequence numbers of the windows that are still open, by pane."""

    def __init__(self) -> None:
        self._greatest = np.full(8, -1, np.int64)
        self._by_pane: dict[int, list[IntArray]] = {}

    def repeated(self, series: IntArray, seq: IntArray, pane: IntArray) -> BoolArray:
        """Which rows (rows,) have been seen before, in an earlier batch or earlier in this one; notes the rest."""
        key = series << _SEQ_BITS | seq
        mask = np.ones(len(key), bool)
        mask[np.unique(key, return_index=True)[1]] = False
        self._grow(int(series.max(initial=-1)) + 1)
        # Almost every row goes on from the greatest number of its series: only the others need the search.
        doubtful = np.flatnonzero(~mask & (seq <= self._greatest[series]))
        if len(doubtful) and self._by_pane:
            known = np.concatenate([keys for chunks in self._by_pane.values() for keys in chunks])
            mask[doubtful] = np.isin(key[doubtful], known)
        np.maximum.at(self._greatest, series, seq)
        for own in np.unique(pane[~mask]).tolist():
            self._by_pane.setdefault(own, []).append(key[~mask & (pane == own)])
        return mask

    def forget_before(self, pane_micros: int) -> None:
        """Drops the panes that start before the one given."""
        for pane in [pane for pane in self._by_pane if pane < pane_micros]:
            del self._by_pane[pane]

    def _grow(self, num_series: int) -> None:
        missing = max(num_series, 2 * len(self._greatest)) - len(self._greatest)
        if num_series > len(self._greatest):
            self._greatest = np.pad(self._greatest, (0, missing), constant_values=-1)
