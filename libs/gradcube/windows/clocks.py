"""Wrong clocks of pods, found by the broker's: the event times that windows go by.

The rank's time and the broker's time of each row come in; corrected times go out. Decisions are remembered by
offset, so that a replay corrects the same rows by as much.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.admission import Source
from gradcube.windows.columns import IntArray
from gradcube.windows.settings import MICROS

ROUND_MICROS = MICROS
"""A clock is judged over rows that span a second: long against the jitter of sending, short against a window."""
ROUND_ROWS = 3
MAX_DECISIONS = 8


@dataclass
class _Clock:
    """What is known of one rank's clock; the round is the rows since it was last judged."""

    lag_micros: int | None = None
    lags: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    decisions: list[tuple[int, int]] = field(default_factory=list)
    """(first offset, micros to add), in the order of offsets."""

    @property
    def shift_micros(self) -> int:
        return self.decisions[-1][1] if self.decisions else 0


class Clocks:
    """The clocks of one job's ranks.

    A row that ended after the broker had it is impossible: its clock is ahead, and the broker's time counts. Rows that
    come late may be a backlog or a clock behind. A clock behind lags by a constant while its peers are on time;
    the lag of a backlog shrinks as it drains, and a broker that was away makes everybody late.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._grace = round(grace_seconds * MICROS)
        self._clocks: dict[tuple[Source, int, int], _Clock] = {}

    def event_micros(
        self,
        source: Source,
        attempt: NDArray[np.int32],
        rank: NDArray[np.int32],
        ended: IntArray,
        appended: IntArray,
        offset: IntArray,
    ) -> IntArray:
        """The time at which each row happened, (rows,), by the broker's clock where the rank's is wrong."""
        lag = appended - ended
        event = ended.copy()
        key = attempt.astype(np.int64) << 32 | rank.astype(np.int64)
        distinct, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        clocks = [self._clock(source, int(attempt[at]), int(rank[at])) for at in first]
        suspicious = bool((lag > self._grace).any())
        for at, clock in enumerate(clocks):
            if not suspicious and not clock.decisions:
                clock.lag_micros = int(lag[first[at]])
                continue
            rows = np.flatnonzero(inverse == at) if len(distinct) > 1 else slice(None)
            self._observe(clock, lag[rows], ended[rows], int(offset[first[at]]))
            event[rows] += _shifts(clock.decisions, offset[rows])
        return np.where(event > appended + self._grace, appended, event)

    def state(self) -> list[list[Any]]:
        """The decisions: [topic, partition, attempt, rank, [[first offset, micros], ...]]."""
        known = sorted((key, clock.decisions) for key, clock in self._clocks.items() if clock.decisions)
        return [[*source, attempt, rank, [list(d) for d in made]] for (source, attempt, rank), made in known]

    def restore(self, state: list[list[Any]]) -> None:
        """The inverse of `state`, in a new object."""
        for topic, partition, attempt, rank, made in state:
            clock = self._clock((topic, partition), attempt, rank)
            clock.decisions = [(int(offset), int(micros)) for offset, micros in made]

    def _clock(self, source: Source, attempt: int, rank: int) -> _Clock:
        return self._clocks.setdefault((source, attempt, rank), _Clock())

    def _observe(self, clock: _Clock, lag: IntArray, ended: IntArray, offset: int) -> None:
        new = clock.lag_micros is None
        clock.lag_micros = int(lag.min())
        if clock.decisions and offset <= clock.decisions[-1][0]:
            return  # a replay: what was decided holds
        clock.lags += [int(lag.min()), int(lag.max())]
        clock.ends += [int(ended.min()), int(ended.max())]
        span = max(clock.ends) - min(clock.ends)
        judged = span >= ROUND_MICROS and (len(lag) >= ROUND_ROWS or len(clock.lags) >= 2 * ROUND_ROWS)
        if judged or new:
            self._judge(clock, offset, span, new)
        if judged:
            clock.lags.clear()
            clock.ends.clear()

    def _judge(self, clock: _Clock, offset: int, span: int, new: bool) -> None:
        steady = new or max(clock.lags) - min(clock.lags) < span / 2
        least = min(clock.lags)
        if least > self._grace and steady and self._peers_on_time(clock):
            decision = least
        elif least <= self._grace:
            decision = 0
        else:
            return
        if abs(decision - clock.shift_micros) > self._grace:
            clock.decisions = [*clock.decisions, (offset, decision)][-MAX_DECISIONS:]

    def _peers_on_time(self, clock: _Clock) -> bool:
        lags = [
            other.lag_micros - other.shift_micros
            for other in self._clocks.values()
            if other is not clock and other.lag_micros is not None
        ]
        return bool(lags) and float(np.median(lags)) <= self._grace


def _shifts(decisions: list[tuple[int, int]], offset: IntArray) -> IntArray:
    """What the last decision at or before each row's offset adds to its time, (rows,)."""
    if not decisions:
        return np.zeros(len(offset), np.int64)
    since = np.array([start for start, _ in decisions], np.int64)
    micros = np.array([0, *(shift for _, shift in decisions)], np.int64)
    return micros[np.searchsorted(since, offset, side="right")]
