"""Where every statement is asked and written down: in turns of who asks, and cancelled when nobody waits any more."""

import asyncio
from concurrent.futures import Future
from threading import Lock
from time import monotonic
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from gradcube.cube.questions import Answer, Engine, Prepared, Question
from gradcube.cube.sandbox.request import Cancelled, Progress
from gradcube.errors import AccessError, QueryError
from gradcube.security.audit import AuditLog
from gradcube.security.audit_entry import Entry
from gradcube.security.limits import Admission, Ticket
from gradcube_cube.access import Asker


class Desk:
    """`await desk.ask(...)` for one who waits, `await desk.submit(...)` for one who comes back later."""

    def __init__(self, engine: Engine, admission: Admission, audit: AuditLog) -> None:
        self._engine, self._admission, self._audit = engine, admission, audit
        self._lock = Lock()
        self._waiting: dict[str, Ticket] = {}

    async def submit(self, asker: Asker, question: Question, query_id: str) -> "Future[Answer]":
        """The answer to come. Raises QueryError and AccessError for what is refused at once."""
        return await run_in_threadpool(self._submit, asker, question, query_id)

    async def ask(self, request: Request, asker: Asker, question: Question, query_id: str) -> Answer:
        """The answer. A client that hangs up meanwhile ends its query. The request's body must have been read."""
        answer = asyncio.wrap_future(await self.submit(asker, question, query_id))
        gone: asyncio.Future[None] = asyncio.ensure_future(_gone(request))
        waited: list[asyncio.Future[Any]] = [answer, gone]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Cancelled("The client hung up.")
            return answer.result()
        finally:
            gone.cancel()
            if not answer.done():
                self.cancel(query_id)
                answer.add_done_callback(_look_away)

    def cancel(self, query_id: str) -> None:
        """Ends a query that runs or waits; one that has ended stays as it is."""
        with self._lock:
            ticket = self._waiting.get(query_id)
        if not self._engine.cancel(query_id) and ticket is not None:
            self._admission.leave(ticket)

    def progress(self, query_id: str) -> Progress:
        """How far a query is that has not ended."""
        return self._engine.progress(query_id) or Progress("waiting")

    def _submit(self, asker: Asker, question: Question, query_id: str) -> "Future[Answer]":
        started = monotonic()
        try:
            prepared = self._engine.prepare(question, asker.principal, query_id)
            try:
                ticket = self._admission.enter(asker.principal.name)
            except BaseException:
                prepared.close()
                raise
        except (QueryError, AccessError) as error:
            self._note(asker, question, started, error)
            raise
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()
        with self._lock:
            self._waiting[query_id] = ticket

        def end(found: "Answer | BaseException") -> None:
            with self._lock:
                del self._waiting[query_id]
            self._admission.leave(ticket)
            try:
                self._note(asker, question, started, found)
            except BaseException as error:  # noqa: BLE001 - what is not written down is not given out
                found = error
            _settle(answer, found)

        ticket.ready.add_done_callback(lambda ready: _go(ready, prepared, end))
        return answer

    def _note(self, asker: Asker, question: Question, started: float, found: "Answer | BaseException") -> None:
        failed = isinstance(found, BaseException)
        self._audit.record(
            Entry(
                asker.principal.name, asker.address, "query", _verdict(found), question.sql,
                None if isinstance(found, BaseException) else found.result.rows,
                monotonic() - started, str(found) if failed else None,
            )
        )  # fmt: skip


def _go(ready: "Future[None]", prepared: Prepared, end: Any) -> None:
    if ready.cancelled():
        prepared.close()
        end(Cancelled("The query was cancelled while it waited."))
        return
    try:
        running = prepared.start()
    except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
        end(error)
    else:
        running.add_done_callback(lambda done: end(done.exception() or done.result()))


def _settle(answer: "Future[Answer]", found: Answer | BaseException) -> None:
    if isinstance(found, BaseException):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _verdict(found: Answer | BaseException) -> str:
    if not isinstance(found, BaseException):
        return "ok"
    if isinstance(found, AccessError):
        return "denied"
    if isinstance(found, Cancelled):
        return "cancelled"
    return "refused" if type(found) is QueryError else "failed"


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _look_away(answer: "asyncio.Future[Answer]") -> None:
    """The error of a query that nobody waits for is nobody's; unread, asyncio would log it."""
    if not answer.cancelled():
        answer.exception()
