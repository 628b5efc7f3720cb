"""Dense numbers for what is measured: 0, 1, 2 ... for each (attempt, rank), node, shard or dataset of one job.

Columns of keys come in; columns of numbers that index the accumulators' matrices go out.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import IntArray

UNKNOWN_STAGE = -1
"""Until a step record tells: a resource sample does not know it."""


@dataclass(frozen=True)
class Subject:
    """What a series is about: `Subject("rank", attempt=0, name="3", node="a", stage=1)`."""

    kind: str
    attempt: int
    name: str
    node: str
    stage: int


class SeriesTable:
    """The series of one job and one kind of row; an id is never given twice."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._ids: dict[tuple[int, int | str], int] = {}
        self.subjects: list[Subject] = []

    def ids(
        self,
        attempt: NDArray[np.int32],
        number: NDArray[np.int32],
        node: NDArray[np.object_],
        stage: NDArray[np.int32] | None = None,
    ) -> IntArray:
        """The id of each row's (attempt, number), (rows,); new ones are registered with the row's node and stage."""
        key = attempt.astype(np.int64) << 32 | number.astype(np.int64)
        distinct, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        found = np.empty(len(distinct), np.int64)
        for place, at in enumerate(first):
            own_stage = UNKNOWN_STAGE if stage is None else int(stage[at])
            found[place] = self._id(int(attempt[at]), int(number[at]), str(node[at]), own_stage)
        return found[inverse]

    def named_ids(self, attempt: NDArray[np.int32], name: NDArray[np.object_], node: NDArray[np.object_]) -> IntArray:
        """The id of each row's (attempt, name), (rows,), for what has a name instead of a number."""
        rows = zip(attempt.tolist(), name.tolist(), node.tolist(), strict=True)
        return np.array([self._id(own, name, node, UNKNOWN_STAGE) for own, name, node in rows], np.int64)

    def _id(self, attempt: int, name: int | str, node: str, stage: int) -> int:
        found = self._ids.get((attempt, name))
        if found is None:
            found = self._ids[attempt, name] = len(self.subjects)
            self.subjects.append(Subject(self._kind, attempt, str(name), node, stage))
        elif stage != UNKNOWN_STAGE and self.subjects[found].stage == UNKNOWN_STAGE:
            self.subjects[found] = replace(self.subjects[found], node=node, stage=stage)
        return found
