"""JDBC parameters: className and value of each `?` in, literals in the tree out. No value is ever parsed as SQL."""

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from gradcube.errors import QueryError


def bind(tree: exp.Query, parameters: Sequence[Mapping[str, Any]]) -> None:
    """Puts each value in its place, in the order of the text. Raises QueryError when they do not fit."""
    places = sorted(tree.find_all(exp.Placeholder), key=lambda node: int(node.name))
    if len(places) != len(parameters):
        raise QueryError(f"The statement has {len(places)} parameters, {len(parameters)} values were sent.")
    for place, parameter in zip(places, parameters, strict=True):
        place.replace(_literal(str(parameter.get("className")), parameter.get("value")))


def _literal(class_name: str, value: Any) -> exp.Expr:
    if value is None:
        return exp.Null()
    kind = class_name.rpartition(".")[2]
    text = str(value)
    try:
        if kind in ("Integer", "Long", "Short", "Byte"):
            return exp.convert(int(text))
        if kind in ("Double", "Float"):
            return exp.Cast(this=exp.Literal.string(repr(float(text))), to=exp.DataType.build("double"))
        if kind == "BigDecimal":
            return exp.Literal.number(format(decimal.Decimal(text), "f"))
        if kind == "Boolean":
            return exp.Boolean(this=text.lower() == "true")
        if kind in ("Timestamp", "Date"):
            datetime.datetime.fromisoformat(text)
            return exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build(kind.lower()))
    except (ValueError, ArithmeticError) as error:
        raise QueryError(f"{text!r:.80} is not a {class_name}.") from error
    if kind != "String":
        raise QueryError(f"Parameters of class {class_name!r:.80} are not bound.", hint="Send java.lang.String.")
    return exp.Literal.string(text)
