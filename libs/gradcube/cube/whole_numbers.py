"""Whole numbers as Kylin counts them: their sums and means are BIGINT, a quotient of two is whole, a CAST cuts.

DuckDB's sum of them is a HUGEINT, its mean a DOUBLE, and its CAST of a fraction rounds.
"""

from sqlglot import exp

from gradcube.cube.model import Catalog
from gradcube.cube.scopes import WholeNumbers

_TYPES = ("INT", "BIGINT", "SMALLINT", "TINYINT")
_NUMBERS = (exp.Div, exp.Mul, exp.Sum, exp.Avg, exp.Round, exp.Sqrt, exp.Exp, exp.Ln, exp.Log, exp.Pow, exp.Neg)


def count_as_kylin(tree: exp.Query, catalog: Catalog) -> None:
    """Changes the tree in place, after `name_as_kylin`."""
    whole = WholeNumbers(catalog)
    for cast in reversed(list(tree.find_all(exp.Cast))):
        if cast.to.this.name in _TYPES and _is_number(cast.this) and not whole.has(cast.this):
            cast.set("this", truncated(cast.this.copy()))
    whole = WholeNumbers(catalog)  # it knows the tree as it was
    found = [node for node in tree.find_all(exp.Sum, exp.Avg, exp.Div) if whole.has(node.this) and _fits(node, whole)]
    for node in reversed(found):  # inner ones first, so that no copy of an outer one goes stale
        if isinstance(node, exp.Div):
            node.replace(exp.IntDiv(this=node.this.copy(), expression=node.expression.copy()))
        else:
            value = _with_its_clauses(node)
            value.replace(as_bigint(truncated(value.copy()) if isinstance(node, exp.Avg) else value.copy()))


def _is_number(node: exp.Expr) -> bool:
    """Which may have a fraction. A time is none, nor is a text, of which DuckDB takes no fraction either."""
    node = node.unnest()
    if isinstance(node, exp.Literal):
        return not node.is_string
    return _is_number(node.this) if isinstance(node, exp.Min | exp.Max) else isinstance(node, _NUMBERS)


def _fits(node: exp.Expr, whole: WholeNumbers) -> bool:
    return not isinstance(node, exp.Div) or whole.has(node.expression)


def _with_its_clauses(node: exp.Expr) -> exp.Expr:
    """The call together with its FILTER and OVER."""
    while isinstance(node.parent, exp.Filter | exp.Window) and node.parent.this is node:
        node = node.parent
    return node


def truncated(node: exp.Expr) -> exp.Expr:
    """Without its fraction."""
    return exp.Anonymous(this="TRUNC", expressions=[node])


def as_bigint(node: exp.Expr) -> exp.Expr:
    """As BIGINT."""
    return exp.Cast(this=node, to=exp.DataType.build("bigint"))
