"""A statement and who asks in, the text that Kylin is sent out: guarded, over the tables that serve, with row rules."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from gradcube.cube.dialect import Kylin
from gradcube.cube.kylin.refusals import refuse_wrong_answers
from gradcube.cube.kylin.spelling import spell_for_kylin
from gradcube.cube.model import Catalog
from gradcube.cube.naming import CTE_PREFIX
from gradcube.cube.questions import Question, Sight
from gradcube.cube.scopes import column_of
from gradcube.cube.translate import limited, output_sources, resolve
from gradcube.errors import QueryError


@dataclass(frozen=True)
class KylinStatement:
    """`sql` is Kylin's. `sources`: (cube, column) behind each plain output column. `cubes`: those that it reads."""

    sql: str
    sources: Mapping[str, tuple[str, str]]
    cubes: tuple[str, ...]


def cubes_of(question: Question, catalog: Catalog) -> frozenset[str]:
    """The cubes that a statement reads, through views too. Raises QueryError."""
    try:
        return frozenset(table.name for table in tables_of(resolve(question.sql, catalog, question.parameters)))
    except RecursionError as error:
        raise _too_deep() from error


def kylin_statement(
    question: Question, catalog: Catalog, tables: Mapping[str, str], sight: Sight, now: datetime.datetime
) -> KylinStatement:
    """`tables`: what the serving version of each cube is called in Kylin. One row more than may be given is asked for.

    Raises QueryError, and what `sight` raises.
    """
    try:
        tree = resolve(question.sql, catalog, question.parameters)
        sources = output_sources(tree, catalog)
        tables_read = tables_of(tree)  # a list: in sqlglot, nodes that look alike are equal
        cubes = tuple(sorted({table.name for table in tables_read}))
        _refuse_masked(tree, catalog, sight)
        for table in tables_read:
            _restrict(table, sight.rows(catalog.cubes[table.name], table.alias))
        spell_for_kylin(tree, catalog, now)
        refuse_wrong_answers(tree, catalog)
        for table in tables_read:
            _serve(table, tables)
        if question.offset or not _has_not_in(tree):
            tree = limited(tree, question.most + 1, question.offset)
        text = tree.sql(dialect=Kylin, comments=False)
    except RecursionError as error:
        raise _too_deep() from error
    return KylinStatement(text, sources, cubes)


def _has_not_in(tree: exp.Query) -> bool:
    """A LIMIT around NOT IN (SELECT ...) is handed to the receivers, some of which then end in a NullPointerException.

    Then the answer is cut when it is here.
    """
    return any(isinstance(node.this, exp.In) and node.this.args.get("query") for node in tree.find_all(exp.Not))


def tables_of(tree: exp.Expr) -> list[exp.Table]:
    """Those that read a cube, of a resolved statement or a part of one: a name of a WITH is none."""
    return [table for table in tree.find_all(exp.Table) if not table.name.startswith(CTE_PREFIX)]


def _restrict(table: exp.Table, rule: str) -> None:
    """The rows that may be seen are a condition of the SELECT that reads them.

    A subquery in the table's place would be neater, but beside another, Kylin counts its rows wrongly.
    """
    if rule != "true":
        select = table.parent_select
        assert isinstance(select, exp.Select)
        select.where(exp.paren(sqlglot.parse_one(rule, read="duckdb")), copy=False)


def _serve(table: exp.Table, tables: Mapping[str, str]) -> None:
    """The cube's name gives way to its table's."""
    if table.name not in tables:
        raise QueryError(
            f"{table.name} is not in Kylin.", hint=f"gradcube cube deploy {table.name} --target kylin"
        )  # fmt: skip
    table.this.set("this", tables[table.name])


def _refuse_masked(tree: exp.Query, catalog: Catalog, sight: Sight) -> None:
    for column in tree.find_all(exp.Column):
        found = column_of(column, catalog)
        if found is not None and found[1].name in sight.masked_columns(found[0]):
            raise QueryError(
                f"{found[1].name} is masked for you.", hint="In Kylin a masked column cannot be read at all."
            )


def _too_deep() -> QueryError:
    return QueryError("Not Supported SQL. The statement is nested too deep.")
