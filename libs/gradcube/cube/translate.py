"""A statement in Kylin's SQL in, DuckDB's text over the store's relations out: names, views, rollups, limits, types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from gradcube.cube.dialect import rewrite
from gradcube.cube.guard import parse
from gradcube.cube.model import Catalog
from gradcube.cube.naming import CTE_PREFIX, name_as_kylin, outermost
from gradcube.cube.parameters import bind
from gradcube.cube.rollups import route
from gradcube.cube.scopes import column_of, cube_of, sources_of
from gradcube.cube.views import expand_views
from gradcube.cube.whole_numbers import count_as_kylin
from gradcube.errors import QueryError

MAX_ROUTED_DEPTH = 300
"""A statement that is nested deeper reads raw rows, and its sums keep the engine's types."""


@dataclass(frozen=True)
class Statement:
    """`sql` is DuckDB's. `sources`: (cube, column) behind each plain output column. `relations`: the names of the
    store's relations that it reads, without their schema, which it needs as views.
    """

    sql: str
    sources: Mapping[str, tuple[str, str]]
    relations: tuple[str, ...]


def translate(
    sql: str,
    catalog: Catalog,
    *,
    limit: int,
    offset: int = 0,
    parameters: Sequence[Mapping[str, Any]] = (),
    schema: str | None = None,
) -> Statement:
    """Guards and translates one statement. `limit` rows, unless the statement has a limit of its own.

    `parameters` are JDBC's, className and value for each `?`; relations are looked for in `schema`. A rollup that is
    not to be read, as by somebody whose rows it cannot tell apart, is left out of the catalog. Raises QueryError.
    """
    try:
        return _finish(resolve(sql, catalog, parameters), catalog, limit, offset, schema)
    except RecursionError as error:
        raise QueryError("Not Supported SQL. The statement is nested too deep.") from error


def resolve(sql: str, catalog: Catalog, parameters: Sequence[Mapping[str, Any]]) -> exp.Query:
    """The checked statement, still in Kylin's terms: values bound, names as Kylin takes them, views written out."""
    tree = parse(sql, catalog.names)
    bind(tree, parameters)
    name_as_kylin(tree)
    expand_views(tree, catalog)
    return tree


def _finish(tree: exp.Query, catalog: Catalog, limit: int, offset: int, schema: str | None) -> Statement:
    sources = output_sources(tree, catalog)
    if _is_shallow(tree):
        route(tree, catalog)
    relations = _relations(tree, schema)
    if _is_shallow(tree):
        count_as_kylin(tree, catalog)
    whole = rewrite(tree)
    assert isinstance(whole, exp.Query)
    return Statement(limited(whole, limit, offset).sql(dialect="duckdb", comments=False), sources, relations)


def _is_shallow(tree: exp.Expr) -> bool:
    """Both look upwards from each node: of a chain of thousands that would take seconds."""
    level = [tree]
    for _ in range(MAX_ROUTED_DEPTH):
        level = [inner for node in level for inner in node.iter_expressions()]
    return not level


def limited(tree: exp.Query, limit: int, offset: int) -> exp.Query:
    """At most `limit` rows from `offset`, unless the statement says so itself."""
    if not (tree.args.get("limit") or tree.args.get("fetch")):
        tree = tree.limit(limit, copy=False)
    if offset and not tree.args.get("offset"):
        tree = tree.offset(offset, copy=False)
    return tree


def _relations(tree: exp.Query, schema: str | None) -> tuple[str, ...]:
    names = set()
    for table in tree.find_all(exp.Table):
        if not table.name.startswith(CTE_PREFIX):
            names.add(table.name)
            table.set("db", None if schema is None else exp.to_identifier(schema, quoted=True))
    return tuple(sorted(names))


def output_sources(tree: exp.Query, catalog: Catalog) -> dict[str, tuple[str, str]]:
    """(cube, column) behind each plain output column of a resolved statement."""
    select = outermost(tree)
    found: dict[str, tuple[str, str]] = {}
    for output in select.expressions:
        if output.is_star:
            found |= _all_columns(select, output, catalog)
        elif isinstance(output.this, exp.Column) and (source := column_of(output.this, catalog)):
            cube, column = source
            found[output.alias] = (cube.name, column.name)
    return found


def _all_columns(select: exp.Select, star: exp.Expr, catalog: Catalog) -> dict[str, tuple[str, str]]:
    wanted = star.table if isinstance(star, exp.Column) else ""
    cubes = [cube_of(source, catalog) for alias, source in sources_of(select).items() if wanted in ("", alias)]
    if len(cubes) != 1 or cubes[0] is None:  # of several, equal names are told apart by the engine
        return {}
    return {column.name: (cubes[0].name, column.name) for column in cubes[0].columns}
