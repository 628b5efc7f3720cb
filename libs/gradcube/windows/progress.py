"""How far the attempts of a job have come: which of a window's steps are new, and which only repeat lost work."""

from gradcube.windows.panes import Pane


class Progress:
    """The greatest step of each attempt in the windows closed so far."""

    def __init__(self) -> None:
        self._greatest: dict[int, int] = {}

    @property
    def last_attempt(self) -> int:
        """The newest attempt seen; 0 before any."""
        return max(self._greatest, default=0)

    def advance(self, window: Pane) -> dict[int, tuple[int, int]]:
        """For each attempt in the window: its steps not counted before, and those that no attempt had done.

        A step whose ranks end it in two windows counts in the first; one that a restart repeats is not new.
        """
        counted = {}
        for attempt in sorted(window.seen_steps):
            steps = window.distinct_steps(attempt)
            own = self._greatest.get(attempt, -1)
            reached = max(self._greatest.values(), default=-1)
            counted[attempt] = (int((steps > own).sum()), int((steps > reached).sum()))
            self._greatest[attempt] = max(own, int(steps[-1]))
        return counted

    def state(self) -> list[list[int]]:
        """[attempt, greatest step] of each, ascending."""
        return [[attempt, step] for attempt, step in sorted(self._greatest.items())]

    def restore(self, state: list[list[int]]) -> None:
        """The inverse of `state`, in a new object."""
        self._greatest = {int(attempt): int(step) for attempt, step in state}
