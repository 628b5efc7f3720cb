"""Whole numbers as Kylin counts them: their sums and means are BIGINT, and a quotient of two is whole.

DuckDB's sum of them is a HUGEINT, its mean a DOUBLE. Both cut towards zero.
"""

from sqlglot import exp

from gradcube.cube.model import Catalog
from gradcube.cube.scopes import WholeNumbers


def count_as_kylin(tree: exp.Query, catalog: Catalog) -> None:
    """Changes the tree in place, after `name_as_kylin`."""
    whole = WholeNumbers(catalog)
    found = [node for node in tree.find_all(exp.Sum, exp.Avg, exp.Div) if whole.has(node.this) and _fits(node, whole)]
    for node in reversed(found):  # inner ones first, so that no copy of an outer one goes stale
        if isinstance(node, exp.Div):
            node.replace(exp.IntDiv(this=node.this.copy(), expression=node.expression.copy()))
        else:
            value = _with_its_clauses(node)
            value.replace(as_bigint(truncated(value.copy()) if isinstance(node, exp.Avg) else value.copy()))


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
