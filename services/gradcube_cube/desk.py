"""Where every statement is asked: off the event loop, cancelled when nobody waits for it any more."""

import asyncio
from concurrent.futures import Future
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from gradcube.cube.asking import Answer, Asking, Question
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import Cancelled
from gradcube_cube.access import Asker


class Desk:
    """`await desk.ask(...)` for one who waits, `await desk.submit(...)` for one who comes back later."""

    def __init__(self, asking: Asking, pool: QueryPool) -> None:
        self._asking, self._pool = asking, pool

    async def submit(self, asker: Asker, question: Question, query_id: str) -> "Future[Answer]":
        """The answer to come, known to the pool as `query_id`. Raises QueryError, Busy when too many wait."""
        return await run_in_threadpool(self._asking.submit, question, asker.sight, query_id)

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
                self._pool.cancel(query_id)
                answer.add_done_callback(_look_away)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _look_away(answer: "asyncio.Future[Answer]") -> None:
    """The error of a query that nobody waits for is nobody's; unread, asyncio would log it."""
    if not answer.cancelled():
        answer.exception()
