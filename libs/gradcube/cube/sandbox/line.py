"""The line in front of the children: bounded, first in first out, and whoever stands in it can leave by id."""

from collections import deque
from concurrent.futures import Future
from threading import Condition, Lock
from time import monotonic
from typing import Any

from gradcube.cube.sandbox.process import GRACE_SECONDS, ChildProcess
from gradcube.cube.sandbox.request import Busy, Cancelled, Progress, Request, Result
from gradcube.errors import QueryError


class Job:
    """One request on its way. `begun`: a child has said that it has it. `kill_at` is on the monotonic clock."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.future: Future[Result] = Future()
        self.progress = Progress("waiting")
        self.begun = self.cancelled = False
        self.kill_at = 0.0
        self._lock = Lock()
        self._child: ChildProcess | None = None

    def start(self, child: ChildProcess) -> None:
        """From now on a cancel goes to the child. Raises Cancelled when one has come already."""
        with self._lock:
            if self.cancelled:
                raise Cancelled("The query was cancelled.")
            self._child = child
            self.kill_at = monotonic() + self.request.timeout_seconds + GRACE_SECONDS

    def stop(self) -> None:
        """The child has nothing to do with it any more: a cancel must not reach the query that comes next."""
        with self._lock:
            self._child = None

    def cancel(self) -> None:
        """A running query gets its interrupt and a second to heed it; one that waits will not start."""
        with self._lock:
            self.cancelled = True
            if self._child is not None:
                self.kill_at = min(self.kill_at, monotonic() + GRACE_SECONDS)
                self._child.cancel()

    def told(self, frame: dict[str, Any]) -> None:
        """Hears what the child says beside the answer."""
        self.begun = True
        if frame.get("kind") == "progress":
            percent, rows = frame.get("percent"), frame.get("rows")
            known = float(percent) if isinstance(percent, int | float) else None
            self.progress = Progress("running", known, rows if isinstance(rows, int) else 0)


class Line:
    """At most `waiting` jobs stand in it, beside those that `next` gave out and that did not `leave` yet."""

    def __init__(self, waiting: int) -> None:
        self._most = waiting
        self._changed = Condition()
        self._line: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Nobody enters any more."""
        return self._closed

    def enter(self, request: Request) -> Job:
        """A place at the end. Raises Busy when there is none, QueryError for an id that is there already."""
        with self._changed:
            if self._closed:
                raise Busy("The gateway is closing.", hint="Ask again in a moment.")
            if len(self._line) >= self._most:
                raise Busy("Too many queries are waiting.", hint="Ask again in a moment.")
            if request.id in self._jobs:
                raise QueryError(f"A query with the id {request.id!r:.80} is running.", hint="Choose another id.")
            job = self._jobs[request.id] = Job(request)
            self._line.append(job)
            self._changed.notify()
            return job

    def next(self) -> Job | None:
        """Waits for the first in the line; None when the line is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            if not self._line:
                return None
            job = self._line.popleft()
            job.progress = Progress("running")
            return job

    def leave(self, job: Job) -> None:
        """It has its answer."""
        with self._changed:
            del self._jobs[job.request.id]

    def cancel(self, query_id: str) -> bool:
        """Ends a waiting or running query. False when there is none of that id."""
        with self._changed:
            job = self._jobs.get(query_id)
            if job is None:
                return False
            waited = job in self._line
            if waited:
                self._line.remove(job)
                del self._jobs[query_id]
        if not waited:
            job.cancel()
        elif job.future.set_running_or_notify_cancel():
            job.future.set_exception(Cancelled("The query was cancelled while it waited."))
        return True

    def cancel_all(self, *, waiting_only: bool = False) -> None:
        """Every query that is here."""
        with self._changed:
            jobs = list(self._line) if waiting_only else list(self._jobs.values())
        for job in jobs:
            self.cancel(job.request.id)

    def progress(self, query_id: str) -> Progress | None:
        """How far it is; None when no query of that id is here."""
        with self._changed:
            job = self._jobs.get(query_id)
            return job.progress if job else None

    def counts(self) -> dict[str, int]:
        """How many run and wait."""
        with self._changed:
            return {"running": len(self._jobs) - len(self._line), "waiting": len(self._line)}

    def close(self) -> None:
        """Whoever waits for the next job gets what is left, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
