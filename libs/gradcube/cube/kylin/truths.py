"""Conditions without what Kylin 3.1.3 gets wrong in their logic: constants, and a NOT over several.

Of `NOT FALSE AND x` it finds no row at all; beside a CASE it loses rows of `NOT (a OR b)`, and of NOT IN.
"""

from sqlglot import exp

_OPPOSITES: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.NEQ, exp.NEQ: exp.EQ, exp.LT: exp.GTE, exp.GTE: exp.LT, exp.GT: exp.LTE, exp.LTE: exp.GT,
}  # fmt: skip


def push_nots_down(tree: exp.Query) -> None:
    """Changes the tree in place: a NOT stands before what has no opposite of its own, such as LIKE or IS NULL.

    Tables stay the same nodes.
    """
    for node in reversed(list(tree.find_all(exp.Not))):  # inner ones first
        node.replace(_opposite(node.this))


def _opposite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Paren):
        return _opposite(node.this)
    if isinstance(node, exp.Not):
        return exp.paren(node.this, copy=False)
    if isinstance(node, exp.And | exp.Or):
        sides = [_opposite(one) for one in (node.this, node.expression)]
        return _several(exp.Or if isinstance(node, exp.And) else exp.And, sides)
    if isinstance(node, exp.In) and node.expressions:
        return _several(exp.And, [exp.NEQ(this=node.this.copy(), expression=one) for one in node.expressions])
    kind = _OPPOSITES.get(type(node))
    if kind is None:
        return exp.Not(this=node)
    return kind(this=node.this, expression=node.expression)


def _several(kind: type[exp.Expr], conditions: list[exp.Expr]) -> exp.Expr:
    joined, *others = conditions
    for one in others:
        joined = kind(this=joined, expression=one)
    return exp.Paren(this=joined) if others else joined


def fold_truths(tree: exp.Query) -> None:
    """Changes the tree in place. A WHERE that is TRUE goes; one that is FALSE stays, and is answered rightly."""
    for node in reversed(list(tree.find_all(exp.Paren, exp.Not, exp.And, exp.Or))):  # inner ones first
        folded = _folded(node)
        if folded is not node:
            node.replace(folded)
    for clause in list(tree.find_all(exp.Where, exp.Having)):
        if _is(clause.this, True):
            clause.pop()


def _folded(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Paren):
        return node.this if isinstance(node.this, exp.Boolean) else node
    if isinstance(node, exp.Not):
        return exp.Boolean(this=not node.this.this) if isinstance(node.this, exp.Boolean) else node
    decides = isinstance(node, exp.Or)  # TRUE decides an OR, FALSE an AND
    for side, other in ((node.this, node.expression), (node.expression, node.this)):
        if isinstance(side, exp.Boolean):
            return side if _is(side, decides) else other
    return node


def _is(node: exp.Expr | None, value: bool) -> bool:
    return isinstance(node, exp.Boolean) and bool(node.this) is value
