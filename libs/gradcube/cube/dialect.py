"""Kylin's SQL as a dialect of sqlglot's, `sqlglot.parse(text, read="kylin")`: escapes, FLOOR(x TO unit), percentiles.

Text is parsed as `Kylin` and written as DuckDB; what differs in meaning is rewritten here.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import Dialect, exp
from sqlglot import generator as writer
from sqlglot import parser as base
from sqlglot.tokenizer_core import Token, TokenType

from gradcube.errors import QueryError

UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_ESCAPES = {"ts": TokenType.TIMESTAMP, "d": TokenType.DATE}
_WRITTEN = {"APPROX_QUANTILE": "PERCENTILE_APPROX", "QUANTILE_CONT": "PERCENTILE"}


class Kylin(Dialect):
    """`sqlglot.parse(text, read=Kylin)`. Nulls count as largest, as in Calcite."""

    NULL_ORDERING = "nulls_are_large"

    class Parser(base.Parser):
        """Adds Kylin's functions; a `?` keeps its place in the text as its name."""

        FUNCTIONS = {  # noqa: RUF012 - sqlglot's way
            **base.Parser.FUNCTIONS,
            "TIMESTAMPADD": lambda args: _timestamp_add(args),
            "TIMESTAMPDIFF": lambda args: _timestamp_diff(args),
            "PERCENTILE_APPROX": lambda args: exp.Anonymous(this="APPROX_QUANTILE", expressions=args),
            "PERCENTILE": lambda args: exp.Anonymous(this="QUANTILE_CONT", expressions=args),
        }
        PLACEHOLDER_PARSERS = {  # noqa: RUF012 - sqlglot's way
            TokenType.PLACEHOLDER: lambda self: exp.Placeholder(this=str(self._prev.start)),
        }

        def parse(self, raw_tokens: list[Token], sql: str = "") -> list[exp.Expr | None]:
            """Tokens in, one tree per statement out."""
            return super().parse(_unescape(raw_tokens), sql)

    class Generator(writer.Generator):
        """Writes Kylin's functions back, so that Kylin itself can be sent a statement with its views in it."""

        TYPE_MAPPING = {  # noqa: RUF012 - sqlglot's way
            **writer.Generator.TYPE_MAPPING, exp.DataType.Type.TEXT: "VARCHAR",
        }  # fmt: skip
        TRANSFORMS = {  # noqa: RUF012 - sqlglot's way
            **writer.Generator.TRANSFORMS,
            exp.Length: lambda self, node: self.func("CHAR_LENGTH", node.this),
            exp.DayOfMonth: lambda self, node: self.func("DAYOFMONTH", node.this),
            exp.DayOfWeek: lambda self, node: self.func("DAYOFWEEK", node.this),
            exp.DayOfYear: lambda self, node: self.func("DAYOFYEAR", node.this),
            exp.ApproxDistinct: lambda self, node: self.func("APPROX_COUNT_DISTINCT", node.this),
            exp.Pow: lambda self, node: self.func("POWER", node.this, node.expression),
            exp.Log: lambda self, node: _log(self, node),
            exp.Trim: lambda self, node: _trim(self, node),
            exp.CurrentTimestamp: lambda *_: "CURRENT_TIMESTAMP",
            exp.CurrentDate: lambda *_: "CURRENT_DATE",
        }

        def paren_sql(self, expression: exp.Paren) -> str:
            """TIMESTAMPADD again, where `_timestamp_add` made a sum of it."""
            added = expression.this
            moved = added.expression if isinstance(added, exp.Add) else None
            interval = moved.expression if isinstance(moved, exp.Mul) else None
            if not isinstance(moved, exp.Mul) or not isinstance(interval, exp.Interval) or interval.unit is None:
                return super().paren_sql(expression)
            return self.func("TIMESTAMPADD", exp.Var(this=interval.unit.name.upper()), moved.this.unnest(), added.this)

        def anonymous_sql(self, expression: exp.Anonymous) -> str:
            """A call by its name, which here is DuckDB's."""
            name, values = expression.name.upper(), expression.expressions
            if name == "DATE_SUB":
                return self.func("TIMESTAMPDIFF", exp.Var(this=values[0].name.upper()), *values[1:])
            return self.func(_WRITTEN.get(name, name), *values)


def _log(kylin: writer.Generator, node: exp.Log) -> str:
    return kylin.func("LOG10", node.expression) if node.this.name == "10" else kylin.log_sql(node)


def _trim(kylin: writer.Generator, node: exp.Trim) -> str:
    side, characters = node.args.get("position") or "BOTH", node.expression or exp.Literal.string(" ")
    return f"TRIM({side} {kylin.sql(characters)} FROM {kylin.sql(node.this)})"


def _unescape(tokens: list[Token]) -> list[Token]:
    """JDBC's escapes as plain SQL: `{ts '...'}`, `{d '...'}`, and `{fn f(...)}` as the call alone."""
    plain: list[Token] = []
    open_calls = 0
    index = 0
    while index < len(tokens):
        token = tokens[index]
        group = tokens[index : index + 4]
        if token.token_type == TokenType.L_BRACE and len(group) > 1 and group[1].text.lower() == "fn":
            open_calls += 1
            index += 2
        elif token.token_type == TokenType.R_BRACE and open_calls:
            open_calls -= 1
            index += 1
        elif [one.token_type for one in group[::2]] == [TokenType.L_BRACE, TokenType.STRING]:
            plain += _moment(group)
            index += 4
        else:
            plain.append(token)
            index += 1
    if open_calls:
        raise QueryError("Not Supported SQL. {fn ...} is not closed.")
    return plain


def _moment(group: list[Token]) -> list[Token]:
    word = group[1]
    kind = _ESCAPES.get(word.text.lower())
    if kind is None or group[-1].token_type != TokenType.R_BRACE:
        raise QueryError(f"Not Supported SQL. {{{word.text} ...}}", position=word.start + 1, hint="Use {ts '...'}")
    return [Token(kind, kind.name, word.line, word.col, word.start, word.end), group[2]]


def _unit(node: Any) -> str:
    name = str(getattr(node, "name", node)).upper().removeprefix("SQL_TSI_")
    if name not in UNITS:
        raise QueryError(f"Not Supported SQL. {name!r} is not a unit of time.", hint=f"Use one of {', '.join(UNITS)}.")
    return name


def _three(name: str, args: list[Any]) -> tuple[str, Any, Any]:
    if len(args) != 3:
        raise QueryError(f"Not Supported SQL. {name} takes a unit and two values, not {len(args)} arguments.")
    return _unit(args[0]), args[1], args[2]


def _cast(node: Any, kind: str) -> exp.Expr:
    return exp.Cast(this=node, to=exp.DataType.build(kind))


def _interval(unit: str) -> exp.Interval:
    return exp.Interval(this=exp.Literal.string("1"), unit=exp.Var(this=unit))


def _timestamp_add(args: list[Any]) -> exp.Expr:
    unit, count, start = _three("TIMESTAMPADD", args)
    moved = exp.Mul(this=exp.Paren(this=count), expression=_interval(unit))
    return exp.Paren(this=exp.Add(this=_cast(start, "timestamp"), expression=moved))


def _timestamp_diff(args: list[Any]) -> exp.Expr:
    unit, start, end = _three("TIMESTAMPDIFF", args)
    values = [exp.Literal.string(unit.lower()), _cast(start, "timestamp"), _cast(end, "timestamp")]
    return _cast(exp.Anonymous(this="DATE_SUB", expressions=values), "int")  # whole units passed, as Calcite counts


def _truncate(unit: str, value: Any) -> exp.Expr:
    return exp.Anonymous(this="DATE_TRUNC", expressions=[exp.Literal.string(unit.lower()), value])


def floor_to(unit_node: Any, value: exp.Expr) -> exp.Expr:
    """FLOOR(value TO unit) for DuckDB. Kylin's weeks start on Sunday, DuckDB's on Monday."""
    unit = _unit(unit_node)
    moment = _cast(value, "timestamp")
    if unit != "WEEK":
        return _cast(_truncate(unit, moment), "timestamp")
    day = _interval("DAY")
    shifted = _truncate(unit, exp.Add(this=moment, expression=day))
    return exp.Paren(this=exp.Sub(this=_cast(shifted, "timestamp"), expression=day.copy()))


def ceil_to(unit_node: Any, value: exp.Expr) -> exp.Expr:
    """CEIL(value TO unit): the value if a unit begins there, else the beginning of the next."""
    floor = floor_to(unit_node, value)
    begins = exp.EQ(this=floor, expression=_cast(value.copy(), "timestamp"))
    following = exp.Add(this=floor.copy(), expression=_interval(_unit(unit_node)))
    return exp.Case(ifs=[exp.If(this=begins, true=floor.copy())], default=following)


def _floor(node: exp.Expr) -> exp.Expr:
    return floor_to(node.args["to"], node.this) if node.args.get("to") else node


def _ceil(node: exp.Expr) -> exp.Expr:
    return ceil_to(node.args["to"], node.this) if node.args.get("to") else node


def _now(_: exp.Expr) -> exp.Expr:
    return _cast(exp.CurrentTimestamp(), "timestamp")


def _similar(node: exp.Expr) -> exp.Expr:
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise QueryError("Not Supported SQL. SIMILAR TO takes a literal pattern.")
    text = pattern.name.replace("%", ".*").replace("_", ".")
    return exp.SimilarTo(this=node.this, expression=exp.Literal.string(text))


def _day_of_week(node: exp.Expr) -> exp.Expr:
    """Sunday is 1 in Kylin, 0 in DuckDB."""
    return exp.Paren(this=exp.Add(this=node, expression=exp.Literal.number(1)))


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Floor: _floor,
    exp.Ceil: _ceil,
    exp.CurrentTimestamp: _now,
    exp.SimilarTo: _similar,
    exp.DayOfWeek: _day_of_week,
}


def rewrite(tree: exp.Expr) -> exp.Expr:
    """The same statement with Kylin's meanings spelled for DuckDB; inner expressions first."""
    for node in list(tree.walk(bfs=False))[::-1]:
        change = _REWRITES.get(type(node))
        if change is not None:
            changed = change(node.copy())
            if node is tree:
                tree = changed
            else:
                node.replace(changed)
    return tree
