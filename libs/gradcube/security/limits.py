"""How much one may ask: a rate by token buckets, and turns so that nobody's queue stands before another's."""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import Future
from contextlib import asynccontextmanager

from gradcube.errors import TooMany


class RateLimiter:
    """A bucket for each key: `burst` at once, then `per_second`. Holds at most `keys`; the one longest unused goes."""

    def __init__(
        self, per_second: float, burst: int, *, keys: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._keys, self._clock = per_second, burst, keys, clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: Hashable) -> None:
        """Takes one from the key's bucket. Raises TooMany, and takes nothing, when it is empty."""
        with self._lock:
            level = self._level(key)
            if level < 1:
                raise TooMany("too many requests; slow down", (1 - level) / self._per_second)
            self._set(key, level - 1)

    def give_back(self, key: Hashable) -> None:
        """What was taken turned out not to count."""
        with self._lock:
            self._set(key, min(self._level(key) + 1, self._burst))

    def _level(self, key: Hashable) -> float:
        level, at = self._levels.get(key, (float(self._burst), self._clock()))
        return min(level + (self._clock() - at) * self._per_second, self._burst)

    def _set(self, key: Hashable, level: float) -> None:
        self._levels[key] = (level, self._clock())
        self._levels.move_to_end(key)
        if len(self._levels) > self._keys:
            self._levels.popitem(last=False)


class Ticket:
    """A place in the line; `ready` is done when it is this one's turn."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.ready: Future[None] = Future()


class Admission:
    """At most `running` at once, of them `running_each` of one principal; the others wait, each behind his own.

    A free place goes round the principals who wait, so that one with a thousand statements delays another's first by
    one statement. `waiting` bounds all, `waiting_each` one. With `running_each` below `running` nobody can take every
    place for the length of a timeout, and one alone does not get the whole machine.
    """

    def __init__(self, running: int, waiting: int, waiting_each: int, running_each: int | None = None) -> None:
        self._running, self._waiting, self._waiting_each = running, waiting, waiting_each
        self._running_each = min(running_each or running, running)
        self._lines: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._active: dict[Ticket, None] = {}
        self._lock = threading.Lock()

    def enter(self, who: str) -> Ticket:
        """A ticket, which the caller gives back with `leave` whatever happens. Raises TooMany when the line is full."""
        ticket = Ticket(who)
        with self._lock:
            mine = len(self._lines.get(who, ()))
            if not self._free_for(who) or mine:
                if mine >= self._waiting_each:
                    raise TooMany(f"{mine} statements of {who} are waiting already; come back later", 1.0)
                if sum(map(len, self._lines.values())) >= self._waiting:
                    raise TooMany(f"{self._waiting} statements are waiting already; come back later", 1.0)
            self._lines.setdefault(who, deque()).append(ticket)
            called = self._call()
        _notify(called)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Done, failed, or no longer wanted; a second time it does nothing."""
        with self._lock:
            self._active.pop(ticket, None)
            line = self._lines.get(ticket.who)
            if line is not None and ticket in line:
                line.remove(ticket)
                if not line:
                    del self._lines[ticket.who]
            called = self._call()
        ticket.ready.cancel()
        _notify(called)

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Waits for a turn without holding a thread. Raises TooMany."""
        ticket = self.enter(who)
        try:
            await asyncio.wrap_future(ticket.ready)
            yield
        finally:
            self.leave(ticket)

    def counts(self) -> dict[str, int]:
        """Running and waiting statements, of all."""
        with self._lock:
            return {"running": len(self._active), "waiting": sum(map(len, self._lines.values()))}

    def _free_for(self, who: str) -> bool:
        mine = sum(ticket.who == who for ticket in self._active)
        return len(self._active) < self._running and mine < self._running_each

    def _call(self) -> list[Ticket]:
        """Takes from the lines whose turn it is, in rounds. Whoever got a place goes to the end of the round."""
        called = []
        while who := next((one for one in self._lines if self._free_for(one)), None):
            line = self._lines.pop(who)
            ticket = line.popleft()
            if line:
                self._lines[who] = line
            self._active[ticket] = None
            called.append(ticket)
        return called


def _notify(called: list[Ticket]) -> None:
    # Outside the lock: the callbacks of a future run in the thread that sets it.
    for ticket in called:
        if ticket.ready.set_running_or_notify_cancel():
            ticket.ready.set_result(None)
