"""A statement over the cubes of both engines in, what Kylin is asked of it and what is left of it out.

Kylin answers the largest queries within it that read its cubes alone; in the rest, each is a relation of that name.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gradcube.cube.dialect import Kylin
from gradcube.cube.kylin.statement import tables_of
from gradcube.cube.model import Catalog
from gradcube.cube.naming import CTE_PREFIX
from gradcube.cube.questions import Question
from gradcube.cube.translate import resolve
from gradcube.errors import QueryError


@dataclass(frozen=True)
class Parts:
    """`asked`: of Kylin, by the name of the relation that its answer is in `rest`, as `rest` is told its columns."""

    tree: exp.Query
    asked: Mapping[str, Question]
    question: Question

    def rest(self, columns: Mapping[str, Sequence[str]]) -> Question:
        """What the other engine is asked, over relations of these columns. Its values are bound already."""
        tree = self.tree.copy()
        for table in list(tree.find_all(exp.Table)):
            if table.name in columns:
                table.replace(_reading(table.name, columns[table.name]))
        return replace(self.question, sql=tree.sql(dialect=Kylin, comments=False), parameters=())


def parts_of(question: Question, catalog: Catalog, held: Collection[str]) -> Parts:
    """`held`: the cubes in Kylin. Raises QueryError where a row of theirs meets one of another cube by itself."""
    tree = resolve(question.sql, catalog, question.parameters)
    asked: dict[str, Question] = {}
    for query in _largest(tree, frozenset(held)):
        name = f"KYLIN_PART_{len(asked) + 1}"
        text = query.sql(dialect=Kylin, comments=False)
        asked[name] = Question(text, limits=question.limits)
        query.replace(exp.Table(this=exp.to_identifier(name, quoted=True)))
    if left := {table.name for table in tables_of(tree)} & frozenset(held):
        raise QueryError(
            f"{min(left)} is in Kylin, which keeps sums of its rows, and is joined with a cube that is not.",
            hint=f"Sum {min(left)} up in a subquery, and join that.",
        )
    return Parts(tree, asked, question)


def _largest(node: exp.Expr, held: frozenset[str]) -> list[exp.Query]:
    """From the outside in, so that no part is within another."""
    if isinstance(node, exp.Select | exp.SetOperation) and _is_of(node, held):
        return [node]
    return [found for inner in node.iter_expressions() for found in _largest(inner, held)]


def _is_of(query: exp.Query, held: frozenset[str]) -> bool:
    tables = tables_of(query)
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    needed = {table.name for table in query.find_all(exp.Table) if table.name.startswith(CTE_PREFIX)}
    return bool(tables) and {table.name for table in tables} <= held and needed <= own


def _reading(name: str, columns: Sequence[str]) -> exp.Select:
    quoted = [exp.to_identifier(column, quoted=True) for column in columns]
    outputs = [exp.Alias(this=exp.Column(this=column), alias=column.copy()) for column in quoted]
    return exp.Select(expressions=outputs).from_(exp.Table(this=exp.to_identifier(name, quoted=True)), copy=False)
