"""Whether Kylin's engine, too, could answer every view: checked before anything is deployed, not when somebody asks."""

from pathlib import Path

from sqlglot import exp

from gradcube.cube.declarations.catalog import VIEWS_FILE
from gradcube.cube.model import Catalog, Column, DeclaredView
from gradcube.cube.scopes import column_of, cube_of, sources_of
from gradcube.cube.translate import translate
from gradcube.cube.views import parsed
from gradcube.errors import ConfigError, QueryError

_FUNCTIONS: dict[type[exp.Expr], str] = {exp.Sum: "sum", exp.Min: "min", exp.Max: "max", exp.Avg: "sum"}


def check_views(catalog: Catalog, directory: Path) -> None:
    """Raises ConfigError that names the view: for SQL that is refused, and for what only the embedded engine can do."""
    for view in catalog.views.values():
        where = f"{directory / VIEWS_FILE}: view {view.name}"
        try:
            translate(f'SELECT * FROM "{view.name}"', catalog, limit=1)  # noqa: S608 - a checked name
        except QueryError as error:
            raise ConfigError(f"{where}: {error}") from error
        if problem := _problem(view, catalog):
            raise ConfigError(f"{where}: {problem}")


def _problem(view: DeclaredView, catalog: Catalog) -> str | None:
    for select in parsed(view, catalog.names).find_all(exp.Select):
        if not any(cube_of(source, catalog) for source in sources_of(select).values()):
            continue
        calls = [_call(node, catalog) for node in select.find_all(exp.AggFunc)]
        columns = [_bare(node, catalog) for node in select.find_all(exp.Column)]
        if problem := next(filter(None, calls + columns), None):
            return problem
    return None


def _call(call: exp.AggFunc, catalog: Catalog) -> str | None:
    value = call.this
    if isinstance(call, exp.Count):
        distinct = value.expressions if isinstance(value, exp.Distinct) else []
        plain = isinstance(value, exp.Star) or all(_declared(one, catalog, "dimension", "derived") for one in distinct)
        return None if plain else f"{call.sql()} must be count(*), or count(distinct ...) of dimensions"
    column = _declared(value, catalog)
    if column is None:
        return f"{call.sql()} is over an expression; Kylin sums up declared columns only"
    if (wanted := _FUNCTIONS.get(type(call))) not in column.functions:
        return f"{call.sql()} is not declared; add {wanted or 'it'} to the functions of {column.name}"
    return None


def _declared(node: exp.Expr, catalog: Catalog, *kinds: str) -> Column | None:
    found = column_of(node, catalog) if isinstance(node, exp.Column) else None
    return found[1] if found and (not kinds or found[1].kind in kinds) else None


def _bare(node: exp.Column, catalog: Catalog) -> str | None:
    """A measure outside of a call: Kylin has none row by row."""
    column = _declared(node, catalog, "measure", "time")
    if column is None or node.find_ancestor(exp.AggFunc) is not None:
        return None
    return f"{column.name} stands outside of an aggregate; Kylin filters and groups by dimensions and derived times"
