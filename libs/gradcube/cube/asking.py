"""The embedded engine: a translated statement over a snapshot as its asker sees it, in the query pool."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from gradcube.cube.given import Given
from gradcube.cube.guard import SCHEMA
from gradcube.cube.kylin_types import from_duckdb
from gradcube.cube.model import Catalog
from gradcube.cube.questions import Answer, OutputColumn, Question, Sight
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import Progress, Request, Result, View
from gradcube.cube.store import Snapshot, Store
from gradcube.cube.translate import Statement, translate


class PreparedQuery:
    """A statement that was translated: `start` it, or `close` it. What was committed before is what it sees."""

    def __init__(
        self, request: Request, finish: Callable[[Result], Answer], snapshot: Snapshot, pool: QueryPool
    ) -> None:
        self._request, self._finish, self._snapshot, self._pool = request, finish, snapshot, pool

    def start(self) -> "Future[Answer]":
        """The answer to come. Raises Busy when the pool's line is full."""
        try:
            future = self._pool.submit(self._request)
        except BaseException:
            self.close()
            raise
        future.add_done_callback(lambda _: self.close())
        return _then(future, self._finish)

    def close(self) -> None:
        """Its files may go now."""
        self._snapshot.close()


class Asking:
    """Over a store and a pool that others open and close. Any thread may ask."""

    def __init__(self, catalog: Catalog, store: Store, pool: QueryPool) -> None:
        self._catalog, self._store, self._pool = catalog, store, pool

    def prepare(
        self, question: Question, sight: Sight, query_id: str, given: Sequence[Given] = ()
    ) -> PreparedQuery:  # fmt: skip
        """`query_id` names it to the pool. What is `given` he sees whole. Raises as an engine does."""
        snapshot = self._store.snapshot()
        beside = {one.model.name: one for one in given}
        try:
            statement = self._translate(question, snapshot, sight, beside)
            views = tuple(self._view(name, snapshot, sight, beside) for name in statement.relations)
        except BaseException:
            snapshot.close()
            raise
        limits = question.limits
        request = Request(
            statement.sql, views, question.most, limits.result_bytes, limits.timeout_seconds, query_id
        )  # fmt: skip
        return PreparedQuery(request, lambda result: _answer(result, statement, question), snapshot, self._pool)

    def submit(self, question: Question, sight: Sight, query_id: str) -> "Future[Answer]":
        """The answer to come. Raises QueryError, Busy when the line is full, and what `sight` raises."""
        return self.prepare(question, sight, query_id).start()

    def cancel(self, query_id: str) -> bool:
        """As the pool's."""
        return self._pool.cancel(query_id)

    def progress(self, query_id: str) -> Progress | None:
        """As the pool's."""
        return self._pool.progress(query_id)

    def _translate(
        self, question: Question, snapshot: Snapshot, sight: Sight, beside: Mapping[str, Given]
    ) -> Statement:
        seen = self._seen(snapshot, sight)
        catalog = replace(seen, cubes={**seen.cubes, **{name: one.model for name, one in beside.items()}})
        return translate(
            question.sql, catalog, schema=SCHEMA, offset=question.offset,
            parameters=question.parameters,
            limit=question.most + 1,  # one row more than may be given tells whether the limit cut the answer
        )  # fmt: skip

    def _seen(self, snapshot: Snapshot, sight: Sight) -> Catalog:
        """Without the rollups that this snapshot does not have yet, or that he may not read."""
        known = frozenset(snapshot.relations())
        cubes = {}
        for name, model in self._catalog.cubes.items():
            names = ((rollup, model.relation(rollup)) for rollup in model.rollups)
            fit = (
                rollup
                for rollup, relation in names
                if relation in known and sight.may_read(model, [column for column, _ in snapshot.columns(relation)])
            )
            cubes[name] = replace(model, rollups=tuple(fit))
        return replace(self._catalog, cubes=cubes)

    def _view(self, relation: str, snapshot: Snapshot, sight: Sight, beside: Mapping[str, Given]) -> View:
        if (found := beside.get(relation)) is not None:
            return View(relation, found.select)
        model = self._catalog.cubes[relation.partition("__")[0]]
        return View(relation, sight.restricted(model, snapshot.columns(relation), snapshot.select(relation)))


def _answer(result: Result, statement: Statement, question: Question) -> Answer:
    columns = tuple(
        OutputColumn(name, from_duckdb(kind), statement.sources.get(name))
        for name, kind in zip(result.schema.names, result.types, strict=True)
    )
    partial = result.partial and not 0 < question.limit < question.limits.rows
    return Answer(columns, result, partial, statement.relations)


def _then(future: "Future[Result]", change: Callable[[Result], Answer]) -> "Future[Answer]":
    changed: Future[Answer] = Future()
    changed.set_running_or_notify_cancel()  # a query is cancelled through the pool only

    def settle(done: "Future[Result]") -> None:
        try:
            answer = change(done.result())
        except BaseException as error:  # noqa: BLE001 - also a cancelled future's: whoever waits must hear of it
            changed.set_exception(error)
        else:
            changed.set_result(answer)

    future.add_done_callback(settle)
    return changed
