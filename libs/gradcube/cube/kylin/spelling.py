"""A resolved statement spelled so that Kylin 3.1.3 means what it says: docs/kylin.md lists each of these differences.

Each was seen there to be answered with other rows, or with a NullPointerException.
"""

import datetime
from collections.abc import Callable

from sqlglot import exp

from gradcube.cube.kylin.comparisons import cast, constant_time, spell_comparisons, timestamp
from gradcube.cube.model import Catalog
from gradcube.errors import QueryError

_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400, "WEEK": 604_800}
_TEXT_FUNCTIONS: dict[type[exp.Expr], Callable[[str], str]] = {
    exp.Upper: str.upper, exp.Lower: str.lower, exp.DPipe: str, exp.Concat: str,
}  # fmt: skip
_WEEK_SHIFT_DAYS = 3
"""Kylin's weeks begin where the epoch did, on a Thursday; ours on a Sunday."""


def spell_for_kylin(tree: exp.Query, catalog: Catalog, now: datetime.datetime) -> None:
    """Changes the tree in place. `now`, in UTC, stands for CURRENT_TIMESTAMP and CURRENT_DATE all over it.

    Raises QueryError.
    """
    _each(tree, exp.CurrentTimestamp, lambda _: timestamp(now))
    _each(tree, exp.CurrentDate, lambda _: _date(now))
    _each(tree, exp.Paren, _moved)
    for kind in _TEXT_FUNCTIONS:
        _each(tree, kind, _constant_text)
    _each(tree, exp.Like, _any_text)
    spell_comparisons(tree, catalog)
    _each(tree, exp.Floor, _floor)
    _each(tree, exp.Ceil, _ceil)


def _each(tree: exp.Query, kind: type[exp.Expr], change: Callable[[exp.Expr], exp.Expr]) -> None:
    """Inner ones first, so that no copy of an outer one goes stale."""
    for node in reversed(list(tree.find_all(kind))):
        changed = change(node)
        if changed is not node:
            node.replace(changed)


def _moved(node: exp.Expr) -> exp.Expr:
    """TIMESTAMPADD of a constant time, which Kylin cannot compare with: the time it comes to."""
    added = node.this
    if not (isinstance(added, exp.Add) and isinstance(added.expression, exp.Mul)):
        return node
    count, interval = added.expression.this.unnest(), added.expression.expression
    moment = constant_time(added.this)
    unit = interval.unit if isinstance(interval, exp.Interval) else None
    seconds = None if unit is None else _SECONDS.get(unit.name.upper())
    if moment is None or seconds is None or not _is_whole(count):
        return node
    return timestamp(moment + datetime.timedelta(seconds=seconds * int(count.sql())))


def _constant_text(node: exp.Expr) -> exp.Expr:
    """A text that is computed of nothing but texts: Kylin finds no row by it."""
    parts = [part.unnest() for part in node.iter_expressions()]
    if not all(isinstance(part, exp.Literal) and part.is_string for part in parts):
        return node
    return exp.Literal.string(_TEXT_FUNCTIONS[type(node)]("".join(part.name for part in parts)))


def _any_text(node: exp.Expr) -> exp.Expr:
    """LIKE '%' does not find the empty text."""
    pattern = node.expression
    if isinstance(pattern, exp.Literal) and pattern.name and not pattern.name.strip("%"):
        if node.args.get("negate"):
            return exp.false()
        return exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.Null()))
    return node


def _is_whole(node: exp.Expr) -> bool:
    return (node.this if isinstance(node, exp.Neg) else node).is_int


def _floor(node: exp.Expr) -> exp.Expr:
    """The FLOOR of a DATE is 1970 in Kylin: it is always of a timestamp here."""
    if not node.args.get("to"):
        return node
    unit = node.args["to"].name.upper()
    value = cast(node.this.copy(), "TIMESTAMP")
    if unit == "QUARTER":
        return _quarter(value)
    if unit != "WEEK":
        return exp.Floor(this=value, to=exp.Var(this=unit))
    floor = exp.Floor(this=_add_days(value, -_WEEK_SHIFT_DAYS), to=exp.Var(this=unit))
    return _add_days(floor, _WEEK_SHIFT_DAYS)


def _quarter(value: exp.Expr) -> exp.Expr:
    """Kylin leaves the time as it is: a month's first day less 0, 1 or 2 months."""
    one, three = exp.Literal.number(1), exp.Literal.number(3)
    since = exp.Mod(this=exp.Paren(this=exp.Sub(this=exp.Month(this=value.copy()), expression=one)), expression=three)
    back = exp.Sub(this=exp.Literal.number(0), expression=since)
    return _added("MONTH", back, exp.Floor(this=value, to=exp.Var(this="MONTH")))


def _ceil(node: exp.Expr) -> exp.Expr:
    """As `_floor`."""
    if not node.args.get("to"):
        return node
    unit = node.args["to"].name.upper()
    value = cast(node.this.copy(), "TIMESTAMP")
    if unit == "QUARTER":
        raise QueryError("Kylin has no CEIL to a quarter.", hint="Use FLOOR(... TO QUARTER).")
    if unit != "WEEK":
        return exp.Ceil(this=value, to=exp.Var(this=unit))
    return _add_days(exp.Ceil(this=_add_days(value, -_WEEK_SHIFT_DAYS), to=exp.Var(this=unit)), _WEEK_SHIFT_DAYS)


def _add_days(node: exp.Expr, days: int) -> exp.Expr:
    return _added("DAY", exp.Literal.number(days), node)


def _added(unit: str, count: exp.Expr, node: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="TIMESTAMPADD", expressions=[exp.Var(this=unit), count, node])


def _date(moment: datetime.datetime) -> exp.Expr:
    return cast(exp.Literal.string(moment.date().isoformat()), "DATE")
