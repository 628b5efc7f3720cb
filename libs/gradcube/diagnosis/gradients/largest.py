"""The largest of the last so many numbers: the tail of a curve, as far as it has shown itself."""

from collections import deque

TAIL_STEPS = 2048
TAIL_FACTOR = 1.5
"""How far beyond the largest of the recent past a number must lie to be news."""


class Largest:
    """A sliding maximum of numbers from 0 up; constant time a number, at most 2 048 are kept."""

    def __init__(self) -> None:
        self._falling: deque[tuple[int, float]] = deque()
        """Only numbers that no later one exceeds."""
        self._taken = 0

    def take(self, number: float) -> None:
        """Adds a number, and forgets the one that is 2 048 older."""
        while self._falling and self._falling[-1][1] <= number:
            self._falling.pop()
        self._falling.append((self._taken, number))
        self._taken += 1
        if self._falling[0][0] <= self._taken - TAIL_STEPS:
            self._falling.popleft()

    @property
    def news(self) -> float:
        """Above which a number is news: 1.5 x the largest; 0 before the first."""
        return TAIL_FACTOR * max(self._falling[0][1], 0.0) if self._falling else 0.0
