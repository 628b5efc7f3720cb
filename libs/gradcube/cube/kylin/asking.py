"""Kylin as an `Engine`: asked again while a segment moves, and told of when its receivers are behind."""

import datetime
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event, Lock
from time import monotonic
from typing import Any

from gradcube.cube.kylin.answers import result_of
from gradcube.cube.kylin.statement import KylinStatement, kylin_statement
from gradcube.cube.kylin.watch import KylinWatch, Seen
from gradcube.cube.kylin_types import from_duckdb
from gradcube.cube.model import Catalog
from gradcube.cube.questions import Answer, OutputColumn, Question, Sight
from gradcube.cube.sandbox.request import Cancelled, EngineMissing, Progress, Result, TimedOut
from gradcube.errors import QueryError
from gradcube.kylin.rest import KylinAbsent, KylinDenied, KylinError, KylinLate, KylinRest

_MOST_TURNS = 5
"""How often a statement is asked while segments move: they do for a moment, once in a segment's window."""
_WAIT_SECONDS = 0.2
_RECEIVERS = "timeout when call stream rpc"
"""What Kylin says of receivers that do not answer, and of some statements that they end with an error."""
_WORDS_CHARACTERS = 300
ANSWER, WAIT, REFUSE = "answer", "wait", "refuse"


@dataclass(frozen=True)
class Behind:
    """What is done while receivers have more than `records` unread: `answer` as partial, `wait`, or `refuse`."""

    records: int = 1000
    then: str = ANSWER


@dataclass
class _Running:
    question: Question
    statement: KylinStatement
    ended: Event
    answer: "Future[Answer]"


class KylinAsking:
    """`workers` statements at once; `close()` lets those that run end. Kylin itself cannot be told to end one."""

    def __init__(
        self, rest: KylinRest, watch: KylinWatch, catalog: Catalog, project: str, behind: Behind, workers: int
    ) -> None:
        self._rest, self._watch, self._catalog, self._project, self._behind = rest, watch, catalog, project, behind
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="kylin")
        self._lock = Lock()
        self._running: dict[str, _Running] = {}

    def prepare(self, question: Question, sight: Sight, query_id: str) -> "PreparedStatement":
        """Raises QueryError, EngineMissing while Kylin cannot be looked at, and what `sight` raises."""
        if (reason := self._watch.reason) is not None:
            raise EngineMissing(f"Kylin does not answer: {reason}")
        now = datetime.datetime.now(datetime.UTC)
        statement = kylin_statement(question, self._catalog, self._watch.seen.tables, sight, now)
        return PreparedStatement(lambda: self._submit(question, statement, query_id))

    def cancel(self, query_id: str) -> bool:
        """Whoever waits gets Cancelled; what Kylin answers later is thrown away."""
        with self._lock:
            running = self._running.get(query_id)
        if running is None:
            return False
        running.ended.set()
        self._settle(query_id, running, Cancelled("The query was cancelled."))
        return True

    def progress(self, query_id: str) -> Progress | None:
        """Kylin does not say how far it is."""
        with self._lock:
            return Progress("running") if query_id in self._running else None

    def close(self) -> None:
        """Those that run are cancelled."""
        with self._lock:
            ids = list(self._running)
        for query_id in ids:
            self.cancel(query_id)
        self._pool.shutdown(wait=True)

    def _submit(self, question: Question, statement: KylinStatement, query_id: str) -> "Future[Answer]":
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()
        running = _Running(question, statement, Event(), answer)
        with self._lock:
            self._running[query_id] = running
        self._pool.submit(self._run, query_id, running)
        return answer

    def _run(self, query_id: str, running: _Running) -> None:
        try:
            found: Answer | BaseException = self._answer(running, monotonic() + running.question.limits.timeout_seconds)
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            found = error
        self._settle(query_id, running, found)

    def _settle(self, query_id: str, running: _Running, found: Answer | BaseException) -> None:
        with self._lock:
            if self._running.pop(query_id, None) is None:
                return
        if isinstance(found, BaseException):
            running.answer.set_exception(found)
        else:
            running.answer.set_result(found)

    def _answer(self, running: _Running, deadline: float) -> Answer:
        started = monotonic()
        seen = self._fit_to_ask(running, deadline)
        told = self._told_alike(running, deadline)
        question, behind = running.question, self._is_behind(seen, running)
        result = result_of(told, question.most, monotonic() - started)
        if sum(batch.nbytes for batch in result.batches) > question.limits.result_bytes:
            raise QueryError("The answer is larger than the gateway may send.", hint="Ask for less.")
        cut = result.partial and not 0 < question.limit < question.limits.rows
        result = replace(result, partial=result.partial or behind)
        return Answer(_columns(result, running.statement), result, cut or behind, running.statement.cubes)

    def _fit_to_ask(self, running: _Running, deadline: float) -> Seen:
        """Once receivers are near enough to the end of their topics, or at once where that is only told."""
        while self._is_behind(self._watch.seen, running) and self._behind.then != ANSWER:
            if self._behind.then == REFUSE:
                raise EngineMissing(_lag(self._watch.seen, running), hint="Ask again in a moment.")
            if monotonic() > deadline:
                raise TimedOut(_lag(self._watch.seen, running), hint="Ask again later.")
            if running.ended.wait(_WAIT_SECONDS):
                raise Cancelled("The query was cancelled.")
        return self._watch.seen

    def _is_behind(self, seen: Seen, running: _Running) -> bool:
        lags = (seen.behind.get(cube, 0) for cube in running.statement.cubes)
        return any(lag is None or lag > self._behind.records for lag in lags)

    def _told_alike(self, running: _Running, deadline: float) -> Any:
        """An answer during which no segment moved: while one does, its rows are for a moment in neither place."""
        before = self._places()
        for _ in range(_MOST_TURNS):
            told = self._ask(running, deadline)
            after = self._places()
            if after == before:
                return told
            before = after
        raise EngineMissing("Kylin's segments move without end.", hint="Ask again in a moment.")

    def _places(self) -> Any:
        try:
            return self._watch.places()
        except KylinError as error:
            raise EngineMissing(f"Kylin does not answer: {error}", hint="Ask again in a moment.") from error

    def _ask(self, running: _Running, deadline: float) -> Any:
        body = {"sql": running.statement.sql, "project": self._project, "acceptPartial": False}
        left = deadline - monotonic()
        if left <= 0:
            raise _late(running.question)
        try:
            return self._rest.ask("POST", "query", body=body, timeout_seconds=left)
        except KylinError as error:
            raise _query_error(error, running.question, is_well=self._watch.look_again()) from error


class PreparedStatement:
    """A `Prepared` that holds nothing."""

    def __init__(self, submit: Callable[[], "Future[Answer]"]) -> None:
        self._submit = submit

    def start(self) -> "Future[Answer]":
        """The answer to come."""
        return self._submit()

    def close(self) -> None:
        """Nothing to let go."""


def _columns(result: Result, statement: KylinStatement) -> tuple[OutputColumn, ...]:
    return tuple(
        OutputColumn(name, from_duckdb(kind), statement.sources.get(name))
        for name, kind in zip(result.schema.names, result.types, strict=True)
    )


def _lag(seen: Seen, running: _Running) -> str:
    lags = ((cube, seen.behind.get(cube, 0)) for cube in running.statement.cubes)
    told = ", ".join(f"{cube}: {'none is read' if lag is None else f'{lag:,}'}" for cube, lag in lags)
    return f"Kylin's receivers have not read all records yet ({told})."


def _late(question: Question) -> TimedOut:
    return TimedOut(f"Query timeout after {question.limits.timeout_seconds:g} seconds.", hint="Narrow the time.")


def _query_error(error: KylinError, question: Question, *, is_well: bool) -> QueryError:
    """In Kylin's words, without the statement and the plan that it repeats."""
    if isinstance(error, KylinLate):
        return _late(question)
    words = error.words.split("\n")[0]
    if isinstance(error, KylinAbsent) and _RECEIVERS in words and is_well:
        return QueryError("Kylin's receivers cannot answer this.", hint="Their log says why; ask for it in parts.")
    if isinstance(error, KylinAbsent | KylinDenied):
        return EngineMissing(f"Kylin does not answer: {words or error}", hint="Ask again in a moment.")
    if "No realization found" in words:
        return QueryError(
            "Kylin's cube keeps no such aggregate, or its rows not by such a value.",
            hint="docs/kylin.md says what is kept: the functions that schemas/cubes declares for a column.",
        )
    return QueryError(f"Kylin does not answer this: {(words or str(error))[:_WORDS_CHARACTERS]}")
