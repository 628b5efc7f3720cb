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
        self._place: dict[int, int] = {}
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
        for new in rank.tolist():
            self._place.setdefault(new, len(self._place))
        for field in self._fields:
            missing = len(self._place) - len(field.values)
            field.values = np.concatenate([field.values, np.full(missing, field.initial)])
        self.ranks = np.array(list(self._place), np.int64)
        self._last_ranks = rank.copy()
        self._last_columns = np.array([self._place[own] for own in rank.tolist()], np.int64)
        return self._last_columns
