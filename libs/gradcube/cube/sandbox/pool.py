"""The query pool: a few warm child processes behind a bounded line."""

from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Any

import structlog

from gradcube.cube.sandbox.line import Job, Line
from gradcube.cube.sandbox.process import ChildProcess
from gradcube.cube.sandbox.request import (
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


class QueryPool:
    """`with QueryPool(directory, settings) as pool: pool.run(Request("SELECT 1"))`. Any thread may call it.

    A statement runs at most its timeout; one second later its process is killed and replaced, which costs that
    query its answer and nobody else anything.
    """

    def __init__(self, directory: Path, settings: PoolSettings | None = None) -> None:
        self._directory, self._settings = directory.resolve(), settings or PoolSettings()
        self._line = Line(self._settings.waiting)
        self._lock = Lock()
        self._children: dict[int, ChildProcess] = {}
        self._replaced = 0
        self._threads = [
            Thread(target=self._work, args=(number,), name=f"query-{number}", daemon=True)
            for number in range(self._settings.workers)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "QueryPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, request: Request) -> "Future[Result]":
        """The result to come. Raises Busy at once when the line is full or the pool closed."""
        return self._line.enter(request).future

    def run(self, request: Request) -> Result:
        """The result. Raises QueryError: Busy, TimedOut, Cancelled, EngineLost, or what the engine says."""
        return self.submit(request).result()

    def cancel(self, query_id: str) -> bool:
        """Ends a waiting or running query, whose caller gets Cancelled. False when there is none of that id."""
        return self._line.cancel(query_id)

    def progress(self, query_id: str) -> Progress | None:
        """How far it is; None when no query of that id waits or runs."""
        return self._line.progress(query_id)

    def status(self) -> dict[str, Any]:
        """For /status: the line, the children, and which of the kernel's walls stand around them."""
        with self._lock:
            walls = next((dict(child.walls) for child in self._children.values()), {})
            return {"workers": len(self._children), **self._line.counts(), "replaced": self._replaced, "walls": walls}

    def pids(self) -> list[int]:
        """The processes of the children that are there now."""
        with self._lock:
            return [child.pid for child in self._children.values()]

    def close(self, grace_seconds: float = 5.0) -> None:
        """Waiting queries are cancelled, running ones get `grace_seconds` to end; then no process is left."""
        self._line.close()
        self._line.cancel_all(waiting_only=True)
        deadline = monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        self._line.cancel_all()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        self._warm(number)
        while (job := self._line.next()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._answer(number, job)
            else:
                self._line.leave(job)
            self._warm(number)
        self._drop(number)

    def _answer(self, number: int, job: Job) -> None:
        try:
            result = self._ask_once_more(number, job)
        except QueryError as error:
            self._line.leave(job)
            job.future.set_exception(error)
        else:
            self._line.leave(job)
            job.future.set_result(result)

    def _ask_once_more(self, number: int, job: Job) -> Result:
        try:
            return self._ask(number, job)
        except EngineLost:
            if job.begun or job.cancelled:
                raise
            return self._ask(number, job)  # the child had died while it was idle

    def _ask(self, number: int, job: Job) -> Result:
        child = self._child(number)
        job.start(child)
        try:
            return child.ask(job.request, lambda: job.kill_at, job.told)
        except (TimeoutError, ProtocolError, EngineLost) as error:
            self._drop(number, kill=True)
            if isinstance(error, EngineLost) and not job.cancelled:
                raise
            raise _too_late_or_large(job, error) from error
        finally:
            job.stop()

    def _warm(self, number: int) -> None:
        try:
            if not self._line.closed:
                self._child(number)
        except EngineMissing as error:
            _log.error("query_process_not_started", reason=str(error))  # the next query tries again and is told

    def _child(self, number: int) -> ChildProcess:
        child = self._children.get(number)
        if child is not None and child.alive:
            return child
        self._drop(number)
        child = ChildProcess(self._directory, self._settings)
        with self._lock:
            self._children[number] = child
        return child

    def _drop(self, number: int, *, kill: bool = False) -> None:
        with self._lock:
            child = self._children.pop(number, None)
            self._replaced += child is not None and not self._line.closed
        if child is not None:
            child.end(kill=kill)


def _too_late_or_large(job: Job, error: Exception) -> QueryError:
    if job.cancelled:
        return Cancelled("The query was cancelled.")
    if isinstance(error, TimeoutError):
        return TimedOut(f"Query timeout after {job.request.timeout_seconds:g} seconds.", hint="Narrow the time.")
    _log.error("query_process_broke_protocol", reason=str(error))
    return QueryError("The query or its answer is larger than the engine may send.", hint="Ask for less.")
