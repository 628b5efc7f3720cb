"""Reading counters that may not exist, and rates between two readings of one that does."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def read(counter: Callable[[], T]) -> T | None:
    """What `counter` answers, or None where it cannot be read: absent is None, never 0 and never an error."""
    try:
        return counter()
    except Exception:  # noqa: BLE001 - each driver, kernel and platform fails in its own way, and each means: not there
        return None


class Rates:
    """Growth of counters per second between two samples. `now` is in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}

    def per_second(self, name: str, total: float | None, now: float) -> float | None:
        """None at the first reading, after a missing one, and where the counter went back (it was reset)."""
        if total is None:
            self._last.pop(name, None)
            return None
        last = self._last.get(name)
        self._last[name] = (total, now)
        if last is None or total < last[0] or now <= last[1]:
            return None
        return (total - last[0]) / (now - last[1])
