"""Numbers that a detector keeps for each rank, as arrays; the ranks of a step come in, their places go out."""

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import FloatArray, IntArray


class RankField:
    """One number a rank; `values` is (ranks ever seen,), `initial` for a new one."""

    def __init__(self, initial: float) -> None:
        self.initial = initial
        self.values: FloatArray = np.empty(0)


class RankMemory:
    """The places of ranks in the fields. Bounded by the ranks that exist; free while the same ranks report."""

    def __init__(self) -> None:
        self._fields: list[RankField] = []
        self._order: IntArray = np.empty(0, np.int64)
        """The places in the order of their ranks."""
        self._last_ranks: NDArray[np.int32] = np.empty(0, np.int32)
        self._last_columns: IntArray = np.empty(0, np.int64)
        self.ranks: IntArray = np.empty(0, np.int64)
        """The rank at each place, (ranks ever seen,)."""

    def field(self, initial: float) -> RankField:
        """A further number for each rank."""
        self._fields.append(RankField(initial))
        return self._fields[-1]

    def columns(self, rank: NDArray[np.int32]) -> IntArray:
        """The place of each rank, (r,); new ranks get one."""
        if len(rank) == len(self._last_ranks) and (rank == self._last_ranks).all():
            return self._last_columns
        new = np.setdiff1d(rank, self.ranks)
        if len(new):
            self._seat(new)
        self._last_ranks = rank.copy()
        self._last_columns = self._order[np.searchsorted(self.ranks[self._order], rank)]
        return self._last_columns

    def _seat(self, new: NDArray[np.int32]) -> None:
        self.ranks = np.concatenate([self.ranks, new])
        self._order = np.argsort(self.ranks)
        for field in self._fields:
            field.values = np.concatenate([field.values, np.full(len(new), field.initial)])
