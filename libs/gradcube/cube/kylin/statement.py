"""A statement and who asks in, the text that Kylin is sent out: guarded, over the tables that serve, with row rules."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from gradcube.cube.dialect import Kylin
from gradcube.cube.kylin.refusals import refuse_wrong_answers
from gradcube.cube.kylin.spelling import spell_for_kylin
from gradcube.cube.model import Catalog, CubeModel
from gradcube.cube.naming import CTE_PREFIX
from gradcube.cube.questions import Question, Sight
from gradcube.cube.translate import limited, output_sources, resolve
from gradcube.errors import QueryError
from gradcube.kylin.definitions import columns_held


@dataclass(frozen=True)
class KylinStatement:
    """`sql` is Kylin's. `sources`: (cube, column) behind each plain output column. `cubes`: those that it reads."""

    sql: str
    sources: Mapping[str, tuple[str, str]]
    cubes: tuple[str, ...]


def cubes_of(question: Question, catalog: Catalog) -> frozenset[str]:
    """The cubes that a statement reads, through views too. Raises QueryError."""
    try:
        return frozenset(table.name for table in _tables(resolve(question.sql, catalog, question.parameters)))
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
        spell_for_kylin(tree, catalog, now)
        refuse_wrong_answers(tree, catalog)
        read = sorted({table.name for table in _tables(tree)})
        for table in _tables(tree):
            _serve(table, catalog.cubes[table.name], tables, sight)
        text = limited(tree, question.most + 1, question.offset).sql(dialect=Kylin, comments=False)
    except RecursionError as error:
        raise _too_deep() from error
    return KylinStatement(text, sources, tuple(read))


def _tables(tree: exp.Query) -> list[exp.Table]:
    return [table for table in tree.find_all(exp.Table) if not table.name.startswith(CTE_PREFIX)]


def _serve(table: exp.Table, model: CubeModel, tables: Mapping[str, str], sight: Sight) -> None:
    """The cube's name gives way to its table, or to what of it may be seen."""
    name = tables.get(model.name)
    if name is None:
        raise QueryError(f"{model.name} is not in Kylin.", hint=f"gradcube cube deploy {model.name} --target kylin")
    columns = [(column.name, column.type.name) for column in columns_held(model)]
    whole = f'SELECT * FROM "{name}"'  # noqa: S608 - the cube's name
    seen = sight.restricted(model, columns, whole)
    if seen == whole:
        table.this.set("this", name)
        return
    inner = sqlglot.parse_one(seen, read="duckdb")
    table.replace(exp.Subquery(this=inner, alias=table.args["alias"].copy()))


def _too_deep() -> QueryError:
    return QueryError("Not Supported SQL. The statement is nested too deep.")
