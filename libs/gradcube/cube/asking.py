"""A statement and who asks in, the answer out: translated, over a snapshot as he sees it, in the query pool."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gradcube.cube.guard import SCHEMA
from gradcube.cube.kylin_types import KylinType, from_duckdb
from gradcube.cube.model import Catalog, CubeModel
from gradcube.cube.sandbox.cells import rows
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import Request, Result, View
from gradcube.cube.store import Snapshot, Store
from gradcube.cube.translate import Statement, translate


class Sight(Protocol):
    """What somebody sees of the store's relations. `columns` are those of the relation: a cube's rows, or a rollup."""

    def may_read(self, model: CubeModel, columns: Sequence[str]) -> bool:
        """Whether he may read that relation at all."""
        ...

    def restricted(self, model: CubeModel, columns: Sequence[tuple[str, str]], select: str) -> str:
        """The same columns (name, DuckDB type) of the rows he may see. Raises Forbidden when it is none."""
        ...


class SeesAll:
    """Of somebody from whom nothing is hidden."""

    def may_read(self, model: CubeModel, columns: Sequence[str]) -> bool:
        """Yes."""
        del model, columns
        return True

    def restricted(self, model: CubeModel, columns: Sequence[tuple[str, str]], select: str) -> str:
        """As it is."""
        del model, columns
        return select


@dataclass(frozen=True)
class Limits:
    """What one statement may take."""

    rows: int = 50_000
    result_bytes: int = 64 * 2**20
    timeout_seconds: float = 30.0


@dataclass(frozen=True)
class Question:
    """One SELECT in Kylin's SQL. `limit` rows from `offset`, 0 for as many as `limits` allow."""

    sql: str
    limit: int = 0
    offset: int = 0
    parameters: Sequence[Mapping[str, Any]] = ()
    limits: Limits = Limits()

    @property
    def most(self) -> int:
        """Rows of the answer at most."""
        return min(self.limit, self.limits.rows) if self.limit > 0 else self.limits.rows


@dataclass(frozen=True)
class OutputColumn:
    """`source` is (cube, column) when it shows a cube's column unchanged."""

    name: str
    type: KylinType
    source: tuple[str, str] | None


@dataclass(frozen=True)
class Answer:
    """`partial`: the server's row limit cut it. `relations` were read."""

    columns: tuple[OutputColumn, ...]
    result: Result
    partial: bool
    relations: tuple[str, ...]

    @property
    def rows(self) -> list[list[str | None]]:
        """Every cell as Kylin's JSON carries it. Costs about a microsecond a cell each time."""
        return rows(self.result.batches)


class Prepared:
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

    def prepare(self, question: Question, sight: Sight, query_id: str) -> Prepared:
        """`query_id` names it to the pool. Raises QueryError, and what `sight` raises."""
        snapshot = self._store.snapshot()
        try:
            statement = self._translate(question, snapshot, sight)
            views = tuple(self._view(name, snapshot, sight) for name in statement.relations)
        except BaseException:
            snapshot.close()
            raise
        limits = question.limits
        request = Request(
            statement.sql, views, question.most, limits.result_bytes, limits.timeout_seconds, query_id
        )  # fmt: skip
        return Prepared(request, lambda result: _answer(result, statement, question), snapshot, self._pool)

    def submit(self, question: Question, sight: Sight, query_id: str) -> "Future[Answer]":
        """The answer to come. Raises QueryError, Busy when the line is full, and what `sight` raises."""
        return self.prepare(question, sight, query_id).start()

    def _translate(self, question: Question, snapshot: Snapshot, sight: Sight) -> Statement:
        return translate(
            question.sql, self._seen(snapshot, sight), schema=SCHEMA, offset=question.offset,
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

    def _view(self, relation: str, snapshot: Snapshot, sight: Sight) -> View:
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
