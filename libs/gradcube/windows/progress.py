"""How far the attempts of a job have come: which of a window's steps are new, and which only repeat lost work."""

from dataclasses import dataclass

import numpy as np

from gradcube.windows.columns import BoolArray, IntArray


@dataclass(frozen=True)
class Advance:
    """Of each step of an attempt in a window, (k,): not counted before; and not done by any attempt before."""

    first: BoolArray
    new: BoolArray
    begun: bool
    """Whether this is the first window of the attempt."""


class Progress:
    """The greatest step of each attempt in the windows closed so far."""

    def __init__(self) -> None:
        self._greatest: dict[int, int] = {}

    @property
    def last_attempt(self) -> int:
        """The newest attempt seen; 0 before any."""
        return max(self._greatest, default=0)

    def advance(self, attempt: int, steps: IntArray) -> Advance:
        """What the distinct steps (k,), ascending, of an attempt in a window add.

        A step whose ranks end it in two windows counts in the first; one that a restart repeats is not new.
        """
        own = self._greatest.get(attempt, -1)
        reached = max(self._greatest.values(), default=-1)
        begun = attempt not in self._greatest
        self._greatest[attempt] = max(own, int(np.max(steps, initial=-1)))
        return Advance(steps > own, steps > reached, begun)

    def state(self) -> list[list[int]]:
        """[attempt, greatest step] of each, ascending."""
        return [[attempt, step] for attempt, step in sorted(self._greatest.items())]

    def restore(self, state: list[list[int]]) -> None:
        """The inverse of `state`, in a new object."""
        self._greatest = {int(attempt): int(step) for attempt, step in state}
