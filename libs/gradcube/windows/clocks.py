"""Wrong clocks of pods, found by the broker's: the event times that windows go by.

The rank's time and the broker's time of each row come in; corrected times go out. Decisions are remembered by
offset, so that a replay corrects the same rows by as much.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
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


class _Peers:
    """The lags of all clocks of a job, in order, so that each is compared with the others in no time."""

    def __init__(self, clocks: Collection[_Clock]) -> None:
        self._clocks = clocks

    @cached_property
    def _ordered(self) -> IntArray:
        """Put together when the first clock is judged: most batches judge none."""
        known = [clock.lag_micros - clock.shift_micros for clock in self._clocks if clock.lag_micros is not None]
        return np.sort(np.array(known, np.int64))

    def on_time(self, clock: _Clock, grace_micros: int) -> bool:
        """Whether the median of the others is; False without others."""
        assert clock.lag_micros is not None
        others = len(self._ordered) - 1
        if others < 1:
            return False
        own = np.searchsorted(self._ordered, clock.lag_micros - clock.shift_micros)
        low, high = ((at + int(at >= own)) for at in ((others - 1) // 2, others // 2))
        return float(self._ordered[low] + self._ordered[high]) / 2 <= grace_micros


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
        least = np.full(len(distinct), np.iinfo(np.int64).max)
        np.minimum.at(least, inverse, lag)
        new = [clock.lag_micros is None for clock in clocks]
        for clock, own in zip(clocks, least.tolist(), strict=True):
            clock.lag_micros = own
        if not suspicious and not any(clock.decisions for clock in clocks):
            return np.where(event > appended + self._grace, appended, event)
        peers = _Peers(self._clocks.values())
        places = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
        for clock, is_new, rows in zip(clocks, new, places, strict=True):
            if suspicious or clock.decisions:
                self._observe(clock, lag[rows], ended[rows], int(offset[rows[0]]), peers, new=is_new)
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

    def _observe(self, clock: _Clock, lag: IntArray, ended: IntArray, offset: int, peers: _Peers, *, new: bool) -> None:
        if clock.decisions and offset <= clock.decisions[-1][0]:
            return  # a replay: what was decided holds
        clock.lags += [int(lag.min()), int(lag.max())]
        clock.ends += [int(ended.min()), int(ended.max())]
        span = max(clock.ends) - min(clock.ends)
        judged = span >= ROUND_MICROS and (len(lag) >= ROUND_ROWS or len(clock.lags) >= 2 * ROUND_ROWS)
        if judged or new:
            self._judge(clock, offset, span, peers, new=new)
        if judged:
            clock.lags.clear()
            clock.ends.clear()

    def _judge(self, clock: _Clock, offset: int, span: int, peers: _Peers, *, new: bool) -> None:
        steady = new or max(clock.lags) - min(clock.lags) < span / 2
        least = min(clock.lags)
        if least > self._grace and steady and peers.on_time(clock, self._grace):
            decision = least
        elif least <= self._grace:
            decision = 0
        else:
            return
        if abs(decision - clock.shift_micros) > self._grace:
            clock.decisions = [*clock.decisions, (offset, decision)][-MAX_DECISIONS:]


def _shifts(decisions: list[tuple[int, int]], offset: IntArray) -> IntArray:
    """What the last decision at or before each row's offset adds to its time, (rows,)."""
    if not decisions:
        return np.zeros(len(offset), np.int64)
    since = np.array([start for start, _ in decisions], np.int64)
    micros = np.array([0, *(shift for _, shift in decisions)], np.int64)
    return micros[np.searchsorted(since, offset, side="right")]
