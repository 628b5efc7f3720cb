"""Asynchronous queries and their answers, each its owner's: bounded in number, in bytes and in time."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from gradcube.cube.questions import Answer
from gradcube.cube.sandbox.request import Busy


@dataclass
class Kept:
    """One query. `ended` is on the monotonic clock, None while it waits or runs."""

    id: str
    owner: str
    future: "Future[Answer]"
    ended: float | None = None
    size_bytes: int = 0
    started: float = field(default_factory=monotonic)

    @property
    def answer(self) -> Answer | None:
        """Once it is there."""
        return self.future.result() if self.future.done() and self.error is None else None

    @property
    def error(self) -> BaseException | None:
        """Why there is none."""
        return self.future.exception() if self.future.done() else None


class KeptResults:
    """The oldest answers make room for new ones; what has not ended stays, and when that is all, nothing is taken."""

    def __init__(self, most: int, most_bytes: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._most_bytes, self._seconds, self._clock = most, most_bytes, seconds, clock
        self._lock = Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._reserved = 0

    def reserve(self) -> None:
        """A place for a query that is about to be asked; `add` or `give_back` follows. Raises Busy."""
        with self._lock:
            self._tidy()
            while len(self._kept) + self._reserved >= self._most:
                if not self._drop_oldest():
                    raise Busy(f"{self._most} asynchronous queries are under way.", hint="Ask again in a moment.")
            self._reserved += 1

    def give_back(self) -> None:
        """It was refused."""
        with self._lock:
            self._reserved -= 1

    def add(self, query_id: str, owner: str, future: "Future[Answer]") -> Kept:
        """Takes the reserved place."""
        kept = Kept(query_id, owner, future)
        with self._lock:
            self._reserved -= 1
            self._kept[query_id] = kept
        future.add_done_callback(lambda _: self._end(kept))
        return kept

    def find(self, query_id: str, owner: str | None) -> Kept | None:
        """The owner's query, or with None anybody's; None when it isn't there or somebody else's."""
        with self._lock:
            self._tidy()
            kept = self._kept.get(query_id)
            return kept if kept is not None and owner in (None, kept.owner) else None

    def forget(self, kept: Kept) -> None:
        """Its answer may go."""
        with self._lock:
            self._kept.pop(kept.id, None)

    def counts(self) -> dict[str, int]:
        """For /status."""
        with self._lock:
            self._tidy()
            return {"queries": len(self._kept), "bytes": sum(one.size_bytes for one in self._kept.values())}

    def _end(self, kept: Kept) -> None:
        answer = kept.answer
        with self._lock:
            kept.size_bytes = 0 if answer is None else sum(batch.nbytes for batch in answer.result.batches)
            kept.ended = self._clock()
            self._tidy()

    def _tidy(self) -> None:
        late = self._clock() - self._seconds
        for one in [one for one in self._kept.values() if one.ended is not None and one.ended < late]:
            del self._kept[one.id]
        while sum(one.size_bytes for one in self._kept.values()) > self._most_bytes and self._drop_oldest():
            pass

    def _drop_oldest(self) -> bool:
        ended = [one for one in self._kept.values() if one.ended is not None]
        if not ended:
            return False
        del self._kept[min(ended, key=lambda one: one.ended or 0.0).id]
        return True
