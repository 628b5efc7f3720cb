"""Who is there and who is not: the ranks of the last steps and the leases come in, the missing ones go out."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradcube.diagnosis.assembler import FORGET_AFTER_FRAMES
from gradcube.diagnosis.findings import Subject
from gradcube.diagnosis.frames import StepFrame, Waiting


@dataclass(frozen=True)
class Place:
    """Where a rank was when it last reported."""

    node: str | None
    stage: int | None = None
    replica: int | None = None


@dataclass
class RollCall:
    """The ranks that a job's next step waits for.

    A rank that has missed FORGET_AFTER_FRAMES steps while the others went on is waited for by nobody.
    """

    _last: StepFrame | None = None
    _absent: dict[int, int] = field(default_factory=dict)
    """Of each rank that is missing from the last step, from how many in a row."""
    _places: dict[int, Place] = field(default_factory=dict)
    _leases: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    """Ranks whose lease has ended since they last reported: how, and on which node."""
    _waited_for: frozenset[int] = frozenset()
    _returned: tuple[int, ...] = ()

    def observe(self, frame: StepFrame) -> None:
        """A step is out, with these ranks."""
        before, self._last = self._last, frame
        self._waited_for = frozenset()
        gone: NDArray[np.int32] = np.empty(0, np.int32)
        if before is not None and not (len(before.rank) == len(frame.rank) and (before.rank == frame.rank).all()):
            gone = np.setdiff1d(before.rank, frame.rank)
            self._places |= {int(rank): _place(before, int(rank)) for rank in gone}
        missed = {rank: count + 1 for rank, count in self._absent.items()} | dict.fromkeys(gone.tolist(), 1)
        if not missed and not self._leases:
            self._returned = ()
            return
        present = set(frame.rank.tolist())
        self._returned = tuple(sorted(present & (self._absent.keys() | self._leases.keys())))
        self._absent = {r: n for r, n in missed.items() if r not in present and n < FORGET_AFTER_FRAMES}
        self._leases = {r: lease for r, lease in self._leases.items() if r not in present}

    def expect(self, waiting: Waiting) -> None:
        """What the next step, of which some records are there, is waiting for."""
        self._waited_for = waiting.missing if waiting.step is not None else frozenset()

    def lease(self, kind: str, rank: int, node: str | None) -> None:
        """A lease was taken, given back or lost."""
        if kind in ("RANK_LOST", "RANK_LEFT"):
            self._leases[rank] = (kind, node)
        elif kind == "RANK_JOINED":
            self._leases.pop(rank, None)

    def missing(self) -> dict[int, str | None]:
        """Ranks that have not reported what others have, and their nodes."""
        return {rank: self._place_of(rank).node for rank in sorted(self._waited_for | self._absent.keys())}

    def lost(self) -> dict[int, tuple[str, str | None]]:
        """Ranks without a lease: RANK_LOST or RANK_LEFT, and the node."""
        return dict(sorted(self._leases.items()))

    def culprits(self) -> list[int]:
        """Whom the hang is about: those that were lost, else those that have not reported."""
        lost = [rank for rank, (kind, _) in self._leases.items() if kind == "RANK_LOST"]
        return sorted(lost or self._leases or self.missing())

    def subject(self) -> Subject:
        """One rank, or the node that all culprits are on, or the whole job."""
        culprits = self.culprits()
        places = [self._place_of(rank) for rank in culprits]
        nodes = {place.node for place in places}
        if len(culprits) == 1:
            return Subject(rank=culprits[0], node=places[0].node, stage=places[0].stage, replica=places[0].replica)
        return Subject(node=nodes.pop()) if len(nodes) == 1 else Subject()

    def back(self) -> tuple[int, ...]:
        """Ranks that were missing and are in the last step."""
        return self._returned

    def _place_of(self, rank: int) -> Place:
        if rank in self._places and rank in self._absent:
            return self._places[rank]
        if self._last is not None and rank in self._last.rank:
            return _place(self._last, rank)
        return Place(self._leases.get(rank, ("", None))[1])


def _place(frame: StepFrame, rank: int) -> Place:
    at = int(np.flatnonzero(frame.rank == rank)[0])
    return Place(str(frame.node[at]) or None, int(frame.stage[at]), int(frame.replica[at]))
