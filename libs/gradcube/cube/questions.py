"""A question and who asks in, an answer out: what every engine is asked with, and what it gives."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from gradcube.cube.kylin_types import KylinType
from gradcube.cube.model import CubeModel
from gradcube.cube.sandbox.cells import rows
from gradcube.cube.sandbox.request import Progress, Result


class Sight(Protocol):
    """What somebody sees of the store's relations. `columns` are those of the relation: a cube's rows, or a rollup."""

    def may_read(self, model: CubeModel, columns: Sequence[str]) -> bool:
        """Whether he may read that relation at all."""
        ...

    def restricted(self, model: CubeModel, columns: Sequence[tuple[str, str]], select: str) -> str:
        """The same columns (name, DuckDB type) of the rows he may see. Raises Forbidden when it is none."""
        ...

    def rows(self, model: CubeModel, alias: str) -> str:
        """The condition that the cube's rows under that (trusted) alias must meet, in standard SQL; "true" for all.

        Raises Forbidden as `restricted` does.
        """
        ...

    def masked_columns(self, model: CubeModel) -> frozenset[str]:
        """The columns that he does not see."""
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

    def rows(self, model: CubeModel, alias: str) -> str:
        """All."""
        del model, alias
        return "true"

    def masked_columns(self, model: CubeModel) -> frozenset[str]:
        """None."""
        del model
        return frozenset()


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


class Prepared(Protocol):
    """A statement that was translated: `start` it, or `close` it."""

    def start(self) -> "Future[Answer]":
        """The answer to come. Raises Busy when the line is full."""
        ...

    def close(self) -> None:
        """It will not be started; what it held may go."""
        ...


class Engine(Protocol):
    """What answers statements. Any thread may ask."""

    def prepare(self, question: Question, sight: Sight, query_id: str) -> Prepared:
        """`query_id` names it to `cancel` and `progress`. Raises QueryError, and what `sight` raises."""
        ...

    def cancel(self, query_id: str) -> bool:
        """Ends a waiting or running query, whose caller gets Cancelled. False when there is none of that id."""
        ...

    def progress(self, query_id: str) -> Progress | None:
        """How far it is; None when no query of that id waits or runs."""
        ...
