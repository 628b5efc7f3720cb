"""Times and whole numbers in conditions, so that Kylin 3.1.3 finds the rows that it should.

It finds none by a DATE beside a timestamp, brings a constant down to the unit of a derived column (of
`HOUR_START < 12:56` it leaves out the hour of 12:00), compares whole numbers as texts (9 > 10), and of an OR of what a
receiver can decide and what it cannot, it forgets a part.
"""

import datetime

from sqlglot import exp

from gradcube.cube.kylin.truths import fold_truths, push_nots_down
from gradcube.cube.model import DERIVED_UNITS, Catalog
from gradcube.cube.scopes import column_of, cube_of, origin_of, sources_of

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Is)
_BEHIND: dict[type[exp.Expr], type[exp.Expr]] = {exp.LT: exp.LTE, exp.GTE: exp.GT}
"""With the constant at the beginning of its unit: the column's values are beginnings, too."""
_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.LT: exp.GT, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.GTE: exp.LTE,
}  # fmt: skip
_EPOCH = datetime.datetime(1970, 1, 1)
_UNITS = {
    "minute": datetime.timedelta(minutes=1), "hour": datetime.timedelta(hours=1), "day": datetime.timedelta(days=1),
}  # fmt: skip


def spell_comparisons(tree: exp.Query, catalog: Catalog) -> None:
    """Changes the tree in place."""
    for date in reversed(list(tree.find_all(exp.Cast))):
        if date.to.this.name == "DATE" and _is_compared(date):
            date.replace(_as_timestamp(date))
    push_nots_down(tree)
    for node in list(tree.find_all(*_MIRRORED)):
        _align(node, catalog)
    for equal in list(tree.find_all(exp.EQ, exp.NEQ)):
        _decide(equal, catalog)
    for null in list(tree.find_all(exp.Is)):
        _decide_null(null, catalog)
    for several in list(tree.find_all(exp.In)):
        _keep_beginnings(several, catalog)
    for between in list(tree.find_all(exp.Between)):
        unit = _unit(between.this, catalog)
        for name, up in (("low", True), ("high", False)):
            moment = constant_time(between.args[name])
            if unit is not None and moment is not None:
                between.set(name, timestamp(_beginning(moment, unit, up=up)))
    fold_truths(tree)
    for where in list(tree.find_all(exp.Where)):
        _never(where, catalog)
        _shield(where, catalog)


def constant_time(node: exp.Expr) -> datetime.datetime | None:
    """The moment that a literal of a time or date is."""
    node = node.unnest()
    while isinstance(node, exp.Cast) and node.to.this.name in ("TIMESTAMP", "DATE"):
        node = node.this
    if not (isinstance(node, exp.Literal) and node.is_string):
        return None
    try:
        return datetime.datetime.fromisoformat(node.name)
    except ValueError:
        return None


def timestamp(moment: datetime.datetime) -> exp.Expr:
    """The literal of it, to the second."""
    return cast(exp.Literal.string(moment.replace(microsecond=0, tzinfo=None).isoformat(" ")), "TIMESTAMP")


def cast(node: exp.Expr, kind: str) -> exp.Expr:
    """CAST(node AS kind)."""
    return exp.Cast(this=node, to=exp.DataType.build(kind))


def _is_compared(node: exp.Expr) -> bool:
    above = node.parent
    while isinstance(above, exp.Paren | exp.Tuple):
        above = above.parent
    return isinstance(above, _COMPARISONS)


def _as_timestamp(node: exp.Cast) -> exp.Expr:
    moment = constant_time(node.this)
    if moment is not None:
        return timestamp(moment.replace(hour=0, minute=0, second=0, microsecond=0))
    return exp.Floor(this=node.this.copy(), to=exp.Var(this="DAY"))


def _shield(where: exp.Where, catalog: Catalog) -> None:
    """Each condition that Kylin would get wrong becomes a CASE, which it decides above the receivers, with types."""
    conditions = [where.this]
    while conditions:
        condition = conditions.pop()
        if isinstance(condition, exp.And | exp.Paren) and isinstance(condition.unnest(), exp.And):
            conditions += list(condition.unnest().iter_expressions())
        elif _goes_wrong(condition, catalog):
            decided = exp.Case(
                ifs=[exp.If(this=condition.copy(), true=exp.Literal.number(1))], default=exp.Literal.number(0)
            )
            condition.replace(exp.EQ(this=decided, expression=exp.Literal.number(1)))


def _goes_wrong(condition: exp.Expr, catalog: Catalog) -> bool:
    if condition.find(exp.Query) is not None:  # IN and EXISTS become joins
        return False
    if any(_compares_texts(one, catalog) for one in condition.find_all(*_COMPARISONS)):
        return True
    negated = condition.find(exp.Or, exp.Not) is not None
    return any(_is_not_like(one) or (negated and _is_computed(one)) for one in condition.walk())


def _is_not_like(node: exp.Expr) -> bool:
    return isinstance(node, exp.Like) and bool(node.args.get("negate"))


def _is_computed(node: exp.Expr) -> bool:
    if isinstance(node, exp.Connector) or (isinstance(node, exp.Cast) and constant_time(node) is not None):
        return False
    kinds = exp.Func | exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod | exp.DPipe | exp.Like | exp.SimilarTo
    return isinstance(node, kinds)


def _compares_texts(node: exp.Expr, catalog: Catalog) -> bool:
    """Whole numbers that are put in order, or beside what is no whole number."""
    sides = [side.unnest() for side in node.iter_expressions()]
    columns = [side for side in sides if isinstance(side, exp.Column) and _is_whole(side, catalog)]
    plain = isinstance(node, exp.Is) or (
        isinstance(node, exp.EQ | exp.NEQ | exp.In) and all(one.is_int for one in sides if one not in columns)
    )
    return bool(columns) and not plain


def _is_whole(node: exp.Column, catalog: Catalog) -> bool:
    found = origin_of(node, catalog)
    return found is not None and found[1].kind == "dimension" and found[1].type.name in ("INTEGER", "BIGINT")


def _align(node: exp.Expr, catalog: Catalog) -> None:
    kind = type(node)
    column, constant = node.this, node.expression
    if constant_time(constant) is None:
        column, constant, kind = constant, column, _MIRRORED[kind]
    unit, moment = _unit(column, catalog), constant_time(constant)
    if unit is None or moment is None:
        return
    floor = _beginning(moment, unit, up=False)
    if floor != moment:
        kind = _BEHIND.get(kind, kind)
    node.replace(kind(this=column.copy(), expression=timestamp(floor)))


def _decide(node: exp.Expr, catalog: Catalog) -> None:
    """A derived time is equal to no moment within its unit."""
    column, constant = (node.this, node.expression) if constant_time(node.expression) else (node.expression, node.this)
    unit, moment = _unit(column, catalog), constant_time(constant)
    if unit is not None and moment is not None and _beginning(moment, unit, up=False) != moment:
        unequal = exp.Not(this=exp.Is(this=column.copy(), expression=exp.Null()))
        node.replace(exp.false() if isinstance(node, exp.EQ) else unequal)


def _never(where: exp.Where, catalog: Catalog) -> None:
    """Under WHERE FALSE Kylin cannot plan a COUNT(DISTINCT): no row of a cube is of before 1970."""
    select = where.parent_select
    if not (isinstance(where.this, exp.Boolean) and isinstance(select, exp.Select)):
        return
    for alias, source in sources_of(select).items():
        if (cube := cube_of(source, catalog)) is not None:
            time = exp.column(cube.of_kind("derived")[0].name, alias, quoted=True)
            where.set("this", exp.LT(this=time, expression=timestamp(_EPOCH)))
            return


def _decide_null(node: exp.Is, catalog: Catalog) -> None:
    """A time of a row is never null, and Kylin ends at the question in a NullPointerException."""
    found = column_of(node.this.unnest(), catalog) if isinstance(node.this.unnest(), exp.Column) else None
    if found is not None and found[1].kind in ("time", "derived") and isinstance(node.expression, exp.Null):
        node.replace(exp.false())


def _keep_beginnings(node: exp.In, catalog: Catalog) -> None:
    unit = _unit(node.this, catalog)
    if unit is None or node.args.get("query") is not None:
        return
    moments = [(one, constant_time(one)) for one in node.expressions]
    fit = [one for one, moment in moments if moment is None or _beginning(moment, unit, up=False) == moment]
    node.set("expressions", fit) if fit else node.replace(exp.false())


def _unit(node: exp.Expr, catalog: Catalog) -> datetime.timedelta | None:
    """That of a derived time, also through subqueries."""
    node = node.unnest()
    while isinstance(node, exp.Cast) and node.to.this.name in ("TIMESTAMP", "DATE"):
        node = node.this
    found = origin_of(node, catalog) if isinstance(node, exp.Column) else None
    return None if found is None or found[1].kind != "derived" else _UNITS[DERIVED_UNITS[found[1].name]]


def _beginning(moment: datetime.datetime, unit: datetime.timedelta, *, up: bool) -> datetime.datetime:
    """Of the unit that the moment is in, or the next one unless one begins there."""
    since = (moment - datetime.datetime.min) % unit
    return moment - since + (unit if up and since else datetime.timedelta())
