"""What Kylin would answer, and wrongly: refused here with the reason and the way out, before it is asked."""

from collections.abc import Callable

from sqlglot import exp

from gradcube.cube.model import Catalog
from gradcube.cube.scopes import column_of, cube_of, sources_of
from gradcube.errors import QueryError

_CONDITIONS = (exp.Where, exp.Having, exp.Join)
_PERCENTILES = ("APPROX_QUANTILE", "QUANTILE_CONT")  # as the dialect calls them


def refuse_wrong_answers(tree: exp.Query, catalog: Catalog) -> None:
    """Of a resolved statement whose tables are still the cubes' names. Raises QueryError."""
    for node in tree.walk():
        check = _CHECKS.get(type(node))
        if check is not None:
            check(node, catalog)


def _check_filter(_: exp.Expr, __: Catalog) -> None:
    raise QueryError(
        "Kylin passes over FILTER (WHERE ...) and would count all rows.",
        hint="Ask for each condition with a WHERE of its own, and join the answers.",
    )


def _check_exists(_: exp.Expr, __: Catalog) -> None:
    raise QueryError("Kylin counts the rows of EXISTS wrongly.", hint="Use IN (SELECT ...).")


def _check_cast(node: exp.Expr, _: Catalog) -> None:
    assert isinstance(node, exp.Cast)
    text = node.to.this.name in ("VARCHAR", "CHAR", "TEXT")
    if text and not isinstance(node.this, exp.Literal) and node.find_ancestor(*_CONDITIONS):
        raise QueryError("Kylin finds no row by the text of a time or number.", hint="Compare with the value itself.")


def _check_in(node: exp.Expr, catalog: Catalog) -> None:
    _check_comparison(node, catalog)
    if node.find(exp.Query) is not None and node.find_ancestor(exp.Or, exp.Select, exp.Case) is not node.parent_select:
        raise QueryError(
            "Kylin cannot answer IN (SELECT ...) below OR.", hint="Ask for each side, and join the answers."
        )
    select = node.parent_select
    if node.args.get("query") and isinstance(node.parent, exp.Not) and select and select.find_ancestor(exp.Select):
        raise QueryError(
            "Kylin cannot answer NOT IN (SELECT ...) in a subquery.", hint="Ask for those first: NOT IN ('a', 'b')."
        )


def _check_comparison(node: exp.Expr, _: Catalog) -> None:
    for side in node.iter_expressions():
        computed = side.find(exp.Func) is not None and not isinstance(side.unnest(), exp.Cast)
        if computed and side.find(exp.Column, exp.Query, exp.AggFunc) is None:
            raise QueryError(
                f"Kylin finds no row by what is computed of constants: {side.sql()}.", hint="Write it out."
            )


def _check_column(node: exp.Expr, catalog: Catalog) -> None:
    assert isinstance(node, exp.Column)
    found = column_of(node, catalog)
    if found is None:
        return
    cube, column = found
    if column.name == cube.key:
        raise QueryError(
            f"Kylin does not keep {cube.name}'s key: there is no {column.name}.", hint="Ask by what it is of."
        )
    if column.kind == "measure" and not _is_summed(node) and not _is_passed_on(node):
        raise QueryError(
            f"{column.name} is a measure: Kylin keeps its sums, and no single value.",
            hint=f"Ask for {', '.join(f'{name}({column.name})' for name in column.functions)}.",
        )


def _is_summed(node: exp.Column) -> bool:
    above = node.parent
    while above is not None and not isinstance(above, exp.Select):
        if _is_aggregate(above):
            return True
        above = above.parent
    return False


def _is_passed_on(node: exp.Column) -> bool:
    """To a SELECT around it, which sums it up."""
    select = node.parent_select
    return isinstance(node.parent, exp.Alias) and select is not None and isinstance(select.parent, exp.Subquery)


def _check_select(node: exp.Expr, catalog: Catalog) -> None:
    assert isinstance(node, exp.Select)
    cube = next((cube for source in sources_of(node).values() if (cube := cube_of(source, catalog))), None)
    if cube is not None and node.args.get("joins"):
        raise QueryError(
            f"Kylin may count the rows of {cube.name} wrongly when they are joined.",
            hint="Sum up each side in a subquery, and join the sums.",
        )
    if cube is None or _sums_up(node) or not _gives_its_rows(node):
        return
    raise QueryError(
        f"Kylin sums the rows of {cube.name} up as they arrive: it has no single ones.",
        hint="Use GROUP BY or DISTINCT.",
    )


def _sums_up(node: exp.Select) -> bool:
    if node.args.get("group") is not None or node.args.get("distinct") is not None:
        return True
    found = (one for one in node.find_all(exp.AggFunc, exp.Anonymous) if one.parent_select is node)
    return any(_is_aggregate(one) and not isinstance(one.parent, exp.Window) for one in found)


def _is_aggregate(node: exp.Expr) -> bool:
    return isinstance(node, exp.AggFunc) or (isinstance(node, exp.Anonymous) and node.name.upper() in _PERCENTILES)


def _gives_its_rows(node: exp.Expr) -> bool:
    """Whether a row of it is one of the answer, or of something that does not sum it up."""
    above = node.parent
    while isinstance(above, exp.SetOperation | exp.Paren):
        above = above.parent
    if isinstance(above, exp.Subquery) and isinstance(above.parent, exp.In | exp.Exists):
        return False
    readers = [] if isinstance(above, exp.In | exp.Exists) else _readers(above)
    if readers is None:
        return True
    return any(not _sums_up(one) and _gives_its_rows(one) for one in readers)


def _readers(place: exp.Expr | None) -> list[exp.Select] | None:
    """The SELECTs that read a subquery or a query of a WITH; None where it is the whole statement."""
    if isinstance(place, exp.Subquery):
        return [place.parent_select] if isinstance(place.parent_select, exp.Select) else None
    if not isinstance(place, exp.CTE):
        return None
    tables = (one for one in place.root().find_all(exp.Table) if one.name == place.alias)
    return [one.parent_select for one in tables if isinstance(one.parent_select, exp.Select)]


_CHECKS: dict[type[exp.Expr], Callable[[exp.Expr, Catalog], None]] = {
    exp.Filter: _check_filter,
    exp.Exists: _check_exists,
    exp.In: _check_in,
    exp.Cast: _check_cast,
    exp.Column: _check_column,
    exp.Select: _check_select,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between), _check_comparison),
}
