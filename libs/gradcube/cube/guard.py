"""The SQL guard: one SELECT over the given tables with allow-listed syntax and functions, or a QueryError.

Nothing is forbidden by name: a kind of node, a function or a table that is not listed here is refused.
"""

from collections.abc import Collection

import sqlglot
from sqlglot import errors, exp

from gradcube.cube.dialect import Kylin
from gradcube.errors import QueryError

MAX_SQL_CHARACTERS = 100_000
MAX_NODES = 20_000
MAX_DEPTH = 200
MAX_QUERY_DEPTH = 12
MAX_CONCATENATIONS = 64
MAX_TABLES = 32
SCHEMA = "DEFAULT"

_SYNTAX = (
    "Select Union Intersect Except Subquery With CTE TableAlias Table Identifier Column Star Alias From Join Where "
    "Group Having Order Ordered Limit Offset Fetch LimitOptions Distinct Tuple Paren "
    "Literal Boolean Null Placeholder Interval Var "
    "And Or Not EQ NEQ GT GTE LT LTE Is In Between Like SimilarTo Escape Exists "
    "Add Sub Mul Div Mod Neg DPipe Case If Cast DataType DataTypeParam Extract "
    "Window WindowSpec Filter GroupingSets Rollup Cube"
)
_FUNCTIONS = (
    "Count Sum Min Max Avg ApproxDistinct Stddev StddevPop StddevSamp Variance VariancePop Abs Ceil Floor Round "
    "Sqrt Exp Ln Log Pow Sign Upper Lower Trim Substring Length Concat Coalesce Nullif Greatest Least "
    "Year Month Quarter Week Hour Minute Second Day DayOfMonth DayOfWeek DayOfYear "
    "CurrentDate CurrentTimestamp RowNumber Rank DenseRank Ntile Lag Lead FirstValue LastValue Median"
)
_ALLOWED = frozenset(
    kind for name in f"{_SYNTAX} {_FUNCTIONS}".split() if (kind := getattr(exp, name, None)) is not None
)
_NAMED = frozenset({"APPROX_QUANTILE", "QUANTILE_CONT", "DATE_SUB", "CHAR_LENGTH", "CHARACTER_LENGTH"})
_TYPES = frozenset(
    "VARCHAR CHAR TEXT INT BIGINT SMALLINT TINYINT DOUBLE FLOAT DECIMAL BOOLEAN DATE TIMESTAMP INTERVAL".split()  # noqa: SIM905
)


def parse(sql: str, tables: Collection[str]) -> exp.Query:
    """The checked statement, still in Kylin's terms. `tables` are the names that it may read, in upper case.

    Raises QueryError with position and hint.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        raise QueryError(
            f"Not Supported SQL. The statement has {len(sql)} characters, at most {MAX_SQL_CHARACTERS} are read."
        )
    tree = _only_query(_statements(sql))
    _check_size(tree)
    for node in tree.walk():
        _check_node(node)
    _check_tables(tree, tables)
    return tree


def _statements(sql: str) -> list[exp.Expr]:
    _check_nesting(sql)
    try:
        statements = [tree for tree in sqlglot.parse(sql, read=Kylin) if tree is not None]
    except errors.ParseError as error:
        raise _explain(sql, error) from error
    except errors.TokenError as error:
        raise QueryError("Not Supported SQL. A quote or comment is not closed.") from error
    except RecursionError as error:
        raise QueryError("Not Supported SQL. The statement is nested too deep.") from error
    return [tree for tree in statements if not isinstance(tree, exp.Semicolon)]


def _check_nesting(sql: str) -> None:
    depth = deepest = 0
    for character in sql:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise QueryError(f"Not Supported SQL. Parentheses are {deepest} deep, at most {MAX_DEPTH} are read.")


def _explain(sql: str, error: errors.ParseError) -> QueryError:
    detail = error.errors[0] if error.errors else {}
    line, column = int(detail.get("line") or 1), int(detail.get("col") or 1)
    position = sum(len(text) + 1 for text in sql.split("\n")[: line - 1]) + column
    return QueryError(
        f'Encountered "{detail.get("highlight", "")}" at line {line}, column {column}. {detail.get("description", "")}',
        position=position,
    )


def _only_query(statements: list[exp.Expr]) -> exp.Query:
    if len(statements) != 1:
        raise QueryError(f"Not Supported SQL. {len(statements)} statements were sent.", hint="Send exactly one SELECT.")
    tree = statements[0]
    while isinstance(tree, exp.Subquery) and tree.is_wrapper:
        tree = tree.this
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise QueryError("Not Supported SQL.", position=1, hint="Only SELECT, WITH and UNION are answered.")
    return tree


def _check_size(tree: exp.Expr) -> None:
    concatenations = 0
    for nodes, node in enumerate(tree.walk()):
        concatenations += isinstance(node, exp.DPipe | exp.Concat)
        if isinstance(node, exp.Query) and _query_depth(node) > MAX_QUERY_DEPTH:
            raise QueryError(f"Not Supported SQL. Queries are nested more than {MAX_QUERY_DEPTH} deep.")
        if nodes > MAX_NODES or concatenations > MAX_CONCATENATIONS:
            raise QueryError("Not Supported SQL. The statement is too large.", hint="Ask for less at once.")


def _query_depth(node: exp.Expr) -> int:
    depth = 0
    parent = node.parent
    while parent is not None and depth <= MAX_QUERY_DEPTH:
        depth += isinstance(parent, exp.Select | exp.SetOperation) and not isinstance(node, exp.SetOperation)
        parent = parent.parent
    return depth


def _check_node(node: exp.Expr) -> None:
    kind = type(node)
    if isinstance(node, exp.Anonymous):
        if node.name.upper() not in _NAMED:
            raise _unknown_function(node.name)
    elif isinstance(node, exp.Func) and kind not in _ALLOWED:
        raise _unknown_function(node.sql_name())
    elif kind not in _ALLOWED:
        raise QueryError(f"Not Supported SQL. {kind.__name__} is not answered here.", position=_position(node))
    if isinstance(node, exp.With) and node.recursive:
        raise QueryError("Not Supported SQL. WITH RECURSIVE is not answered here.")
    if isinstance(node, exp.Select) and not node.expressions:
        raise QueryError("Not Supported SQL. SELECT names no column.", position=_position(node))
    if isinstance(node, exp.Select) and any(node.args.get(name) for name in ("into", "hint", "locks", "kind")):
        raise QueryError("Not Supported SQL. INTO, hints and locks are not answered here.")
    if isinstance(node, exp.DataType) and node.this.name not in _TYPES:
        raise QueryError(f"Not Supported SQL. There is no type {node.sql()}.", position=_position(node))


def _unknown_function(name: str) -> QueryError:
    return QueryError(
        f"No match found for function signature {name.upper()}.", hint="See docs for the functions answered."
    )


def _check_tables(tree: exp.Query, tables: Collection[str]) -> None:
    named = {cte.alias.upper() for cte in tree.find_all(exp.CTE)}
    if hidden := named.intersection(tables):
        raise QueryError(f"Not Supported SQL. WITH {min(hidden)} hides the table.", hint="Choose another name.")
    if sum(1 for _ in tree.find_all(exp.Table)) > MAX_TABLES:
        raise QueryError(f"Not Supported SQL. More than {MAX_TABLES} tables are joined.")
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise QueryError("Not Supported SQL. A table function is not answered here.", position=_position(table))
        schema = table.db.upper()
        known = table.name.upper() in tables and schema in ("", SCHEMA)
        if table.catalog or not (known or (not schema and table.name.upper() in _visible(table))):
            name = ".".join(part.name for part in table.parts)
            raise QueryError(
                f"Object '{name}' not found.", position=_position(table), hint=f"There is {', '.join(sorted(tables))}."
            )


def _visible(node: exp.Expr) -> set[str]:
    """Names of the WITH queries that the engine finds from there: all around it, and those before it in the same."""
    names: set[str] = set()
    while (parent := node.parent) is not None:
        if isinstance(parent, exp.With):
            before = parent.expressions[: next(at for at, cte in enumerate(parent.expressions) if cte is node)]
            names |= {cte.alias.upper() for cte in before}
        elif isinstance(parent, exp.Query) and not isinstance(node, exp.With):
            names |= {cte.alias.upper() for cte in parent.ctes}
        node = parent
    return names


def _position(node: exp.Expr) -> int | None:
    for inner in node.walk():
        if "start" in inner.meta:
            return int(inner.meta["start"]) + 1
    return None
