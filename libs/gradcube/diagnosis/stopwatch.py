"""How much of the time a detector takes. Its calls come in; why it is too slow goes out."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WATCHED_CALLS = 64
FREE_SECONDS = 2.0
"""What a detector may take within the watched calls whatever its share: warm caches, a machine that was busy."""
MICROS = 1_000_000


@dataclass(frozen=True)
class Budget:
    """How much of the time a detector may take: `Budget(time.perf_counter, share=0.25)`; without a clock, all of it.

    Its time over that which passed during its last WATCHED_CALLS calls, by the clock or in the job, whichever is more:
    a backlog is read faster than it happened, and then a detector has more than its share of the clock.
    """

    clock: Callable[[], float] | None = None
    share: float = 0.25


class Stopwatch:
    """The last calls of one detector. The longest of them is left out: the process may have been frozen in it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._calls: deque[tuple[float, float, int]] = deque(maxlen=WATCHED_CALLS)
        self._spent = 0.0

    def now(self) -> float:
        """Seconds of the clock, 0 without one."""
        return self._budget.clock() if self._budget.clock else 0.0

    def excess(self, begun: float, at_micros: int) -> str:
        """Takes a call that has just ended; why its detector is too slow, or ''."""
        if self._budget.clock is None:
            return ""
        cost = self.now() - begun
        if len(self._calls) == WATCHED_CALLS:
            self._spent -= self._calls[0][1]
        self._calls.append((begun, cost, at_micros))
        self._spent += cost
        if self._spent < FREE_SECONDS:
            return ""
        return self._judge(begun + cost)

    def _judge(self, ended: float) -> str:
        longest = max(cost for _, cost, _ in self._calls)
        spent = self._spent - longest
        first_begun, _, first_micros = self._calls[0]
        passed = max(ended - first_begun - longest, (self._calls[-1][2] - first_micros) / MICROS)
        if spent < FREE_SECONDS or spent <= self._budget.share * passed:
            return ""
        share = f"{spent / passed:.0%} of the time" if passed > 0 else "all of the time"
        return f"it took {share} ({spent:.1f} s in {len(self._calls)} calls), {self._budget.share:.0%} is its share"
