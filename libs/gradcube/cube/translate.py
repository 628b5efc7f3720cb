"""A guarded statement in, DuckDB's text out: names as Kylin gives them, limits, bound parameters."""

import datetime
import decimal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from gradcube.cube.dialect import rewrite
from gradcube.cube.guard import SCHEMA, parse
from gradcube.cube.model import CubeModel
from gradcube.errors import QueryError

_CTE_PREFIX = "$"  # no table of DuckDB's catalog begins so: a name outside its WITH finds nothing


@dataclass(frozen=True)
class Statement:
    """`sql` is DuckDB's; `sources` names the cube's column behind each plain output column."""

    sql: str
    sources: Mapping[str, str]


def translate(
    sql: str, model: CubeModel, *, limit: int, offset: int = 0, parameters: Sequence[Mapping[str, Any]] = ()
) -> Statement:
    """Guards and translates one statement. `limit` rows, unless the statement has a limit of its own.

    `parameters` are JDBC's, className and value for each `?`. Raises QueryError.
    """
    tree = parse(sql, model)
    _bind(tree, parameters)
    for node in list(tree.find_all(exp.Identifier)):
        if not node.args.get("quoted"):
            node.set("this", node.name.upper())
        node.set("quoted", True)
    _rename_tables(tree, model)
    _name_outputs(tree)
    sources = _sources(tree, model)
    whole = rewrite(tree)
    assert isinstance(whole, exp.Query)
    return Statement(_limited(whole, limit, offset).sql(dialect="duckdb", comments=False), sources)


def _limited(tree: exp.Query, limit: int, offset: int) -> exp.Query:
    if not (tree.args.get("limit") or tree.args.get("fetch")):
        tree = tree.limit(limit, copy=False)
    if offset and not tree.args.get("offset"):
        tree = tree.offset(offset, copy=False)
    return tree


def _rename_tables(tree: exp.Query, model: CubeModel) -> None:
    for cte in tree.find_all(exp.CTE):
        cte.args["alias"].this.set("this", _CTE_PREFIX + cte.alias)
    for table in tree.find_all(exp.Table):
        name = table.name
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
        if name == model.name:
            table.set("db", exp.to_identifier(SCHEMA, quoted=True))
        else:
            table.this.set("this", _CTE_PREFIX + name)
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)


def _outermost(tree: exp.Expr) -> exp.Select:
    while not isinstance(tree, exp.Select):
        tree = tree.this
    return tree


def _name_outputs(tree: exp.Query) -> None:
    select = _outermost(tree)
    for position, output in enumerate(list(select.expressions)):
        if isinstance(output, exp.Alias | exp.Star) or (isinstance(output, exp.Column) and output.is_star):
            continue
        name = output.name if isinstance(output, exp.Column) else f"EXPR${position}"
        inner = output.copy()
        output.replace(exp.Alias(this=inner, alias=exp.to_identifier(name, quoted=True)))


def _sources(tree: exp.Query, model: CubeModel) -> dict[str, str]:
    select = _outermost(tree)
    tables = [table.name for table in select.find_all(exp.Table) if table.parent_select is select]
    if tables != [model.name]:
        return {}
    sources: dict[str, str] = {}
    for output in select.expressions:
        if output.is_star:
            sources |= {column.name: column.name for column in model.columns}
        elif isinstance(output.this, exp.Column) and model.column(output.this.name):
            sources[output.alias] = output.this.name
    return sources


def _bind(tree: exp.Query, parameters: Sequence[Mapping[str, Any]]) -> None:
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
