"""Views written into the statement that names them, as subqueries: so every engine has them."""

from functools import lru_cache

from sqlglot import exp

from gradcube.cube.guard import parse
from gradcube.cube.model import Catalog, DeclaredView
from gradcube.cube.naming import name_as_kylin
from gradcube.errors import QueryError

MAX_DEPTH = 4
"""Views in views; a view that names itself would have no end."""


def expand_views(tree: exp.Query, catalog: Catalog, depth: int = 0) -> None:
    """Changes the tree in place, after `name_as_kylin`. Raises QueryError for views that are nested too deep."""
    for table in list(tree.find_all(exp.Table)):
        view = catalog.views.get(table.name)
        if view is None:
            continue
        if depth == MAX_DEPTH:
            raise QueryError(f"View {view.name} is nested more than {MAX_DEPTH} deep, or names itself.")
        inner = parsed(view, catalog.names).copy()
        expand_views(inner, catalog, depth + 1)
        table.replace(exp.Subquery(this=inner, alias=table.args["alias"].copy()))


@lru_cache(maxsize=256)
def parsed(view: DeclaredView, names: tuple[str, ...]) -> exp.Query:
    """The view's statement with its names as Kylin takes them; copy it before you change it."""
    tree = parse(view.sql, names)
    name_as_kylin(tree)
    return tree
