"""The query pool: a bounded line, first in first out, in front of a few warm child processes."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any

import structlog

from gradcube.cube.sandbox.process import GRACE_SECONDS, ChildProcess
from gradcube.cube.sandbox.request import (
    Busy,
    Cancelled,
    EngineLost,
    EngineMissing,
    PoolSettings,
    Progress,
    Request,
    Result,
    TimedOut,
)
from gradcube.errors import ProtocolError, QueryError

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Job:
    request: Request
    future: "Future[Result]" = field(default_factory=Future)
    child: ChildProcess | None = None
    progress: Progress = Progress("waiting")
    begun: bool = False  # the child said that it has the statement
    cancelled: bool = False
    kill_at: float = 0.0

    def told(self, frame: dict[str, Any]) -> None:
        """Hears what the child says beside the answer."""
        self.begun = True
        if frame.get("kind") == "progress":
            percent, rows = frame.get("percent"), frame.get("rows")
            known = float(percent) if isinstance(percent, int | float) else None
            self.progress = Progress("running", known, rows if isinstance(rows, int) else 0)


class QueryPool:
    """`with QueryPool(directory, settings) as pool: pool.run(Request("SELECT 1"))`. Any thread may call it.

    A statement runs at most its timeout; one second later its process is killed and replaced, which costs that
    query its answer and nobody else anything.
    """

    def __init__(self, directory: Path, settings: PoolSettings = PoolSettings()) -> None:  # noqa: B008 - frozen
        self._directory, self._settings = directory.resolve(), settings
        self._changed = Condition()
        self._line: deque[_Job] = deque()
        self._jobs: dict[str, _Job] = {}
        self._children: dict[int, ChildProcess] = {}
        self._replaced = 0
        self._closed = False
        self._threads = [
            Thread(target=self._work, args=(number,), name=f"query-{number}", daemon=True)
            for number in range(settings.workers)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "QueryPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, request: Request) -> "Future[Result]":
        """The result to come. Raises Busy at once when the line is full or the pool closed."""
        with self._changed:
            if self._closed:
                raise Busy("The gateway is closing.", hint="Ask again in a moment.")
            if len(self._line) >= self._settings.waiting:
                raise Busy("Too many queries are waiting.", hint="Ask again in a moment.")
            if request.id in self._jobs:
                raise QueryError(f"A query with the id {request.id!r:.80} is running.", hint="Choose another id.")
            job = _Job(request)
            self._jobs[request.id] = job
            self._line.append(job)
            self._changed.notify()
        return job.future

    def run(self, request: Request) -> Result:
        """The result. Raises QueryError: Busy, TimedOut, Cancelled, EngineLost, or what the engine says."""
        return self.submit(request).result()

    def cancel(self, query_id: str) -> bool:
        """Ends a waiting or running query, whose caller gets Cancelled. False when there is none of that id."""
        with self._changed:
            job = self._jobs.get(query_id)
            if job is None:
                return False
            job.cancelled = True
            job.kill_at = min(job.kill_at, monotonic() + GRACE_SECONDS) if job.kill_at else 0.0
            child = job.child
            if job in self._line:
                self._line.remove(job)
                self._forget(job)
        if child is not None:
            child.cancel()
        elif not job.future.done() and query_id not in self._jobs:
            job.future.set_exception(Cancelled("The query was cancelled while it waited."))
        return True

    def progress(self, query_id: str) -> Progress | None:
        """How far it is; None when no query of that id waits or runs."""
        with self._changed:
            job = self._jobs.get(query_id)
            return job.progress if job else None

    def status(self) -> dict[str, Any]:
        """For /status: the line, the children, and which of the kernel's walls stand around them."""
        with self._changed:
            walls = next((child.walls for child in self._children.values()), {})
            running = len(self._jobs) - len(self._line)
            return {
                "workers": len(self._children), "running": running, "waiting": len(self._line),
                "replaced": self._replaced, "walls": dict(walls),
            }  # fmt: skip

    def pids(self) -> list[int]:
        """The processes of the children that are there now."""
        with self._changed:
            return [child.pid for child in self._children.values()]

    def close(self, grace_seconds: float = 5.0) -> None:
        """Waiting queries are cancelled, running ones get `grace_seconds` to end; then no process is left."""
        with self._changed:
            self._closed = True
            waiting = list(self._line)
            self._changed.notify_all()
        for job in waiting:
            self.cancel(job.request.id)
        deadline = monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        for query_id in list(self._jobs):
            self.cancel(query_id)
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        self._warm(number)
        while (job := self._next()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._answer(number, job)
            with self._changed:
                self._forget(job)
            self._warm(number)
        self._drop(number)

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            if not self._line:
                return None
            job = self._line.popleft()
            job.progress = Progress("running")
            return job

    def _answer(self, number: int, job: _Job) -> None:
        try:
            job.future.set_result(self._ask_once_more(number, job))
        except QueryError as error:
            job.future.set_exception(error)

    def _ask_once_more(self, number: int, job: _Job) -> Result:
        try:
            return self._ask(number, job)
        except EngineLost:
            if job.begun or job.cancelled:
                raise
            return self._ask(number, job)  # the child had died while it was idle

    def _ask(self, number: int, job: _Job) -> Result:
        child = self._child(number)
        with self._changed:
            if job.cancelled:
                raise Cancelled("The query was cancelled.")
            job.child, job.kill_at = child, monotonic() + job.request.timeout_seconds + GRACE_SECONDS
        try:
            return child.ask(job.request, lambda: job.kill_at, job.told)
        except TimeoutError as error:
            self._drop(number, kill=True)
            raise self._too_late(job) from error
        except ProtocolError as error:
            _log.error("query_process_broke_protocol", reason=str(error))
            self._drop(number, kill=True)
            raise EngineLost("The query's answer broke its limits.", hint="Ask for less.") from error
        except EngineLost as error:
            self._drop(number, kill=True)
            raise (self._too_late(job) if job.cancelled else error) from error
        finally:
            job.child = None

    def _too_late(self, job: _Job) -> QueryError:
        if job.cancelled:
            return Cancelled("The query was cancelled.")
        return TimedOut(f"Query timeout after {job.request.timeout_seconds:g} seconds.", hint="Narrow the time.")

    def _warm(self, number: int) -> None:
        try:
            if not self._closed:
                self._child(number)
        except EngineMissing as error:
            _log.error("query_process_not_started", reason=str(error))  # the next query tries again and is told

    def _child(self, number: int) -> ChildProcess:
        child = self._children.get(number)
        if child is not None and child.alive:
            return child
        if child is not None:
            self._drop(number)
        child = ChildProcess(self._directory, self._settings)
        with self._changed:
            self._children[number] = child
        return child

    def _drop(self, number: int, *, kill: bool = False) -> None:
        with self._changed:
            child = self._children.pop(number, None)
            self._replaced += child is not None and not self._closed
        if child is not None:
            child.end(kill=kill)

    def _forget(self, job: _Job) -> None:
        self._jobs.pop(job.request.id, None)
