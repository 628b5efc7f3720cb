"""When a rollup by hour or day can stand for the exact time: where every moment of the hour or day is the same."""

from datetime import datetime

from sqlglot import exp

from gradcube.cube.model import DERIVED_UNITS, CubeModel, Rollup

_ORDER = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {exp.LTE: exp.GTE, exp.GT: exp.LT}


def finest_time(cube: CubeModel, rollup: Rollup) -> str | None:
    """The rollup's derived time with the shortest unit."""
    held = [name for name in DERIVED_UNITS if name in rollup.dimensions and cube.column(name) is not None]
    return held[0] if held else None  # DERIVED_UNITS begins with the shortest


def stand_in(column: exp.Column, finest: str) -> exp.Expr | None:
    """What replaces a time column where it stands; None if it would not mean the same there.

    That is: where the moment within the unit of `finest` matters, or within the column's own, if that is longer.
    """
    unit = max(DERIVED_UNITS[finest], DERIVED_UNITS.get(column.name, "second"), key=_ORDER.index)
    node: exp.Expr = column
    while isinstance(node.parent, exp.Paren) or (
        isinstance(node.parent, exp.Cast) and _kind(node.parent) == "TIMESTAMP"
    ):
        node = node.parent
    if not _is_same_within(node, unit):
        return None
    name = exp.column(exp.to_identifier(finest, quoted=True), column.args.get("table") and column.args["table"].copy())
    return exp.Cast(this=name, to=exp.DataType.build("timestamp"))


def _is_same_within(node: exp.Expr, unit: str) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Floor) and parent.args.get("to") is not None:
        return _covers(parent.args["to"].name, unit)
    if isinstance(parent, exp.Extract):
        return _covers(parent.this.name, unit)
    if isinstance(parent, exp.Year | exp.Quarter | exp.Month | exp.Hour):
        return _covers(type(parent).__name__, unit)
    if isinstance(parent, exp.Cast):
        return _kind(parent) == "DATE"  # no derived time is longer than a day
    if isinstance(parent, exp.GTE | exp.LT) and parent.this is node:
        return _is_boundary(parent.expression, unit)
    # `boundary <= time` is `time >= boundary`
    return (
        type(parent) in _MIRRORED
        and parent is not None
        and parent.expression is node
        and _is_boundary(parent.this, unit)
    )


def _covers(name: str, unit: str) -> bool:
    name = name.lower()
    return name in _ORDER and _ORDER.index(name) >= _ORDER.index(unit)


def _is_boundary(node: exp.Expr, unit: str) -> bool:
    if isinstance(node, exp.Paren):
        return _is_boundary(node.this, unit)
    if isinstance(node, exp.CurrentDate):
        return True
    if isinstance(node, exp.Cast):
        return _kind(node) in ("TIMESTAMP", "DATE") and _is_boundary(node.this, unit)
    if isinstance(node, exp.Literal):
        return node.is_string and _is_whole_moment(node.name, unit)
    if isinstance(node, exp.Floor) and node.args.get("to") is not None:
        return _covers(node.args["to"].name, unit) and node.find(exp.Column) is None
    if isinstance(node, exp.Add | exp.Sub):
        step = node.expression.expression if isinstance(node.expression, exp.Mul) else node.expression
        return (
            isinstance(step, exp.Interval) and _is_step(node.expression, step, unit) and _is_boundary(node.this, unit)
        )
    return False


def _is_step(moved: exp.Expr, step: exp.Interval, unit: str) -> bool:
    """An interval of whole units, once or a whole number of times."""
    if step.unit is None or not _covers(step.unit.name, unit) or not _is_number(step.this):
        return False
    return moved is step or _is_number(moved.this)


def _is_number(node: exp.Expr | None) -> bool:
    while isinstance(node, exp.Paren | exp.Neg):
        node = node.this
    return isinstance(node, exp.Literal) and node.name.isdigit()


def _is_whole_moment(text: str, unit: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    parts = [moment.microsecond, moment.second, moment.minute, moment.hour]
    return moment.tzinfo is None and not any(parts[: _ORDER.index(unit) + 1])


def _kind(node: exp.Cast) -> str:
    return str(node.to.this.name)
