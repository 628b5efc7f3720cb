"""Where the time of a step went. Hooks and `phase()` blocks write moments, `finish` reads them as seconds.

All moments are the host's, in seconds of one monotonic clock. For work that runs asynchronously on an accelerator they
are the moments at which the host had issued it.
"""

from collections.abc import Callable
from math import nan
from time import perf_counter
from types import TracebackType

PHASES = ("data", "forward", "backward", "sync_wait", "optimizer")
MAX_BUCKETS = 64


class StepClock:
    """One step after the other on one rank. `clock` is injected by tests.

    `ready`, `sent` and `received` hold one moment per bucket, 0.0 where nothing happened yet; gradient hooks write
    straight into them, so their lists are never replaced. `accumulated` is the moment of a gradient that no bucket saw.
    """

    def __init__(self, num_buckets: int = 0, clock: Callable[[], float] = perf_counter) -> None:
        self.clock = clock
        self.ready = [0.0] * num_buckets
        self.sent = [0.0] * num_buckets
        self.received = [0.0] * num_buckets
        self.explicit: dict[str, float] = {}
        self._zeros = [0.0] * num_buckets
        self.restart(clock())

    def restart(self, now: float) -> None:
        """A step begins at `now`."""
        self.started = now
        self.accumulated = 0.0
        self.explicit.clear()
        self.ready[:] = self._zeros
        self.sent[:] = self._zeros
        self.received[:] = self._zeros
        self._data = self._forward = self._backward = self._optimizer = self._sync_wait = nan
        self._forward_began = self._forward_ended = self._optimizer_began = 0.0

    def forward_begins(self) -> None:
        """The model is called; with gradient accumulation several times in a step."""
        now = self.clock()
        if self._data != self._data:
            self._data = now - self.started
        else:
            self._fold_backward()
        self._forward_began = now

    def forward_ends(self) -> None:
        """The model has answered."""
        now = self.clock()
        if self._forward_began:
            self._forward = _add(self._forward, now - self._forward_began)
            self._forward_began = 0.0
            self._forward_ended = now

    def optimizer_begins(self, measure: Callable[[], None]) -> None:
        """The update is about to be applied; `measure` reads the gradient, its time is nobody's phase."""
        now = self.clock()
        last = self.last_ready()
        if last and self._sync_wait != self._sync_wait:
            self._sync_wait = now - last
        measure()
        self._optimizer_began = self.clock()

    def optimizer_ends(self) -> None:
        """The update is applied."""
        if self._optimizer_began:
            self._optimizer = _add(self._optimizer, self.clock() - self._optimizer_began)
            self._optimizer_began = 0.0

    def last_ready(self) -> float:
        """The moment of the rank's own last gradient; 0.0 when there was none."""
        return max(self.accumulated, max(self.ready, default=0.0))

    def finish(self, now: float) -> list[float]:
        """Seconds of the step and of PHASES, in the order of the schema; NaN where nothing was seen."""
        self._fold_backward()
        seen = [
            now - self.started,
            self._data,
            self._forward,
            self._backward,
            self._sync_wait,
            self._optimizer,
        ]
        if self.explicit:
            for position, name in enumerate(PHASES, start=1):
                seen[position] = self.explicit.get(name, seen[position])
        return seen

    def _fold_backward(self) -> None:
        began = self._forward_ended or min((moment for moment in self.ready if moment), default=0.0)
        last = self.last_ready()
        if last and last >= began:
            self._backward = _add(self._backward, last - began)


def _add(total: float, more: float) -> float:
    return more if total != total else total + more


class Phase:
    """A block whose time the loop alone knows: `with monitor.phase("sync_wait"):`. It may be entered repeatedly."""

    def __init__(self, name: str, clock: StepClock, before: Callable[[], None]) -> None:
        self._name = name
        self._clock = clock
        self._before = before
        self._began = 0.0

    def __enter__(self) -> None:
        self._before()
        self._began = self._clock.clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        spent = self._clock.clock() - self._began
        explicit = self._clock.explicit
        explicit[self._name] = explicit.get(self._name, 0.0) + spent
