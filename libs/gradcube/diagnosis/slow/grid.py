"""The ranks of a job and the groups they form: nodes, pipeline stages, replicas.

Frames come in; columns that stay a rank's own, and the members of each group, go out.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.slow.center import Partition
from gradcube.windows.columns import FloatArray, IntArray

GROUP_KINDS = ("node", "stage", "replica")


@dataclass(frozen=True, eq=False)
class Groups:
    """The nodes, or stages, or replicas: `names` (groups,), and `partition` of the ranks into them."""

    kind: str
    names: tuple[Hashable, ...]
    partition: Partition

    @property
    def are_shared(self) -> bool:
        """Whether they can be told from ranks and from the whole job: two of them, and one of two ranks."""
        return len(self.names) > 1 and int(self.partition.sizes.max()) > 1


class Grid:
    """All ranks seen so far, ascending, one column each, and where they are. Columns move when ranks join."""

    def __init__(self, frame: StepFrame) -> None:
        self.rank: IntArray = frame.rank.astype(np.int64)
        self._labels = {kind: getattr(frame, kind).copy() for kind in GROUP_KINDS}
        self.groups = {kind: _groups(kind, labels) for kind, labels in self._labels.items()}

    def __len__(self) -> int:
        return len(self.rank)

    def columns(self, frame: StepFrame) -> IntArray | None:
        """The column of each rank of the frame, (r,); None when a rank is new or has moved."""
        at = self.places(frame)
        if not (self.rank[at] == frame.rank).all():
            return None
        same = all((getattr(frame, kind) == labels[at]).all() for kind, labels in self._labels.items())
        return at if same else None

    def places(self, frame: StepFrame) -> IntArray:
        """The column of each rank of a frame whose ranks are all here, wherever they were then, (r,)."""
        at: IntArray = np.minimum(np.searchsorted(self.rank, frame.rank), len(self.rank) - 1)
        return at

    def joined(self, frame: StepFrame) -> "Grid":
        """This grid with the ranks of the frame as they are now."""
        joined = object.__new__(Grid)
        joined.rank = np.union1d(self.rank, frame.rank.astype(np.int64))
        old, new = np.searchsorted(joined.rank, self.rank), np.searchsorted(joined.rank, frame.rank)
        joined._labels = {}
        for kind, labels in self._labels.items():
            merged = np.empty(len(joined.rank), labels.dtype)
            merged[old] = labels
            merged[new] = getattr(frame, kind)
            joined._labels[kind] = merged
        joined.groups = {kind: _groups(kind, labels) for kind, labels in joined._labels.items()}
        return joined

    def spread(self, values: FloatArray, columns: IntArray) -> FloatArray:
        """Values (r,) of a frame in this grid's columns, (ranks,); NaN for who is absent."""
        full = np.full(len(self.rank), np.nan)
        full[columns] = values
        return full

    def label(self, kind: str, column: int) -> Any:
        """A rank's node, stage or replica."""
        return self._labels[kind][column]

    def members(self, kind: str, group: int) -> IntArray:
        """Columns of a group's ranks; of kind "rank" the one column, of kind "job" all."""
        if kind == "rank":
            return np.array([group])
        return np.arange(len(self)) if kind == "job" else np.flatnonzero(self.groups[kind].partition.of == group)


def _groups(kind: str, labels: np.ndarray) -> Groups:
    number: dict[Hashable, int] = {}
    # A rank that does not say where it is shares that with nobody: node "" is no node.
    of = np.array([number.setdefault(label, len(number)) for label in labels.tolist()], np.int64)
    return Groups(kind, tuple(number), Partition(of, len(number)))
