"""The clock by which silence is measured: it stands still while the broker does not answer.

A broker that is away silences every partition, and no window may close for that: what the trainers hold back
meanwhile will come.
"""

from dataclasses import dataclass

PATIENCE_MICROS = 2_000_000
"""A broker that has answered within this is there."""


@dataclass
class ListeningClock:
    """Wall clock less all outages; `answered` whenever the broker did, `now` as often as needed."""

    _answered_at: int | None = None
    _lost: int = 0

    def answered(self, wall_micros: int) -> None:
        """The broker has just answered."""
        if self._answered_at is not None:
            self._lost += max(0, wall_micros - self._answered_at - PATIENCE_MICROS)
        self._answered_at = wall_micros

    def now(self, wall_micros: int) -> int:
        """Microseconds; never goes back, and stands still from `PATIENCE_MICROS` after an answer to the next."""
        if self._answered_at is None:
            return wall_micros
        return min(wall_micros, self._answered_at + PATIENCE_MICROS) - self._lost
