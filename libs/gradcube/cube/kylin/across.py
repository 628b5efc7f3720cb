"""A statement over the cubes of both engines: its parts are asked of Kylin, then the rest of the embedded engine."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from time import monotonic
from typing import Protocol

from gradcube.cube.given import Given, given
from gradcube.cube.kylin.parts import Parts
from gradcube.cube.questions import Answer, Engine, OutputColumn, Prepared, Question, Sight
from gradcube.errors import QueryError


class TakesGiven(Engine, Protocol):
    """An engine that reads what it is given beside its own relations."""

    def prepare(
        self, question: Question, sight: Sight, query_id: str, given: Sequence[Given] = ()
    ) -> Prepared:  # fmt: skip
        """As an engine's."""
        ...


class PreparedAcross:
    """Of `parts`, each of which Kylin took."""

    def __init__(
        self, parts: Parts, prepared: Sequence[Prepared], rest: TakesGiven, sight: Sight, query_id: str,
        pool: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self._parts, self._prepared, self._rest, self._pool = parts, prepared, rest, pool
        self._sight, self._query_id = sight, query_id

    def start(self) -> "Future[Answer]":
        """The answer to come."""
        return self._pool.submit(self._answer)

    def close(self) -> None:
        """Nothing is held before it starts."""
        for one in self._prepared:
            one.close()

    def _answer(self) -> Answer:
        """One part after the other: each is cancelled under the statement's own id."""
        limits, started = self._parts.question.limits, monotonic()
        found = {name: one.start().result() for name, one in zip(self._parts.asked, self._prepared, strict=True)}
        for answer in found.values():
            _check_whole(answer, self._parts.question)
        columns = {name: [column.name for column in answer.columns] for name, answer in found.items()}
        relations = [given(name, answer) for name, answer in found.items()]
        left = replace(limits, timeout_seconds=max(0.0, limits.timeout_seconds - (monotonic() - started)))
        question = replace(self._parts.rest(columns), limits=left)
        rest = self._rest.prepare(question, self._sight, self._query_id, relations).start().result()
        return _joined(rest, found)


def _check_whole(answer: Answer, question: Question) -> None:
    if answer.partial and answer.result.rows >= question.limits.rows:
        raise QueryError(
            f"What is asked of Kylin for this has more than {question.limits.rows:,} rows.",
            hint="Sum it up further, or narrow its WHERE.",
        )


def _joined(rest: Answer, parts: dict[str, Answer]) -> Answer:
    """As one answer: columns are of the cubes that they come from, and it is partial when a part was."""
    sources = {
        (name, column.name): column.source for name, answer in parts.items() for column in answer.columns
    }  # fmt: skip
    columns = tuple(_from(column, sources) for column in rest.columns)
    behind = any(answer.partial for answer in parts.values())
    read = {name for answer in parts.values() for name in answer.relations} | set(rest.relations)
    result = replace(rest.result, partial=rest.result.partial or behind)
    return Answer(columns, result, rest.partial or behind, tuple(sorted(read - parts.keys())))


def _from(column: OutputColumn, sources: dict[tuple[str, str], tuple[str, str] | None]) -> OutputColumn:
    if column.source is None or column.source not in sources:
        return column
    return replace(column, source=sources[column.source])
