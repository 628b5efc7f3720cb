"""How much of the time since a job began went into getting on: ETTR, over all its attempts and restarts.

Windows and the seconds that new steps took come in; shares of the elapsed time go out.
"""

from typing import Any

from gradcube.windows.settings import MICROS
from gradcube.windows.views import Measured

MINUTE_MICROS = 60 * MICROS
HOUR_MINUTES = 60


class EffectiveTime:
    """Effective training time ratio (ByteRobust, SOSP 2025): effective seconds over elapsed seconds.

    The last hour is the minute in which the window ends and the 59 before.
    """

    def __init__(self) -> None:
        self._first_micros: int | None = None
        self._effective_seconds = 0.0
        self._by_minute: dict[int, float] = {}

    def advance(self, start_micros: int, end_micros: int, effective_seconds: float) -> dict[str, Measured]:
        """Adds a window; the measures `ettr` and `ettr_1h`, at its end.

        At most 1: a step that began before the first window counts whole.
        """
        self._first_micros = start_micros if self._first_micros is None else self._first_micros
        self._effective_seconds += effective_seconds
        minute = (end_micros - 1) // MINUTE_MICROS
        self._by_minute[minute] = self._by_minute.get(minute, 0.0) + effective_seconds
        for old in [old for old in self._by_minute if old <= minute - HOUR_MINUTES]:
            del self._by_minute[old]
        hour_began = max((minute - HOUR_MINUTES + 1) * MINUTE_MICROS, self._first_micros)
        return {
            "ettr": _share(self._effective_seconds, end_micros - self._first_micros),
            "ettr_1h": _share(sum(self._by_minute.values()), end_micros - hour_began),
        }

    def state(self) -> dict[str, Any]:
        """As JSON."""
        minutes = [[minute, seconds] for minute, seconds in sorted(self._by_minute.items())]
        return {"first": self._first_micros, "seconds": self._effective_seconds, "minutes": minutes}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`, in a new object."""
        self._first_micros = state["first"]
        self._effective_seconds = float(state["seconds"])
        self._by_minute = {int(minute): float(seconds) for minute, seconds in state["minutes"]}


def _share(effective_seconds: float, elapsed_micros: int) -> Measured:
    share = min(effective_seconds * MICROS / elapsed_micros, 1.0)
    return (share, effective_seconds, share, share, 1)
