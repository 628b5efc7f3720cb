"""The same record twice, under two offsets: a producer's retry, or a rank that joined twice.

Series, sequence numbers and windows come in; a mask of second appearances goes out.
"""

import numpy as np

from gradcube.windows.columns import BoolArray, IntArray

_SEQ_BITS = 40


class SeenSequences:
    """The sequence numbers of the windows that are still open.

    A record is a repetition of one in the same window: a replay feeds whole windows, so it decides alike.
    """

    def __init__(self) -> None:
        self._greatest = np.full(8, -1, np.int64)
        self._by_window: dict[int, list[IntArray]] = {}

    def repeated(self, series: IntArray, seq: IntArray, window_micros: IntArray) -> BoolArray:
        """Which rows (rows,) have been seen before, in an earlier batch or earlier in this one; notes the rest.

        `window_micros` is the start of each row's window.
        """
        self._grow(int(series.max(initial=-1)) + 1)
        key = series << _SEQ_BITS | seq
        # Almost every row goes on from the greatest number of its series: only the others need the search.
        doubtful = seq <= self._greatest[series]
        mask = np.zeros(len(key), bool)
        for window in np.unique(window_micros).tolist():
            mine = np.flatnonzero(window_micros == window)
            mask[mine] = self._repeated_in(window, key[mine], doubtful[mine])
        np.maximum.at(self._greatest, series, seq)
        return mask

    def forget_before(self, window_micros: int) -> None:
        """Drops the windows that start before the one given."""
        for window in [window for window in self._by_window if window < window_micros]:
            del self._by_window[window]

    def _repeated_in(self, window: int, key: IntArray, doubtful: BoolArray) -> BoolArray:
        mask = np.ones(len(key), bool)
        mask[np.unique(key, return_index=True)[1]] = False
        known = self._by_window.setdefault(window, [])
        search = np.flatnonzero(doubtful & ~mask)
        if len(search) and known:
            mask[search] = np.isin(key[search], np.concatenate(known))
        known.append(key[~mask])
        return mask

    def _grow(self, num_series: int) -> None:
        missing = max(num_series, 2 * len(self._greatest)) - len(self._greatest)
        if num_series > len(self._greatest):
            self._greatest = np.pad(self._greatest, (0, missing), constant_values=-1)
