"""Avro's primitive values read for a whole batch: one buffer, a position per record, field by field.

Each read moves every position. A record that turns out wrong keeps reading inside the buffer's padding; the
caller looks at `good` at the end.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from gradcube.events.bounds import VARINT_BYTES

PADDING_BYTES = 512
"""More than a record's varints and floats can overrun the end of the buffer by."""


class ColumnReader:
    """Reads field after field of all records: `reader.longs()`, `reader.skip_strings()`, `reader.floats(13)`.

    `starts` and `ends` (k,) delimit the records in the joined `values`. `good` (k,) is False for each
    record that had an integer beyond 64 bits, a length that does not fit, or a union branch that is neither
    null nor the value.
    """

    def __init__(self, joined: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        self._joined = joined + bytes(PADDING_BYTES)
        self.buffer = np.frombuffer(self._joined, np.uint8)
        self.position = starts.copy()
        self.ends = ends
        self.good = np.ones(len(starts), np.bool_)

    def longs(self) -> NDArray[np.int64]:
        """(k,) zigzag varints."""
        first = self.buffer[self.position]
        self.position += 1
        more = np.flatnonzero(first & 0x80)
        values = (first & 0x7F).astype(np.uint64)
        if more.size:
            self._continue(values, more)
        return (values >> np.uint64(1)).view(np.int64) ^ -(values & np.uint64(1)).view(np.int64)

    def _continue(self, values: NDArray[np.uint64], more: NDArray[np.intp]) -> None:
        for shift in range(7, 7 * VARINT_BYTES, 7):
            byte = self.buffer[self.position[more]]
            self.position[more] += 1
            values[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
            if shift == 63:
                self.good[more[byte > 1]] = False
            more = more[byte > 0x7F]
            if not more.size:
                return

    def ints(self) -> NDArray[np.int32]:
        """(k,) varints that fit into 32 bits."""
        values = self.longs()
        narrow = values.astype(np.int32)
        self.good &= narrow == values
        return narrow

    def nullable_longs(self, missing: int) -> NDArray[np.int64]:
        """(k,) values of a union of null and long; `missing` for null."""
        branch = self.buffer[self.position]
        self.good &= (branch == 0) | (branch == 2)
        self.position += 1
        null = branch == 0
        if not null.any():
            return self.longs()
        before = self.position.copy()
        values = self.longs()
        values[null] = missing
        np.copyto(self.position, before, where=null)
        return values

    def skip_strings(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(start, end) of each record's string, not yet decoded; empty where the length is wrong."""
        lengths = self.longs()
        fits = (lengths >= 0) & (lengths <= self.ends - self.position)
        self.good &= fits
        starts = self.position
        self.position = starts + np.where(fits, lengths, 0)
        return starts, self.position.copy()

    def floats(self, width: int) -> NDArray[np.float32]:
        """(k, width) consecutive floats."""
        values = self.take(self.position, 4 * width)
        self.position += 4 * width
        return values.view("<f4").reshape(len(self.position), width)

    def text(self, start: int, end: int) -> str | None:
        """The string between two positions, interned; None when it is not UTF-8."""
        try:
            return sys.intern(self._joined[start:end].decode())
        except UnicodeDecodeError:
            return None

    def take(self, positions: NDArray[np.int64], size_bytes: int) -> NDArray[np.void]:
        """(len(positions),) copies of `size_bytes` bytes, all inside the buffer and its padding."""
        windows = np.ndarray(
            (len(self._joined) - size_bytes + 1,), np.dtype(f"V{size_bytes}"), self._joined, strides=(1,)
        )
        return windows[positions]
